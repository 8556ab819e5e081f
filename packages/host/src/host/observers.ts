import type { CallOutcome, Caller, ErrorCode } from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { Deliveries } from "./deliveries.ts";
import type { CallRoute } from "./route.ts";
import type { Watcher, Watchers } from "./watchers.ts";

/** A call that is over. */
export interface EndedCall {
  readonly callId: string;
  readonly caller: Caller;
  readonly route: Pick<CallRoute, "name" | "plugin" | "effect" | "watchers">;
  readonly outcome: CallOutcome;
  readonly code: ErrorCode | undefined;
  readonly durationMs: number;
  readonly input: unknown;
  /** Redacted. */
  readonly result: unknown;
}

export interface Observers {
  /** Hooks on `tool.after_call` hear of it; nobody waits for them. */
  called(call: EndedCall): void;
  /** Hooks on `plugin.lifecycle` hear of it. */
  moved(before: StoredPlugin, now: StoredPlugin): void;
}

export interface ObserversDeps {
  readonly watchers: Pick<Watchers, "ofPlugin" | "watchesPlugins">;
  readonly deliveries: Pick<Deliveries, "send">;
  redact(value: unknown): unknown;
}

/** More of arguments and result than this is left out. */
const PAYLOAD_BYTES = 256 * 1024;

/** Hooks that only watch. What they fail with changes nothing but the audit. */
export function createObservers({ watchers, deliveries, redact }: ObserversDeps): Observers {
  function send(
    watcher: Watcher,
    agent: string,
    data: Readonly<Record<string, unknown>>,
    facts: { readonly parent_call?: string; readonly tool?: string; readonly wake: boolean },
  ): void {
    const { wake, ...joined } = facts;
    const { plugin, handler, scope, expiresAt } = watcher;
    deliveries.send({
      to: plugin,
      kind: "hook",
      message: { handler, data },
      agent,
      background: scope.background === true,
      wake,
      bytes: JSON.stringify(data).length,
      expiresAt,
      event: {
        type: "hook.ran",
        actor: `plugin:${plugin.id}`,
        plugin,
        agent,
        ...joined,
        data: { event: scope.event, handler, payload: scope.payload === true },
      },
    });
  }

  return {
    called(call) {
      const { route, caller } = call;
      for (const watcher of route.watchers?.after ?? []) {
        const { scope } = watcher;
        const data = {
          event: scope.event,
          call: call.callId,
          tool: route.name,
          plugin: route.plugin.id,
          effect: route.effect,
          agent: caller.agent,
          outcome: call.outcome,
          ...(call.code === undefined ? {} : { code: call.code }),
          duration_ms: call.durationMs,
          ...(scope.payload === true ? payloadOf(call) : {}),
        };
        send(watcher, caller.agent, data, { parent_call: call.callId, tool: route.name, wake: true });
      }
    },
    moved(before, now) {
      if (before.state === now.state) return;
      const { id, version } = now.ref;
      const data = { event: "plugin.lifecycle", plugin: id, version, from: before.state, to: now.state };
      // What wakes a watcher moves it: watchers that watch each other would wake each other for ever.
      const wake = !watchers.watchesPlugins(id);
      for (const watcher of watchers.ofPlugin(id))
        send(watcher, "host", data, { wake: wake && watcher.plugin.id !== id });
    },
  };

  function payloadOf({ input, result }: EndedCall): Readonly<Record<string, unknown>> {
    const payload = { input: redact(input), ...(result === undefined ? {} : { result }) };
    return JSON.stringify(payload).length > PAYLOAD_BYTES ? {} : payload;
  }
}
