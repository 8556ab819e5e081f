import type { EventsPort } from "../broker/index.ts";
import { type Clock, newId, type PluginRef, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Flights } from "./flights.ts";
import type { Consumer, Watchers } from "./watchers.ts";

/** A plugin that is told of an event may publish one, whose handling may publish one, … */
export const EVENT_DEPTH = 4;

export interface EventsDeps {
  readonly flights: Pick<Flights, "find">;
  readonly watchers: Pick<Watchers, "consumersOf">;
  readonly deliveries: Pick<Deliveries, "send">;
  readonly clock: Clock;
}

interface Origin {
  readonly plugin: PluginRef;
  readonly agent: string;
  readonly depth: number;
}

/** Passes events from the plugin that published them to those that were granted to consume them; what it names itself is not asked. */
export function createEvents({ flights, watchers, deliveries, clock }: EventsDeps): (plugin: PluginRef) => EventsPort {
  /** Plugins that are being told of an event, by the id under which they are. */
  const told = new Map<string, Origin>();

  function originOf(plugin: PluginRef, callId: string): Origin {
    const flight = flights.find(callId);
    const origin = flight ? { plugin: flight.plugin, agent: flight.caller.agent, depth: 0 } : told.get(callId);
    if (origin?.plugin.id === plugin.id && origin.plugin.digest === plugin.digest) return origin;
    throw new PolicyViolationError("permission_denied", "Events are published only within a tool call.", {
      fix: "Publish from inside a tool, or from the handler of an event with `background: true`.",
    });
  }

  return (plugin) => ({
    publish({ topic, payload, bytes, callId }) {
      const origin = originOf(plugin, callId);
      const depth = origin.depth + 1;
      if (depth > EVENT_DEPTH) {
        throw new SallyportError("limit_exceeded", `Events about events go ${EVENT_DEPTH} deep at most.`, {
          fix: "Look for plugins that answer each other's events in a circle.",
        });
      }
      const id = newId("event");
      const publisher = { id: plugin.id, version: plugin.version };
      for (const consumer of consumersOf(topic, plugin)) {
        deliveries.send({
          to: consumer.plugin,
          kind: "event",
          message: { id, topic, payload, publisher, time_ms: clock.now() },
          agent: origin.agent,
          background: consumer.scope.background === true,
          wake: true,
          bytes,
          expiresAt: consumer.expiresAt,
          event: {
            type: "event.delivered",
            actor: `plugin:${plugin.id}`,
            plugin: consumer.plugin,
            agent: origin.agent,
            parent_call: callId,
            capability: "events",
            target: topic,
            bytes,
            data: { event: id, publisher, depth },
          },
          begin: (toldId) => void told.set(toldId, { plugin: consumer.plugin, agent: origin.agent, depth }),
          end: (toldId) => void told.delete(toldId),
          facts: (output) => ({ handled: isHandled(output) }),
        });
      }
    },
  });

  /** Each plugin once, by the widest of its grants; never the publisher itself. */
  function consumersOf(topic: string, publisher: PluginRef): Iterable<Consumer> {
    const found = new Map<string, Consumer>();
    for (const consumer of watchers.consumersOf(topic)) {
      const { id } = consumer.plugin;
      if (id === publisher.id || found.get(id)?.scope.background === true) continue;
      found.set(id, consumer);
    }
    return found.values();
  }
}

function isHandled(output: unknown): boolean {
  return typeof output === "object" && output !== null && "handled" in output && output.handled === true;
}
