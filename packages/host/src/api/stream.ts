import { SallyportError } from "../kernel/index.ts";

/** Events that wait for a slow reader before it is cut off. */
const MAX_WAITING = 10_000;

/** Turns pushed values into an iterable that ends with the signal; a reader that falls behind gets an error instead of our memory. */
export function createFeed<T>(signal: AbortSignal): { push(value: T): void; end(): void; values: AsyncIterable<T> } {
  const waiting: T[] = [];
  let ended = false;
  let lost = false;
  let wake: (() => void) | undefined;
  const finish = (): void => {
    ended = true;
    wake?.();
  };
  if (signal.aborted) finish();
  signal.addEventListener("abort", finish, { once: true });

  async function* values(): AsyncGenerator<T> {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (lost) throw fellBehind();
      else if (ended) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  return {
    push(value) {
      if (ended || lost) return;
      if (waiting.length >= MAX_WAITING) lost = true;
      else waiting.push(value);
      wake?.();
    },
    end: finish,
    values: values(),
  };
}

function fellBehind(): SallyportError {
  return new SallyportError("limit_exceeded", "This reader fell too far behind.", {
    detail: `More than ${MAX_WAITING} events waited for it.`,
    fix: "Start again from the last sequence number that you have.",
  });
}

/** One JSON document a line. Reads from `lines` only as fast as the client does. */
export function ndjson(lines: AsyncIterable<unknown>, onError: (error: unknown) => unknown): Response {
  const iterator = lines[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  const line = (value: unknown): Uint8Array =>
    encoder.encode(`${typeof value === "string" ? value.trimEnd() : JSON.stringify(value)}\n`);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await iterator.next();
        if (next.done) controller.close();
        else controller.enqueue(line(next.value));
      } catch (error) {
        controller.enqueue(line(onError(error)));
        controller.close();
      }
    },
    async cancel() {
      await iterator.return?.();
    },
  });
  return new Response(body, { headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" } });
}
