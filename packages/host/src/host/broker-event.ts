import type { BrokerAction } from "../broker/index.ts";
import { isContained, type IsolationLevel, newId } from "../kernel/index.ts";

/** What a plugin did through the broker, for the audit. */
export function brokerEvent(time: number, action: BrokerAction, level: IsolationLevel | undefined) {
  return {
    v: 1,
    id: newId("evt"),
    time,
    type: "broker.action",
    actor: `plugin:${action.plugin.id}`,
    plugin: action.plugin,
    capability: action.capability,
    target: action.target,
    method: action.method,
    bytes: action.bytes,
    decision: action.outcome === "denied" ? "deny" : "allow",
    outcome: action.outcome === "succeeded" ? "succeeded" : "failed",
    ...(level === undefined ? {} : { isolation: level, contained: isContained(level) }),
    ...(action.callId === null ? {} : { call_id: action.callId }),
    ...(action.agent === undefined ? {} : { agent: action.agent }),
    ...(action.tool === undefined ? {} : { tool: action.tool }),
    ...(action.status === undefined ? {} : { status: action.status }),
    ...(action.reason === undefined ? {} : { reason: action.reason }),
    ...(action.secrets === undefined && action.data === undefined
      ? {}
      : { data: { ...action.data, ...(action.secrets && { secrets: action.secrets }) } }),
  } as const;
}
