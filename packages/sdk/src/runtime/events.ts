import type { CallId, EventParams } from "../protocol/v1/index.ts";
import type { Context, Events, PluginEvent } from "../plugin/index.ts";
import type { HostPort } from "./port.ts";

type Handler = Parameters<Events["subscribe"]>[1];

/** Handlers of a process, by topic or prefix and `*`. */
export type Subscriptions = Map<string, Handler>;

export function createEvents(port: HostPort, call: CallId, subscriptions: Subscriptions): Events {
  return {
    async publish(topic, payload) {
      await port.request("events.publish", { call, topic, payload });
    },
    async subscribe(topic, handler) {
      if (typeof handler !== "function") throw new TypeError("The handler of an event must be a function.");
      await port.request("events.subscribe", { call, topic });
      subscriptions.set(topic, handler);
    },
  };
}

/** Runs every handler of the topic, one after the other. Gives false when there is none. */
export async function tellSubscribers(
  subscriptions: Subscriptions,
  { id, topic, payload, publisher, time_ms: time }: EventParams,
  ctx: Context,
): Promise<boolean> {
  const event: PluginEvent = { id, topic, payload, publisher, time };
  let handled = false;
  for (const [pattern, handler] of subscriptions) {
    if (!(pattern.endsWith("*") ? topic.startsWith(pattern.slice(0, -1)) : topic === pattern)) continue;
    handled = true;
    await handler(event, ctx);
  }
  return handled;
}
