import { dirname } from "node:path";
import { type Broker, type BrokerDeps, createBroker, createDatabases, type Databases } from "../broker/index.ts";
import type { DatabasesApi } from "../host-api.ts";
import type { IsolationLevel, PluginRef } from "../kernel/index.ts";
import type { Redactor } from "../secrets/index.ts";
import type { KvStore } from "../store/index.ts";
import { brokerEvent } from "./broker-event.ts";
import type { ConfigState } from "./config-state.ts";
import { createDatabasesApi } from "./databases.ts";
import type { FlowTracker } from "./flow.ts";
import type { LogBook } from "./logs.ts";
import type { HomeParts } from "./parts.ts";
import type { Refusals } from "./refusals.ts";

export interface BrokerSources extends Required<Pick<BrokerDeps, "agent" | "events">> {
  readonly dataRoot: string;
  readonly state: ConfigState;
  readonly redactor: Redactor;
  readonly kv: KvStore;
  readonly logs: LogBook;
  readonly refusals: Refusals;
  readonly flow: Pick<FlowTracker, "acted">;
  levelOf(plugin: PluginRef): IsolationLevel | undefined;
}

interface OpenedBroker {
  readonly broker: Broker;
  readonly databases: Databases;
  readonly databasesApi: DatabasesApi;
  readonly forbiddenPaths: readonly string[];
}

/** The broker of an open home: each action goes into the audit, each line of a plugin's into its log. */
export function openBroker(
  parts: HomeParts,
  { dataRoot, state, redactor, kv, logs, refusals, flow, levelOf, agent, events }: BrokerSources,
): OpenedBroker {
  const { audit, clock, engine, probe } = parts;
  const forbiddenPaths = [parts.home, dataRoot, parts.storePath, dirname(engine.deno), dirname(engine.runner)];
  const databases = createDatabases({
    find: (name) => state.config.databases.get(name),
    secrets: parts.vault,
    engine,
    tools: probe.tools,
    available: probe.report.available,
    hostIsRoot: parts.hostIsRoot,
    forbiddenPaths,
  });
  const broker = createBroker({
    ...parts.overrides.network,
    home: parts.home,
    secrets: parts.vault,
    redactor,
    kv,
    databases,
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
  const databasesApi = createDatabasesApi({ databases, catalog: parts.catalog, state });
  return { broker, databases, databasesApi, forbiddenPaths };
}
