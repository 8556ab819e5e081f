import type { EventsPublishParams, Requests } from "../protocol/v1/index.ts";
import { sallyportError } from "../runtime/index.ts";
import type { Fakes } from "./fakes.ts";

type Methods = "agent.call" | "agent.notify" | "events.publish" | "events.subscribe";
type Handlers = {
  readonly [Method in Methods]: (
    params: Requests[Method]["params"],
  ) => Requests[Method]["result"] | Promise<Requests[Method]["result"]>;
};

/** Other plugins' tools, operators and events, as a test says they are. */
export function createFakeAgent({ agentTools = {}, notify, publish = [], consume = [] }: Fakes) {
  const published: Pick<EventsPublishParams, "topic" | "payload">[] = [];
  const notes: string[] = [];
  const handlers: Handlers = {
    async "agent.call"({ tool, input }) {
      require(Object.hasOwn(agentTools, tool), tool);
      const answer = agentTools[tool];
      try {
        return { output: (typeof answer === "function" ? await answer(input) : answer) ?? null };
      } catch (thrown) {
        throw sallyportError("tool_failed", thrown instanceof Error ? thrown.message : String(thrown));
      }
    },
    "agent.notify"({ text }) {
      require(notify === true, "notes");
      notes.push(text);
      return {};
    },
    "events.publish"({ topic, payload }) {
      require(covers(publish, topic), topic);
      published.push({ topic, payload });
      return {};
    },
    "events.subscribe"({ topic }) {
      require(covers(consume, topic), topic);
      return {};
    },
  };
  return { handlers, published, notes };
}

function require(granted: boolean, what: string): void {
  if (!granted) throw sallyportError("permission_denied", `This plugin has no grant for ${what}.`);
}

function covers(patterns: readonly string[], topic: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? topic.startsWith(pattern.slice(0, -1)) : pattern === topic,
  );
}
