import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { Wish } from "../capability/index.ts";
import { displayLine, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { EgressDeps, Passage } from "./egress.ts";
import { cutOff, refusalText } from "./egress-tunnel.ts";
import { requestHeaders, responseHeaders } from "./headers.ts";
import { networkFailure } from "./network-failure.ts";
import { narrowReach } from "./reach.ts";
import { parseTarget, type Target } from "./target.ts";

const NEVER_METHODS = new Set(["CONNECT", "TRACE", "TRACK"]);

/**
 * Plain HTTP in absolute form: method and path are seen, and compared with the grants like those of `fetch`. A redirect is
 * an answer like any other; following it is a request of its own.
 */
export async function forwardRequest(
  deps: EgressDeps,
  { context, within, signal }: Passage,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  const method = request.method ?? "";
  let shown = displayLine((request.url ?? "").split(/[?#]/, 1)[0] ?? "", 2048);
  let bytes = 0;
  let status: number | undefined;
  let failure: SallyportError | undefined;
  let isAsked = false;
  try {
    if (signal.aborted) throw signal.reason;
    const target = absoluteTarget(request, deps.limits.urlBytes);
    shown = displayLine(`${target.origin}${target.path}`, 2048);
    const wish = wishOf(target, method);
    if (NEVER_METHODS.has(method) || !narrowReach(deps.reach, within).allows(wish)) throw ungranted(method, shown);
    if (!deps.rate.take()) throw new SallyportError("limit_exceeded", "The plugin makes too many requests.");
    const headers = requestHeaders(pairs(request.rawHeaders), deps.limits.requestHeaderBytes);
    const addresses = await deps.gate.addressesOf(target, wish, signal);
    const server = await deps.transport.to(target, addresses);
    isAsked = true;
    const answer = await server.request({
      path: `${target.path}${target.query}`,
      method,
      headers: headers.flat(),
      body: hasBody(request)
        ? Readable.from(counted(request, deps.limits.requestBytes, (count) => (bytes += count)))
        : null,
      signal,
      responseHeaders: null,
    });
    status = answer.statusCode;
    const lines = Object.entries(answer.headers).flatMap(([name, value]) => headerLines(name, value));
    response.shouldKeepAlive = false;
    response.writeHead(status, responseHeaders(lines, false).flat());
    for await (const chunk of counted(answer.body, deps.limits.responseBytes, (count) => (bytes += count))) {
      if (!response.write(chunk)) await drained(response, signal);
    }
    response.end();
  } catch (error) {
    failure = error instanceof SallyportError ? error : networkFailure(error, signal);
    // From there on the server may have it all.
    if (isAsked && failure.category === "denied") failure = cutOff(failure) ?? failure;
    if (response.headersSent) request.socket.destroy();
    else request.socket.end(refusalText(failure));
  }
  deps.report(context, {
    target: shown,
    method,
    bytes,
    secrets: [],
    ...(status === undefined ? {} : { status }),
    ...(failure === undefined ? {} : { error: failure }),
  });
}

/** The URL of a request in absolute form, which names the same host as its Host header. */
function absoluteTarget(request: IncomingMessage, maxBytes: number): Target {
  const text = request.url ?? "";
  if (!/^http:\/\//i.test(text))
    throw new SallyportError("usage", "The proxy takes CONNECT, and http:// URLs in absolute form.");
  const target = parseTarget(text, maxBytes);
  const hosts = request.headersDistinct["host"] ?? [];
  const plain = `http://${hosts[0] ?? ""}/`;
  if (hosts.length !== 1 || !URL.canParse(plain) || new URL(plain).origin !== target.origin)
    throw new SallyportError("usage", "The Host header names another host than the request.");
  return target;
}

function wishOf(target: Target, method: string): Wish & { capability: "network" } {
  const { scheme, host, port, path } = target;
  return { capability: "network", host, port, scheme, method, path };
}

function ungranted(method: string, shown: string): PolicyViolationError {
  return new PolicyViolationError("permission_denied", `The program may not ${displayLine(method, 20)} ${shown}.`, {
    detail: "No grant covers this host, port, method and path together.",
    fix: "Declare it under permissions.network and have an operator approve it.",
  });
}

function pairs(raw: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) found.push([raw[at] ?? "", raw[at + 1] ?? ""]);
  return found;
}

function headerLines(name: string, value: string | string[] | undefined): [string, string][] {
  if (value === undefined) return [];
  return (typeof value === "string" ? [value] : value).map((line) => [name, line]);
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
}

async function* counted(body: AsyncIterable<Buffer>, limit: number, count: (bytes: number) => void) {
  let total = 0;
  for await (const chunk of body) {
    total += chunk.length;
    if (total > limit) throw new SallyportError("limit_exceeded", `The body is over ${limit} bytes.`);
    count(chunk.length);
    yield chunk;
  }
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    response.once("drain", done).once("close", done);
    signal.addEventListener("abort", done, { once: true });
  });
}
