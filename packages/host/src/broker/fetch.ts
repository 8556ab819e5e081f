import { displayLine, LIMITS, PolicyViolationError, SallyportError, toSallyportError } from "../kernel/index.ts";
import { createRedactor, type KnownSecret } from "../secrets/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { canonicalBase64 } from "./base64.ts";
import type { Bodies } from "./bodies.ts";
import { cancelled } from "./aborting.ts";
import { requestHeaders, responseHeaders } from "./headers.ts";
import { networkFailure, requestTooSlow } from "./network-failure.ts";
import type { Places, RateLimit } from "./rate.ts";
import type { NetworkLimits } from "./network-limits.ts";
import { narrowReach, type Reach } from "./reach.ts";
import { followRedirects, type HopDeps } from "./redirects.ts";
import { createResponseBody, decodable } from "./response-body.ts";
import type { RequestSecrets } from "./request-secrets.ts";
import { parseTarget, targetUrl } from "./target.ts";
import type { Transport } from "./transport.ts";
import type { Upload, Uploads } from "./uploads.ts";
import type { AddressGate } from "./resolve.ts";

export interface FetchParams {
  readonly url: string;
  readonly method: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | null;
  readonly upload: string | null;
  readonly redirect: "follow" | "manual" | "error";
  readonly secrets: readonly string[];
}

/** What the audit is told about one request and its redirects; one report for each server that was asked. */
export interface NetworkReport {
  readonly target: string;
  readonly method: string;
  readonly status?: number;
  readonly bytes: number;
  readonly secrets: readonly string[];
  readonly error?: SallyportError;
}

export interface FetchDeps {
  readonly limits: NetworkLimits;
  readonly reach: Reach;
  readonly gate: AddressGate;
  readonly secrets: RequestSecrets;
  readonly transport: Transport;
  readonly rate: RateLimit;
  readonly places: Places;
  readonly bodies: Bodies;
  readonly uploads: Uploads;
  readonly report: (context: CallContext, report: NetworkReport) => void;
}

const NEVER_METHODS = new Set(["CONNECT", "TRACE", "TRACK"]);

export interface Fetch {
  prepare(params: FetchParams, context: CallContext): void;
  run(params: FetchParams, context: CallContext, signal: AbortSignal): Promise<unknown>;
}

export function createFetch(deps: FetchDeps): Fetch {
  const opened = new WeakMap<FetchParams, Upload>();

  return {
    // The plugin sends pieces of the body right after the request; there has to be a place for them by then.
    prepare(params, { callId }) {
      if (params.upload !== null) opened.set(params, deps.uploads.open(callId, params.upload));
    },
    run: (params, context, signal) => answer(deps, params, opened.get(params), context, signal),
  };
}

