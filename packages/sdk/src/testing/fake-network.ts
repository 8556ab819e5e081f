import type {
  BodyReadParams,
  BodyReadResult,
  BodyWriteParams,
  FetchParams,
  FetchResult,
} from "../protocol/v1/index.ts";
import { CHUNK_BYTES } from "../protocol/v1/index.ts";
import { type Deferred, deferred, fromBase64, sallyportError, toBase64 } from "../runtime/index.ts";
import type { FakeFetch, Fakes } from "./fakes.ts";

const INLINE_BYTES = 64 * 1024;

interface Upload {
  readonly pieces: Uint8Array<ArrayBuffer>[];
  readonly whole: Deferred<void>;
}

export interface FakeNetwork {
  fetch(params: FetchParams): Promise<FetchResult>;
  read(params: BodyReadParams): BodyReadResult;
  cancel(stream: string): void;
  write(params: BodyWriteParams): void;
}

/** Answers `fetch` and `body.*` from the fakes. Redirects are not followed: what a fake returns is the answer. */
export function createFakeNetwork(fakes: Fakes): FakeNetwork {
  const answer = answering(fakes.fetch);
  const streams = new Map<string, Uint8Array>();
  const uploads = new Map<string, Upload>();
  let lastStream = 0;

  const uploadOf = (id: string): Upload => {
    const known = uploads.get(id);
    if (known) return known;
    const upload: Upload = { pieces: [], whole: deferred() };
    uploads.set(id, upload);
    return upload;
  };

  return {
    async fetch(params) {
      for (const name of params.secrets) {
        if (!(fakes.secrets ?? []).includes(name))
          throw sallyportError("permission_denied", `This plugin has no grant for the secret "${name}".`);
      }
      const response = await answer(await requestOf(params, uploadOf));
      if (!response)
        throw sallyportError(
          "permission_denied",
          `This plugin has no grant for ${params.method} ${params.url}.`,
          "Add it to the fakes of the test, and to permissions.network of the manifest.",
        );
      const bytes = new Uint8Array(await response.arrayBuffer());
      const stream = bytes.length > INLINE_BYTES ? `stream-${++lastStream}` : null;
      if (stream !== null) streams.set(stream, bytes);
      return {
        status: response.status,
        status_text: response.statusText,
        headers: [...response.headers],
        url: response.url === "" ? params.url : response.url,
        redirected: response.redirected,
        body: stream === null ? toBase64(bytes) : null,
        stream,
      };
    },
    read({ stream }) {
      const left = streams.get(stream);
      if (!left) throw sallyportError("not_found", "There is no such body.");
      const rest = left.subarray(CHUNK_BYTES);
      if (rest.length === 0) streams.delete(stream);
      else streams.set(stream, rest);
      return { data: toBase64(left.subarray(0, CHUNK_BYTES)), done: rest.length === 0 };
    },
    cancel: (stream) => void streams.delete(stream),
    write({ upload, data, done }) {
      const known = uploadOf(upload);
      known.pieces.push(fromBase64(data));
      if (done) known.whole.resolve();
    },
  };
}

async function requestOf(params: FetchParams, uploadOf: (id: string) => Upload): Promise<Request> {
  const headers = params.headers.map(([name, value]): [string, string] => [name, value]);
  const init = { method: params.method, headers, redirect: params.redirect };
  if (params.upload !== null) {
    const upload = uploadOf(params.upload);
    await upload.whole.promise;
    return new Request(params.url, { ...init, body: new Blob(upload.pieces) });
  }
  return new Request(params.url, params.body === null ? init : { ...init, body: fromBase64(params.body) });
}

function answering(fake: Fakes["fetch"]): FakeFetch {
  if (typeof fake === "function") return fake;
  const rules = Object.entries(fake ?? {}).map(([key, answer]) => ({ matches: matcher(key), answer }));
  return (request) => {
    const rule = rules.find(({ matches }) => matches(request));
    return typeof rule?.answer === "function" ? rule.answer(request) : rule?.answer.clone();
  };
}

function matcher(key: string): (request: Request) => boolean {
  const [first = "", second] = key.split(" ");
  const [method, pattern] = second === undefined ? [undefined, first] : [first, second];
  const open = pattern.endsWith("*");
  const url = new URL(open ? pattern.slice(0, -1) : pattern).href;
  return (request) =>
    (method === undefined || method === request.method) && (open ? request.url.startsWith(url) : request.url === url);
}
