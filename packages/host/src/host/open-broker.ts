import { dirname } from "node:path";
import { type Broker, type BrokerDeps, createBroker } from "../broker/index.ts";
import type { IsolationLevel, PluginRef } from "../kernel/index.ts";
import type { Redactor } from "../secrets/index.ts";
import type { KvStore } from "../store/index.ts";
import { brokerEvent } from "./broker-event.ts";
import type { FlowTracker } from "./flow.ts";
import type { LogBook } from "./logs.ts";
import type { HomeParts } from "./parts.ts";
import type { Refusals } from "./refusals.ts";

export interface BrokerSources extends Required<Pick<BrokerDeps, "agent" | "events">> {
  readonly dataRoot: string;
  readonly redactor: Redactor;
  readonly kv: KvStore;
  readonly logs: LogBook;
  readonly refusals: Refusals;
  readonly flow: Pick<FlowTracker, "acted">;
  levelOf(plugin: PluginRef): IsolationLevel | undefined;
}

/** The broker of an open home: each action goes into the audit, each line of a plugin's into its log. */
export function openBroker(
  parts: HomeParts,
  { dataRoot, redactor, kv, logs, refusals, flow, levelOf, agent, events }: BrokerSources,
): { readonly broker: Broker; readonly forbiddenPaths: readonly string[] } {
  const { audit, clock, engine } = parts;
  const forbiddenPaths = [parts.home, dataRoot, parts.storePath, dirname(engine.deno), dirname(engine.runner)];
  const broker = createBroker({
    ...parts.overrides.network,
    home: parts.home,
    secrets: parts.vault,
    redactor,
    kv,
    clock,
    agent,
    events,
    onAction(action) {
      refusals.note(action);
      flow.acted(action);
      audit.note(brokerEvent(clock.now(), action, levelOf(action.plugin)));
    },
    onLog: ({ plugin, time, level, message, callId }) =>
      logs.add(plugin.id, { time, level, message, ...(callId === null ? {} : { call: callId }) }),
    forbiddenPaths,
    commandWalls: { engine, probe: parts.probe, hostIsRoot: parts.hostIsRoot },
  });
  return { broker, forbiddenPaths };
}
