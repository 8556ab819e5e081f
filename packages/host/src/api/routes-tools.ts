import { z } from "zod";
import type { InvokeAnswer, InvokeRequest } from "../host-api.ts";
import { httpStatusOf } from "../kernel/index.ts";
import { fullToolName } from "../manifest/index.ts";
import { actionName, handle, jsonObject, pluginId, toolName } from "./fields.ts";
import { type Answer, done, type JsonAnswer, type Route, type RouteRequest } from "./route.ts";
import { toCall, toTool } from "./wire.ts";

const callBody = z.strictObject({
  input: z.unknown().default({}),
  approval: handle.optional(),
  /** How long to hold a call that needs an approval, milliseconds. */
  wait_ms: z.number().int().min(0).max(3_600_000).optional(),
  trace: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
});

export const toolRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/tools",
    verb: "tool.list",
    audience: "agent",
    needsPassphrase: false,
    handle: async ({ host, caller }) => done((await host.tools.list(caller)).map(toTool)),
  },
  {
    method: "GET",
    path: "/api/tools/:name",
    verb: "tool.info",
    audience: "agent",
    needsPassphrase: false,
    handle: async (request) =>
      done(toTool(await request.host.tools.info(request.caller, request.param("name", toolName)))),
  },
  {
    method: "POST",
    path: "/api/tools/:name/call",
    verb: "tool.call",
    audience: "agent",
    needsPassphrase: false,
    handle: async (request) => {
      const { input, approval, trace, wait_ms: waitMs } = await request.body(callBody);
      return invoke(request, {
        tool: request.param("name", toolName),
        input,
        ...(approval !== undefined && { approvalId: approval }),
        ...(trace !== undefined && { trace }),
        ...(waitMs !== undefined && { waitMs }),
      });
    },
  },
  {
    method: "POST",
    path: "/api/plugins/execute/:id/:action",
    verb: "plugin.execute",
    audience: "agent",
    needsPassphrase: false,
    handle: async (request) => {
      const { params } = await request.body(z.strictObject({ params: jsonObject.default({}) }));
      const tool = fullToolName(request.param("id", pluginId), request.param("action", actionName));
      return invoke(request, { tool, input: params });
    },
  },
];

async function invoke(request: RouteRequest, call: InvokeRequest): Promise<Answer> {
  return answerCall(await request.host.invoke(request.caller, { ...call, signal: request.signal }));
}

/** What a call came to, with the status of its code. */
export function answerCall(answer: InvokeAnswer): JsonAnswer {
  const wait = answer.success ? undefined : answer.retryAfterMs;
  return {
    status: answer.success ? 200 : httpStatusOf(answer.code),
    json: toCall(answer),
    ...(wait !== undefined && { headers: { "retry-after": String(Math.ceil(wait / 1000)) } }),
  };
}
