import { Hono } from "hono";
import type { Host } from "../host-api.ts";
import { httpStatusOf, SallyportError, toSallyportError } from "../kernel/index.ts";
import { toFailure } from "../wire/index.ts";
import { operatorOf, type Principal, requireScope } from "./principal.ts";
import { type Answer, needsOf, type Route, routeRequest } from "./route.ts";
import { ROUTES } from "./routes.ts";
import { ndjson } from "./stream.ts";

export interface ApiOptions {
  /**
   * Says who sent the request, from what the transport proves. There is no default: an API that nobody guards is a defect.
   * @throws {SallyportError} `unauthenticated`.
   */
  readonly identify: (request: Request) => Principal | Promise<Principal>;
  /** Routes of the process that serves the API. */
  readonly extraRoutes?: readonly Route[];
  /** Aborted when the server stops: answers without an end (`tail`) end then. */
  readonly closing?: AbortSignal;
  /** Told of defects (`internal`), whose cause the client never sees. */
  readonly onDefect?: (error: unknown) => void;
}

/** The REST API as a Hono app: serve it, or mount it into an app of your own with `app.route("/", createApi(host, …))`. */
export function createApi(host: Host, options: ApiOptions): Hono {
  const app = new Hono();
  const fail = (thrown: unknown): Response => {
    const error = toSallyportError(thrown);
    if (error.code === "internal") options.onDefect?.(error.cause ?? error);
    return Response.json(toFailure(error), { status: httpStatusOf(error.code), headers: NO_STORE });
  };

  for (const route of [...ROUTES, ...(options.extraRoutes ?? [])]) {
    app.on(route.method, route.path, async (context) => {
      const parts = {
        raw: context.req.raw,
        url: new URL(context.req.url),
        param: (name: string) => context.req.param(name),
        closing: options.closing,
      };
      const principal = route.audience === "open" ? ANYBODY : await options.identify(context.req.raw);
      const request = routeRequest(host, principal, parts);
      if (route.audience === "operator") operatorOf(principal);
      if (route.audience !== "open") requireScope(principal, needsOf(route));
      if (route.needsPassphrase) await request.requirePassphrase();
      return respond(await route.handle(request));
    });
  }
  app.notFound(() =>
    fail(
      new SallyportError("not_found", "There is no such route.", {
        fix: "See docs/api.md for the routes and their methods.",
      }),
    ),
  );
  app.onError((error) => fail(error));
  return app;
}

const ANYBODY: Principal = { kind: "agent", name: "anybody" };
const NO_STORE = { "cache-control": "no-store" };

function respond(answer: Answer): Response {
  return "lines" in answer
    ? ndjson(answer.lines, (thrown) => toFailure(toSallyportError(thrown)))
    : Response.json(answer.json, { status: answer.status, headers: { ...NO_STORE, ...answer.headers } });
}
