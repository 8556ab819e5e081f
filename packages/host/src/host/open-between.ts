import type { AgentPort, EventsPort } from "../broker/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { PluginNote } from "../host-api.ts";
import { newId, type PluginRef } from "../kernel/index.ts";
import type { Redactor } from "../secrets/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { ConfigState } from "./config-state.ts";
import { createDeliveries } from "./deliveries.ts";
import { createEvents } from "./events.ts";
import { createFlights, type Flights } from "./flights.ts";
import { createHookGate, type HookGate } from "./hook-gate.ts";
import type { LogBook } from "./logs.ts";
import { createObservers, type Observers } from "./observers.ts";
import type { HomeParts } from "./parts.ts";
import { createPluginCalls, type PluginCallsDeps } from "./plugin-calls.ts";
import type { Runtime } from "./runtime.ts";
import { createTell } from "./tell.ts";
import { createWatchers, type Watchers } from "./watchers.ts";

export interface BetweenSources {
  readonly catalog: Catalog;
  readonly state: ConfigState;
  readonly redactor: Redactor;
  readonly logs: LogBook;
  readonly onDefect: (error: unknown) => void;
  runtime(): Pick<Runtime, "running" | "wake">;
  readonly invoke: PluginCallsDeps["invoke"];
}

/** What passes between plugins: calls that they make of each other's tools, hooks and events; and their notes to operators. */
export interface Between {
  readonly watchers: Watchers;
  readonly flights: Flights;
  readonly hooks: HookGate;
  readonly observers: Observers;
  readonly agent: (plugin: PluginRef) => AgentPort;
  readonly events: (plugin: PluginRef) => EventsPort;
  onNote(listener: (note: PluginNote) => void): () => void;
  /** Once no process is left; nothing is told any more. */
  close(): Promise<void>;
}

export function openBetween({ audit, clock }: HomeParts, sources: BetweenSources): Between {
  const { catalog, state, redactor, logs, invoke } = sources;
  const listeners = new Set<(note: PluginNote) => void>();
  const flights = createFlights(clock);
  const watchers = createWatchers({
    catalog,
    hearing: () => state.decisions.hearing,
    grantOf: (record) => state.decisions.grantOf(record),
    ceilingOf: (id) => state.decisions.ceilingOf(id),
  });
  const tell = createTell({
    running: (plugin, agent) => sources.runtime().running(plugin, agent),
    wake: (plugin, agent) => sources.runtime().wake(plugin, agent),
  });
  const deliveries = createDeliveries({ tell, audit, clock });
  const callTool = createPluginCalls({ flights, invoke });

  function notify(plugin: PluginRef, { text, context }: Parameters<AgentPort["notify"]>[0]): void {
    const note: PluginNote = {
      plugin: plugin.id,
      version: plugin.version,
      text,
      call: context.callId,
      agent: context.agent,
      time: clock.now(),
    };
    audit.note({
      v: 1,
      id: newId("evt"),
      time: note.time,
      type: "plugin.note",
      actor: `plugin:${plugin.id}`,
      plugin,
      agent: context.agent,
      tool: context.tool,
      call_id: context.callId,
      data: { text },
    });
    logs.add(plugin.id, {
      time: note.time,
      level: "warn",
      message: `Note to the operators: ${text}`,
      call: context.callId,
    });
    for (const listener of listeners) {
      try {
        listener(note);
      } catch (error) {
        sources.onDefect(error);
      }
    }
  }

  return {
    watchers,
    flights,
    hooks: createHookGate({
      tell,
      audit,
      clock,
      settings: () => state.config.hooks,
      redact: redactor.redactJson,
      redactText: redactor.redactText,
    }),
    observers: createObservers({ watchers, deliveries, redact: redactor.redactJson }),
    agent: (plugin) => ({ callTool: callTool(plugin), notify: (note) => notify(plugin, note) }),
    events: createEvents({ flights, watchers, deliveries, clock }),
    onNote(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => deliveries.close(),
  };
}

/** Whether a change of one version changes who hears of what. */
export function changesHearing(
  hearing: ReadonlySet<string>,
  before: StoredPlugin | undefined,
  now: StoredPlugin | undefined,
): boolean {
  const id = (now ?? before)?.ref.id;
  if (id === undefined || !hearing.has(id)) return false;
  return before?.state !== now?.state || before?.active !== now?.active;
}
