import type { z } from "zod";
import type { Host, Operator, OperatorScope } from "../host-api.ts";
import { type Caller, SallyportError } from "../kernel/index.ts";
import { checked, readJsonBody } from "./body.ts";
import { callerOf, type Needs, operatorOf, type Principal, requireScope, tokenOf } from "./principal.ts";

/**
 * Who may use a route. `agent`: agents and operators; `operator`: never an agent, nor an operator who acts as one;
 * `open`: anybody, and it tells nothing.
 */
export type Audience = "agent" | "operator" | "open";

/** One line of the table that the whole API is built from. A route that is not in the table does not exist. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `:name` is one percent-encoded segment. */
  readonly path: string;
  /** `<object>.<verb>`, unique. */
  readonly verb: string;
  readonly audience: Audience;
  /** It widens what somebody may do: the operator's passphrase is asked for when one is set. */
  readonly needsPassphrase: boolean;
  /** What an operator's token needs for it; see `needsOf` for those that do not say. */
  readonly needs?: Needs;
  handle(request: RouteRequest): Promise<Answer>;
}

export interface JsonAnswer {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a handler answers: a JSON document with its status, or lines of JSON. */
export type Answer = JsonAnswer | { readonly lines: AsyncIterable<unknown> };

export interface RouteRequest {
  readonly host: Host;
  readonly caller: Caller;
  /** The path as it was sent. */
  readonly path: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Aborted when the client goes away or the server stops. */
  readonly endless: AbortSignal;
  /** The client wants lines of progress before the answer. */
  readonly wantsLines: boolean;
  /** @throws {PolicyViolationError} `forbidden` when the sender is no operator. */
  operator(): Operator;
  /**
   * For verbs that widen only with some inputs. An operator's token needs the scope instead, and the passphrase unless that was
   * asked for when it was made. @throws {PolicyViolationError} `passphrase_required`, `forbidden`.
   */
  requirePassphrase(scope?: OperatorScope): Promise<void>;
  body<T extends z.ZodType>(schema: T): Promise<z.infer<T>>;
  query<T extends z.ZodType>(schema: T): z.infer<T>;
  /** A path parameter, decoded and matched. */
  param<T extends z.ZodType>(name: string, schema: T): z.infer<T>;
}

export interface RequestParts {
  readonly raw: Request;
  readonly url: URL;
  readonly param: (name: string) => string | undefined;
  readonly closing: AbortSignal | undefined;
}

export function routeRequest(host: Host, principal: Principal, parts: RequestParts): RouteRequest {
  const { raw, url, closing } = parts;
  return {
    host,
    caller: callerOf(principal),
    path: url.pathname,
    signal: raw.signal,
    get endless() {
      const token = tokenOf(principal);
      const ends = [raw.signal];
      if (closing) ends.push(closing);
      if (token !== undefined) ends.push(endOfToken(host, token, raw.signal));
      return AbortSignal.any(ends);
    },
    wantsLines: raw.headers.get("accept") === "application/x-ndjson",
    operator: () => operatorOf(principal),
    async requirePassphrase(scope) {
      if (scope !== undefined) requireScope(principal, scope);
      if (principal.kind === "operator" && principal.token?.guarded === true) return;
      await host.operators.authenticate(passphraseOf(raw));
    },
    body: async (schema) => checked(schema, await readJsonBody(raw), "body"),
    query: (schema) => checked(schema, queryOf(url), "query"),
    param: (name, schema) => checked(schema, parts.param(name), "path"),
  };
}

/** Aborted when the token ends; nothing listens any more once the client has gone. */
function endOfToken(host: Host, token: string, gone: AbortSignal): AbortSignal {
  const ended = new AbortController();
  const stop = host.tokens.onEnded((id) => {
    if (id === token) ended.abort();
  });
  gone.addEventListener("abort", stop, { once: true });
  return ended.signal;
}

/* Percent-encoded, since a header holds ASCII only. */
function passphraseOf(raw: Request): string | undefined {
  const header = raw.headers.get("x-sallyport-passphrase");
  if (header === null) return undefined;
  try {
    return decodeURIComponent(header);
  } catch (cause) {
    throw new SallyportError("usage", "The header x-sallyport-passphrase is not percent-encoded UTF-8.", {
      fix: "Encode it as encodeURIComponent does.",
      cause,
    });
  }
}

/* A repeated key becomes an array, which no schema accepts: two readers can never pick different values. */
function queryOf(url: URL): Record<string, unknown> {
  const query: Record<string, unknown> = Object.create(null);
  for (const key of new Set(url.searchParams.keys())) {
    const values = url.searchParams.getAll(key);
    query[key] = values.length === 1 ? values[0] : values;
  }
  return query;
}

export function done(result: unknown, extra: Readonly<Record<string, unknown>> = {}): Answer {
  return { status: 200, json: { success: true, ...extra, result } };
}

/** What an operator's token needs for a route that does not say: what widens is an administrator's. */
export function needsOf(route: Route): Needs {
  return route.needs ?? (route.needsPassphrase ? "admin" : "operate");
}
