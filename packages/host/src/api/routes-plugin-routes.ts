import { z } from "zod";
import { SallyportError } from "../kernel/index.ts";
import { jsonObject, pluginId } from "./fields.ts";
import type { Answer, Route, RouteRequest } from "./route.ts";
import { answerCall } from "./routes-tools.ts";

/**
 * What a browser may make of a plugin's words: nothing. They are JSON, in an envelope of ours, and no document that opens them
 * can run, load or be framed.
 */
const HEADERS = {
  "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
};

const PREFIX = /^\/plugins\/[^/]+/;

/** Paths that plugins contribute, below their own prefix. */
export const pluginRouteRoutes: readonly Route[] = (["GET", "POST", "PUT", "PATCH", "DELETE"] as const).map(
  (method) => ({
    method,
    path: "/plugins/:id/*",
    verb: `route.${method.toLowerCase()}`,
    audience: "agent",
    needsPassphrase: false,
    handle: (request) => call(request, method),
  }),
);

async function call(request: RouteRequest, method: string): Promise<Answer> {
  // Read before anything is looked up, so that what is wrong with it says nothing about what is there.
  const query = request.query(z.record(z.string().max(200), z.string().max(100_000)));
  const body = await request.body(jsonObject);
  const answer = await request.host.routes.call(request.caller, {
    plugin: request.param("id", pluginId),
    method,
    path: request.path.replace(PREFIX, ""),
    query,
    body: method === "GET" ? withoutBody(body) : body,
    signal: request.signal,
  });
  return { ...answerCall(answer), headers: HEADERS };
}

function withoutBody(body: Readonly<Record<string, unknown>>): Readonly<Record<string, never>> {
  if (Object.keys(body).length === 0) return {};
  throw new SallyportError("usage", "A GET has no body.", { fix: "Give the values in the query." });
}