async function answer(
  deps: FetchDeps,
  params: FetchParams,
  upload: Upload | undefined,
  context: CallContext,
  signal: AbortSignal,
): Promise<unknown> {
  const { limits, bodies } = deps;
  const life = createLife(signal, context.signal, limits.totalMs);
  let reported = false;
  let leave: (() => void) | undefined;
  const end = (): void => {
    life.end();
    leave?.();
    // Not before the answer is over: a server may answer while the plugin still sends.
    upload?.end();
  };
  try {
    const target = parseTarget(params.url, limits.urlBytes);
    const method = params.method.toUpperCase();
    if (NEVER_METHODS.has(method))
      throw new PolicyViolationError("permission_denied", `The method ${method} is never allowed.`);
    const body = requestBody(params, method);
    if (body !== null) deps.secrets.refuseIn(body);
    const headers = requestHeaders(params.headers, limits.requestHeaderBytes);
    const planned = deps.secrets.plan(
      target.origin,
      { path: target.path, query: target.query, headers },
      params.secrets,
    );
    if (!deps.rate.take()) {
      throw new SallyportError("limit_exceeded", `The plugin makes more than ${limits.perSecond} requests a second.`, {
        fix: "Ask less often.",
      });
    }
    leave = await deps.places.enter(life.signal).catch(() => {
      throw networkFailure(undefined, life.signal);
    });
    const hops: HopDeps = {
      ...deps,
      reach: narrowReach(deps.reach, context.within),
      report(report) {
        reported = true;
        deps.report(context, report);
      },
    };
    const last = await followRedirects(hops, {
      target: { ...target, path: planned.parts.path, query: planned.parts.query },
      method,
      headers: planned.parts.headers,
      body: upload?.stream ?? body,
      uses: planned.uses,
      redirect: params.redirect,
      signal: life.signal,
    });
    const { response, written } = last;
    const hide = createHide(written);
    const encodings = emptyBody(method, response.statusCode)
      ? []
      : decodable(headerOf(response.headers, "content-encoding"));
    if (encodings === null && written.length > 0) {
      response.body.destroy();
      throw new SallyportError("network_failed", "The answer has an encoding that the host cannot undo.", {
        detail: "A request that carried a secret asked for a plain answer, so that the secret could be kept out of it.",
      });
    }
    const responseBody = createResponseBody(response.body, {
      encodings: encodings ?? [],
      maxBytes: limits.responseBytes,
      secrets: written,
      signal: life.signal,
    });
    life.onEnd(() => {
      responseBody.cancel();
      leave?.();
    });
    const finish = (error?: unknown): void => {
      last.done(
        responseBody.bytes + (upload?.bytes ?? body?.length ?? 0),
        error === undefined ? undefined : toSallyportError(error),
      );
      end();
    };
    const isEvents = headerOf(response.headers, "content-type")?.startsWith("text/event-stream") === true;
    const delivery = await bodies.deliver(context.callId, responseBody, finish, {
      wait: !isEvents,
      signal: life.signal,
    });
    const changed = written.length > 0 || (encodings ?? []).length > 0;
    return {
      status: response.statusCode,
      status_text: hide(response.statusText),
      headers: responseHeaders(response.headers, changed).map(([name, value]) => [name, hide(value)]),
      url: hide(targetUrl(last.target)),
      redirected: last.redirected,
      body: delivery.body?.toString("base64") ?? null,
      stream: delivery.stream,
    };
  } catch (error) {
    end();
    const failure = networkFailure(error, life.signal);
    if (!reported) {
      const shown = displayLine(params.url.split(/[?#]/, 1)[0] ?? "", 2048);
      deps.report(context, {
        target: shown,
        method: params.method.toUpperCase(),
        bytes: 0,
        secrets: [],
        error: failure,
      });
    }
    throw failure;
  }
}

function requestBody(params: FetchParams, method: string): Buffer | null {
  if (params.body === null && params.upload === null) return null;
  if (params.body !== null && params.upload !== null)
    throw new SallyportError("usage", "A request has one body, whole or in pieces.");
  if (method === "GET" || method === "HEAD") throw new SallyportError("usage", `A ${method} request has no body.`);
  return params.body === null ? null : canonicalBase64(params.body, LIMITS.lineBytes);
}

function emptyBody(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 205 || status === 304;
}

export function headerOf(headers: readonly (readonly [string, string])[], name: string): string | undefined {
  const values = headers.filter(([key]) => key === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(", ");
}

function createHide(written: readonly KnownSecret[]): (text: string) => string {
  if (written.length === 0) return (text) => text;
  const redactor = createRedactor(() => written);
  return (text) => redactor.redactText(text);
}

interface Life {
  readonly signal: AbortSignal;
  onEnd(then: () => void): void;
  end(): void;
}

/** From the request to the last byte of its answer: ends with the call, with the process, or when it takes too long. */
function createLife(request: AbortSignal, call: AbortSignal, totalMs: number): Life {
  const controller = new AbortController();
  const stop = (): void => controller.abort(cancelled());
  const timer = setTimeout(() => controller.abort(requestTooSlow(totalMs)), totalMs);
  timer.unref();
  for (const signal of [request, call]) {
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  }
  return {
    signal: controller.signal,
    onEnd: (then) => controller.signal.addEventListener("abort", then, { once: true }),
    end() {
      clearTimeout(timer);
      for (const signal of [request, call]) signal.removeEventListener("abort", stop);
    },
  };
}
