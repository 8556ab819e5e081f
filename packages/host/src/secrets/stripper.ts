import { isLatin1, secretForms } from "./forms.ts";
import { type KnownSecret, redactionMark } from "./redactor.ts";

/** Takes secrets out of a stream of bytes, also where one crosses the border between two chunks. */
export interface Stripper {
  /** What may be passed on now. Bytes that could be the start of a secret are kept back until the next chunk. */
  readonly push: (chunk: Buffer) => Buffer;
  /** The rest. */
  readonly end: () => Buffer;
}

interface Needle {
  readonly bytes: Buffer;
  readonly mark: Buffer;
}

export function createStripper(secrets: readonly KnownSecret[]): Stripper {
  const needles = secrets
    .flatMap(({ name, value }) =>
      secretForms(value).flatMap((form): Needle[] => {
        const mark = Buffer.from(redactionMark(name));
        const bytes = Buffer.from(form, "utf8");
        // A server may send back a header's bytes as they came, which are not UTF-8.
        const asSent = bytes.length !== form.length && isLatin1(form) ? [Buffer.from(form, "latin1")] : [];
        return [bytes, ...asSent].map((each) => ({ bytes: each, mark }));
      }),
    )
    .toSorted((a, b) => b.bytes.length - a.bytes.length);
  let kept: Buffer = Buffer.alloc(0);

  const take = (data: Buffer, last: boolean): Buffer => {
    const out: Buffer[] = [];
    const partial = last ? data.length : partialStart(data, needles);
    // Where each needle is found next; searched again only once it is passed, so that many hits stay linear.
    const next = needles.map(({ bytes }) => positionOf(data, bytes, 0));
    let from = 0;
    for (;;) {
      const hit = earliest(next);
      // A tail that may become a secret and starts no later than the hit: wait for the next chunk.
      if (hit === undefined || partial <= hit.at) break;
      const needle = needles[hit.index];
      if (needle === undefined) break;
      out.push(data.subarray(from, hit.at), needle.mark);
      from = hit.at + needle.bytes.length;
      for (let index = 0; index < needles.length; index++) {
        if ((next[index] ?? 0) < from) next[index] = positionOf(data, needles[index]?.bytes ?? needle.bytes, from);
      }
    }
    const end = Math.max(from, partial);
    out.push(data.subarray(from, end));
    kept = Buffer.from(data.subarray(end));
    return Buffer.concat(out);
  };

  return {
    push: (chunk) => take(kept.length === 0 ? chunk : Buffer.concat([kept, chunk]), false),
    end: () => take(kept, true),
  };
}

function positionOf(data: Buffer, bytes: Buffer, from: number): number {
  const at = data.indexOf(bytes, from);
  return at === -1 ? Infinity : at;
}

/** The first position; of needles at one place the first in the list, which is the longest. */
function earliest(positions: readonly number[]): { at: number; index: number } | undefined {
  let best: { at: number; index: number } | undefined;
  for (const [index, at] of positions.entries()) {
    if (at !== Infinity && (best === undefined || at < best.at)) best = { at, index };
  }
  return best;
}

/** Where the longest tail begins that is a proper start of a needle; the length of `data` when none is. */
function partialStart(data: Buffer, needles: readonly Needle[]): number {
  let start = data.length;
  for (const { bytes } of needles) {
    const first = bytes[0];
    if (first === undefined) continue;
    let at = data.indexOf(first, Math.max(0, data.length - bytes.length + 1));
    while (at !== -1 && at < start) {
      if (bytes.subarray(0, data.length - at).equals(data.subarray(at))) start = at;
      at = data.indexOf(first, at + 1);
    }
  }
  return start;
}
