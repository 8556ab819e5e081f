import type { AgentPort } from "../broker/index.ts";
import type { InvokeAnswer, InvokeRequest } from "../host-api.ts";
import { type Caller, ERROR_CODES, type PluginRef, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { type Flights, type MadeBy, rootOf } from "./flights.ts";

/** Bounds of the calls that plugins make of other tools. */
export const PLUGIN_CALL_LIMITS = {
  /** A tool that the agent called may call one, which may call one, … */
  depth: 4,
  /** Below one call of an agent's, all of them together. */
  calls: 64,
} as const;

export interface PluginCallsDeps {
  readonly flights: Flights;
  invoke(caller: Caller, request: InvokeRequest, made: MadeBy): Promise<InvokeAnswer>;
}

/**
 * Calls of other tools within a call, by the same gates as any: for the agent that began it, within the grant of the plugin
 * that asks, no longer than that plugin's call, and cancelled with it. The grant was looked at before.
 */
export function createPluginCalls({ flights, invoke }: PluginCallsDeps): (plugin: PluginRef) => AgentPort["callTool"] {
  return (plugin) =>
    async ({ tool, input, callId, signal }) => {
      const parent = flights.find(callId);
      if (parent === undefined || parent.plugin.digest !== plugin.digest || parent.plugin.id !== plugin.id) {
        throw noOrigin();
      }
      const root = rootOf(parent);
      const depth = (parent.caller.via?.depth ?? 0) + 1;
      if (depth > PLUGIN_CALL_LIMITS.depth) throw tooDeep();
      if (root.made >= PLUGIN_CALL_LIMITS.calls) throw tooMany();
      root.made++;
      const chain = [...(parent.caller.via?.chain ?? []), parent.tool];
      const answer = await invoke(
        parent.caller,
        { tool, input, signal, ...(parent.trace === undefined ? {} : { trace: parent.trace }) },
        { parent, via: { plugin, callId, depth, chain } },
      );
      if (answer.success) return answer.result;
      throw failureOf(answer);
    };
}

function failureOf({ code, error, fix, callId, approval }: Extract<InvokeAnswer, { success: false }>): SallyportError {
  const { category } = ERROR_CODES[code];
  const Failure = category === "denied" || category === "approval" ? PolicyViolationError : SallyportError;
  return new Failure(code, error, {
    ...(fix === undefined ? {} : { fix }),
    data: { call: callId, ...(approval === undefined ? {} : { approval: approval.id }) },
  });
}

function noOrigin(): PolicyViolationError {
  return new PolicyViolationError("permission_denied", "Tools are called only within a tool call.", {
    detail: "Without a call of an agent's there is nobody for whom to decide.",
    fix: "Call tools from inside a tool, and await them.",
  });
}

function tooDeep(): SallyportError {
  return new SallyportError("limit_exceeded", `Calls of plugins go ${PLUGIN_CALL_LIMITS.depth} deep at most.`, {
    fix: "Look for plugins that call each other in a circle.",
  });
}

function tooMany(): SallyportError {
  return new SallyportError(
    "limit_exceeded",
    `One call of an agent leads to at most ${PLUGIN_CALL_LIMITS.calls} calls of plugins.`,
    { fix: "Do less in one call." },
  );
}
