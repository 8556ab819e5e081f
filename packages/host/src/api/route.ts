import type { z } from "zod";
import type { Host, Operator } from "../host-api.ts";
import { type Caller, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { checked, readJsonBody } from "./body.ts";
import { callerOf, type Principal } from "./principal.ts";

/**
 * Who may use a route. `agent`: agents and operators; `operator`: never an agent, nor an operator who acts as one;
 * `open`: anybody, and it tells nothing.
 */
export type Audience = "agent" | "operator" | "open";

/** One line of the table that the whole API is built from. A route that is not in the table does not exist. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** `:name` is one percent-encoded segment. */
  readonly path: string;
  /** `<object>.<verb>`, unique. */
  readonly verb: string;
  readonly audience: Audience;
  /** It widens what somebody may do: the operator's passphrase is asked for when one is set. */
  readonly needsPassphrase: boolean;
  handle(request: RouteRequest): Promise<Answer>;
}

/** What a handler answers: a JSON document with its status, or lines of JSON. */
export type Answer =
  | { readonly status: number; readonly json: Readonly<Record<string, unknown>> }
  | { readonly lines: AsyncIterable<unknown> };

export interface RouteRequest {
  readonly host: Host;
  readonly caller: Caller;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Aborted when the client goes away or the server stops. */
  readonly endless: AbortSignal;
  /** The client wants lines of progress before the answer. */
  readonly wantsLines: boolean;
  /** @throws {PolicyViolationError} `forbidden` when the sender is no operator. */
  operator(): Operator;
  /** @throws {PolicyViolationError} `passphrase_required`. For verbs that widen only with some inputs. */
  requirePassphrase(): Promise<void>;
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
    signal: raw.signal,
    get endless() {
      return closing ? AbortSignal.any([raw.signal, closing]) : raw.signal;
    },
    wantsLines: raw.headers.get("accept") === "application/x-ndjson",
    operator: () => operatorOf(principal),
    requirePassphrase: async () => host.operators.authenticate(passphraseOf(raw)),
    body: async (schema) => checked(schema, await readJsonBody(raw), "body"),
    query: (schema) => checked(schema, queryOf(url), "query"),
    param: (name, schema) => checked(schema, parts.param(name), "path"),
  };
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

export function operatorOf(principal: Principal): Operator {
  if (principal.kind === "operator" && principal.actingAs === undefined) return { name: principal.name };
  throw new PolicyViolationError("forbidden", "Only an operator may do this.", {
    detail: "Agents list and call tools; they never install, approve, grant, or read the audit and secrets.",
    fix: "Ask the operator to do it.",
  });
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
