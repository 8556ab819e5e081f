import { type CallId, CHUNK_BYTES, type FetchParams, type FetchResult } from "../protocol/v1/index.ts";
import { isSallyportError } from "../plugin/index.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import type { HostPort } from "./port.ts";

/* A body whose size is known travels inside the request up to here; base64 of it stays far below the cap of a line. */
const INLINE_BYTES = 1024 * 1024;

/**
 * The standard `fetch`, as a request to the host's broker. `call` gives the call that a request belongs to, and may throw.
 * Refusals reject with a `TypeError`, as network failures do everywhere, with `code`, `fix` and the refusal as `cause`.
 */
export function createFetch(port: HostPort, call: () => CallId): typeof globalThis.fetch {
  let uploads = 0;
  return async function fetch(input, init) {
    const owner = call();
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    const body = await bodyOf(request, input, init);
    const params: FetchParams = {
      call: owner,
      url: request.url,
      method: request.method,
      headers: [...request.headers],
      body: body instanceof Uint8Array ? toBase64(body) : null,
      upload: body instanceof ReadableStream ? `upload-${++uploads}` : null,
      redirect: request.redirect,
      secrets: secretsOf(init),
    };
    const answer = port.request("fetch", params);
    if (body instanceof ReadableStream && params.upload !== null) void sendBody(port, owner, params.upload, body, answer, request.signal);
    return await abortable(port, owner, answer, request.signal);
  };
}

async function bodyOf(request: Request, input: unknown, init: RequestInit | undefined): Promise<Uint8Array | ReadableStream<Uint8Array> | null> {
  if (request.body === null) return null;
  if (init?.body instanceof ReadableStream) return request.body;
  if (init?.body == null && input instanceof Request) return request.body;
  const bytes = new Uint8Array(await request.arrayBuffer());
  return bytes.length <= INLINE_BYTES ? bytes : new Blob([bytes]).stream();
}

function secretsOf(init: RequestInit | undefined): readonly string[] {
  const names: unknown = init?.secrets ?? [];
  if (!Array.isArray(names) || !names.every((name): name is string => typeof name === "string")) {
    throw new TypeError("fetch: secrets must be an array of names.");
  }
  return names;
}

async function sendBody(
  port: HostPort,
  call: CallId,
  upload: string,
  body: ReadableStream<Uint8Array>,
  answer: Promise<FetchResult>,
  signal: AbortSignal,
): Promise<void> {
  const reader = body.getReader();
  let over = false;
  const stop = (): void => {
    over = true;
  };
  answer.then(undefined, stop);
  signal.addEventListener("abort", stop, { once: true });
  try {
    while (!over) {
      const { value, done } = await reader.read();
      if (done) {
        await port.request("body.write", { call, upload, data: "", done: true });
        return;
      }
      for (let start = 0; start < value.length && !over; start += CHUNK_BYTES) {
        const data = toBase64(value.subarray(start, start + CHUNK_BYTES));
        await port.request("body.write", { call, upload, data, done: false });
      }
    }
    await reader.cancel(signal.reason);
  } catch (error) {
    /* The answer to the request tells the plugin; a body that broke must not look complete, so `done` is never sent. */
    await reader.cancel(error).catch(() => undefined);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function abortable(port: HostPort, call: CallId, answer: Promise<FetchResult>, signal: AbortSignal): Promise<Response> {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
  });
  signal.addEventListener("abort", abort, { once: true });
  try {
    const result = await Promise.race([answer, aborted]);
    return responseOf(port, call, result, signal);
  } catch (error) {
    if (signal.aborted) {
      answer.then((late) => cancelStream(port, call, late.stream), () => undefined);
      throw signal.reason;
    }
    throw networkError(error);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function responseOf(port: HostPort, call: CallId, result: FetchResult, signal: AbortSignal): Response {
  const hasNoBody = result.status === 204 || result.status === 205 || result.status === 304;
  const body = hasNoBody ? null : result.stream === null ? inline(result.body) : streamBody(port, call, result.stream, signal);
  if (hasNoBody) cancelStream(port, call, result.stream);
  const response = new Response(body, {
    status: result.status,
    statusText: result.status_text,
    headers: result.headers.map(([name, value]): [string, string] => [name, value]),
  });
  return withFacts(response, result);
}

function inline(body: string | null): Uint8Array<ArrayBuffer> | null {
  return body === null ? null : fromBase64(body);
}

/* The constructor of Response cannot set these, and `clone` would lose them. */
function withFacts(response: Response, { url, redirected }: FetchResult): Response {
  const clone = response.clone.bind(response);
  return Object.defineProperties(response, {
    url: { value: url },
    redirected: { value: redirected },
    type: { value: "basic" },
    clone: { value: () => withFacts(clone(), { url, redirected } as FetchResult) },
  });
}

function streamBody(port: HostPort, call: CallId, stream: string, signal: AbortSignal): ReadableStream<Uint8Array> {
  const abort = (controller: ReadableStreamDefaultController): (() => void) => () => {
    controller.error(signal.reason);
    cancelStream(port, call, stream);
  };
  let onAbort: (() => void) | undefined;
  const settle = (): void => {
    if (onAbort) signal.removeEventListener("abort", onAbort);
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        onAbort = abort(controller);
        signal.addEventListener("abort", onAbort, { once: true });
      },
      async pull(controller) {
        try {
          const { data, done } = await port.request("body.read", { call, stream });
          if (signal.aborted) return;
          if (data !== "") controller.enqueue(fromBase64(data));
          if (done) {
            settle();
            controller.close();
          }
        } catch (error) {
          settle();
          controller.error(networkError(error));
        }
      },
      cancel() {
        settle();
        cancelStream(port, call, stream);
      },
    },
    { highWaterMark: 2 },
  );
}

function cancelStream(port: HostPort, call: CallId, stream: string | null): void {
  if (stream !== null) port.request("body.cancel", { call, stream }).catch(() => undefined);
}

function networkError(error: unknown): unknown {
  if (!isSallyportError(error)) return error;
  const failure = new TypeError(`fetch failed: ${error.message}`, { cause: error });
  return Object.assign(failure, error.fix === undefined ? { code: error.code } : { code: error.code, fix: error.fix });
}
