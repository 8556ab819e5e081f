import { type CallId, type FetchParams, type FetchResult } from "../protocol/v1/index.ts";
import { isSallyportError } from "../plugin/index.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import { deferred } from "./deferred.ts";
import { bodyOf, sendBody } from "./upload.ts";
import type { HostPort } from "./port.ts";

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
    const body = await bodyOf(request);
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
    if (body instanceof ReadableStream && params.upload !== null)
      void sendBody(port, owner, params.upload, body, answer, request.signal);
    return await abortable(port, owner, answer, request.signal);
  };
}

function secretsOf(init: RequestInit | undefined): readonly string[] {
  const names: unknown = init?.secrets ?? [];
  if (!Array.isArray(names) || !names.every((name): name is string => typeof name === "string")) {
    throw new TypeError("fetch: secrets must be an array of names.");
  }
  return names;
}

async function abortable(
  port: HostPort,
  call: CallId,
  answer: Promise<FetchResult>,
  signal: AbortSignal,
): Promise<Response> {
  const aborted = deferred<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    const result = await Promise.race([answer, aborted.promise]);
    return responseOf(port, call, result, signal);
  } catch (error) {
    if (signal.aborted) {
      answer.then(
        (late) => cancelStream(port, call, late.stream),
        () => undefined,
      );
      throw signal.reason;
    }
    throw networkError(error);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function responseOf(port: HostPort, call: CallId, result: FetchResult, signal: AbortSignal): Response {
  const hasNoBody = result.status === 204 || result.status === 205 || result.status === 304;
  const body = hasNoBody
    ? null
    : result.stream === null
      ? inline(result.body)
      : streamBody(port, call, result.stream, signal);
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
function withFacts(response: Response, { url, redirected }: Pick<FetchResult, "url" | "redirected">): Response {
  const clone = response.clone.bind(response);
  return Object.defineProperties(response, {
    url: { value: url },
    redirected: { value: redirected },
    type: { value: "basic" },
    clone: { value: () => withFacts(clone(), { url, redirected }) },
  });
}

function streamBody(port: HostPort, call: CallId, stream: string, signal: AbortSignal): ReadableStream<Uint8Array> {
  const abort =
    (controller: ReadableStreamDefaultController): (() => void) =>
    () => {
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
  const failure = new TypeError(error.message, { cause: error });
  return Object.assign(failure, error.fix === undefined ? { code: error.code } : { code: error.code, fix: error.fix });
}
