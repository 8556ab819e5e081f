import { Readable } from "node:stream";
import type { Wish } from "../capability/index.ts";
import { displayLine, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { type KnownSecret, redactionMark, secretForms } from "../secrets/index.ts";
import type { FetchDeps, NetworkReport } from "./fetch.ts";
import { type HeaderList, withoutHeader } from "./headers.ts";
import { networkFailure } from "./network-failure.ts";
import type { PlannedUse } from "./request-secrets.ts";
import { parseTarget, type Target, targetUrl } from "./target.ts";

export interface HopDeps extends Pick<FetchDeps, "limits" | "reach" | "gate" | "secrets" | "transport"> {
  readonly report: (report: NetworkReport) => void;
}

export interface HopRequest {
  readonly target: Target;
  readonly method: string;
  readonly headers: HeaderList;
  readonly body: Buffer | Readable | null;
  readonly uses: readonly PlannedUse[];
  readonly redirect: "follow" | "manual" | "error";
  readonly signal: AbortSignal;
}

export interface HopResponse {
  readonly statusCode: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Readable;
}

export interface LastHop {
  readonly response: HopResponse;
  /** Where it came from, as the host asked for it: with secrets, if any were written. */
  readonly target: Target;
  readonly redirected: boolean;
  readonly written: readonly KnownSecret[];
  /** Reports the exchange, once its body is over. */
  done(bytes: number, error?: SallyportError): void;
}

/** Asks, and follows redirects one by one: each is a wish of its own, resolved and checked like the first. */
export async function followRedirects(deps: HopDeps, first: HopRequest): Promise<LastHop> {
  let request = first;
  // Every secret that any of the servers was given: the last answer may still hold one that the first request carried.
  let written: readonly KnownSecret[] = [];
  for (let redirects = 0; ; redirects++) {
    const hop = await ask(deps, request);
    written = [...written, ...hop.written.filter((secret) => !written.some(({ name }) => name === secret.name))];
    const location = redirectOf(hop.response);
    if (location === undefined || request.redirect === "manual") return { ...hop, written, redirected: redirects > 0 };
    hop.response.body.on("error", () => undefined).destroy();
    try {
      if (request.redirect === "error")
        throw new SallyportError("network_failed", "The server redirects, and the request forbids it.");
      if (redirects === deps.limits.redirects)
        throw new SallyportError("network_failed", `The server redirects more than ${redirects} times.`);
      request = next(deps, request, { ...hop, written }, location);
    } catch (error) {
      const failure = networkFailure(error, request.signal);
      // This server was asked, with all that the request carried; what is refused is only where it leads.
      if (failure.category === "denied") hop.done(0);
      hop.done(0, failure);
      throw failure;
    }
    hop.done(0);
  }
}

async function ask(deps: HopDeps, request: HopRequest): Promise<Omit<LastHop, "redirected">> {
  const { signal, method } = request;
  const plain = request.target;
  let secrets: readonly string[] = [];
  const shown = displayLine(`${plain.origin}${pathWithNames(plain.path, request.uses)}`, 2048);
  const done = (bytes: number, error?: SallyportError, status?: number): void =>
    deps.report({
      target: shown,
      method,
      bytes,
      secrets,
      ...(status === undefined ? {} : { status }),
      ...(error === undefined ? {} : { error }),
    });
  try {
    const { parts, written } = deps.secrets.write(
      plain.origin,
      { path: plain.path, query: plain.query, headers: request.headers },
      request.uses,
    );
    const target: Target = { ...plain, path: parts.path, query: parts.query };
    const wish: Wish & { capability: "network" } = {
      capability: "network",
      host: target.host,
      port: target.port,
      scheme: target.scheme,
      method,
      path: target.path,
    };
    if (!deps.reach.allows(wish)) throw ungranted(method, shown);
    const addresses = await deps.gate.addressesOf(target, wish, signal);
    // From here on the server may read them, also when it never answers.
    secrets = written.map(({ name }) => name);
    const headers = [...parts.headers, ...hostHeaders(parts.headers, written.length > 0)];
    const answer = await (
      await deps.transport.to(target, addresses)
    ).request({
      path: `${target.path}${target.query}`,
      method,
      headers: headers.flat(),
      body: request.body,
      signal,
      responseHeaders: null,
    });
    answer.body.on("error", () => undefined);
    const response: HopResponse = {
      statusCode: answer.statusCode,
      statusText: answer.statusText,
      headers: Object.entries(answer.headers).flatMap(([name, value]) => headerLines(name, value)),
      body: answer.body,
    };
    return { response, target, written, done: (bytes, error) => done(bytes, error, answer.statusCode) };
  } catch (error) {
    const failure = networkFailure(error, signal);
    done(0, failure);
    throw failure;
  }
}

function headerLines(name: string, value: string | string[] | undefined): [string, string][] {
  if (value === undefined) return [];
  return (typeof value === "string" ? [value] : value).map((line) => [name, line]);
}

function hostHeaders(headers: HeaderList, plainAnswer: boolean): [string, string][] {
  const added: [string, string][] = [["accept-encoding", plainAnswer ? "identity" : "gzip, deflate, br"]];
  if (!headers.some(([name]) => name === "user-agent")) added.push(["user-agent", "sallyport"]);
  if (!headers.some(([name]) => name === "accept")) added.push(["accept", "*/*"]);
  return added;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

function redirectOf({ statusCode, headers }: HopResponse): string | undefined {
  if (!REDIRECTS.has(statusCode)) return undefined;
  return headers.find(([name]) => name === "location")?.[1];
}

function next(deps: HopDeps, request: HopRequest, hop: Omit<LastHop, "redirected">, location: string): HopRequest {
  const base = targetUrl(hop.target);
  if (location.length > deps.limits.urlBytes || !URL.canParse(location, base)) {
    throw new SallyportError("network_failed", "The server redirects to something that is no URL.");
  }
  const target = parseTarget(new URL(location, base).href, deps.limits.urlBytes);
  const sameServer = target.origin === request.target.origin;
  if (
    !sameServer &&
    hop.written.some(({ value }) => secretForms(value).some((form) => targetUrl(target).includes(form)))
  ) {
    throw new PolicyViolationError(
      "secret_misuse",
      "The server redirects to another origin, with a secret in the address.",
    );
  }
  const { statusCode } = hop.response;
  const toGet =
    (statusCode === 303 && request.method !== "HEAD") ||
    ((statusCode === 301 || statusCode === 302) && request.method === "POST");
  if (!toGet && request.body instanceof Readable) {
    throw new SallyportError("network_failed", "The server redirects a request whose body was sent in pieces.", {
      detail: "It cannot be sent again.",
    });
  }
  const kept = toGet
    ? withoutHeader(request.headers, "content-type", "content-encoding", "content-language", "content-location")
    : request.headers;
  return {
    ...request,
    target,
    method: toGet ? "GET" : request.method,
    body: toGet ? null : request.body,
    // Once away from the origin, a secret does not come back with a second redirect. The path is the server's own choice.
    uses: sameServer ? request.uses.filter(({ use }) => !use.in.startsWith("path:")) : [],
    headers: sameServer ? kept : withoutHeader(kept, "authorization"),
  };
}

/** The path as it may be shown: with the secret's name where its value goes. */
export function pathWithNames(path: string, uses: readonly PlannedUse[]): string {
  const segments = path.split("/");
  for (const { name, use } of uses) {
    const at = use.in.startsWith("path:") ? Number(use.in.slice(5)) + 1 : 0;
    if (at > 0 && at < segments.length) segments[at] = redactionMark(name);
  }
  return segments.join("/");
}

function ungranted(method: string, shown: string): PolicyViolationError {
  return new PolicyViolationError("permission_denied", `The plugin may not ${method} ${shown}.`, {
    detail: "No grant covers this host, port, method and path together.",
    fix: "Declare it under permissions.network and have an operator approve it.",
    data: { capability: "network" },
  });
}
