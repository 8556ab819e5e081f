import { z } from "zod";
import { isTopic, isTopicPattern, withinScope } from "../capability/index.ts";
import { LIMITS, parseBoundedJson, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { Redactor } from "../secrets/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { callOperation, type Operation, wire } from "./operation.ts";
import type { RateLimit } from "./rate.ts";
import type { Reach } from "./reach.ts";
import type { Authority, EventsPort } from "./types.ts";

/** Bounds of what a plugin publishes. */
export const EVENT_LIMITS = { perSecond: 20, burst: 100, payloadBytes: 64 * 1024 } as const;

const Publish = wire({
  topic: z.string().min(1).max(128),
  payload: z.unknown().refine((payload) => payload !== undefined, "is missing"),
});
const Subscribe = wire({ topic: z.string().min(1).max(128) });

export interface EventsDeps {
  readonly authority: Pick<Authority, "declared" | "granted" | "ceiling">;
  readonly reach: Reach;
  /** Absent: nobody hears of any event. */
  readonly port: EventsPort | undefined;
  readonly rate: RateLimit;
  readonly redactor: Redactor;
  readonly report: (
    context: CallContext,
    method: "events.publish" | "events.subscribe",
    topic: string,
    bytes: number,
    error?: unknown,
  ) => void;
}

/** A data channel between plugins: what one publishes reaches those that were granted to consume it. */
export function createEvents(deps: EventsDeps): Readonly<Record<string, Operation>> {
  const { reach, rate, redactor } = deps;

  function publish(topic: string, payload: unknown, context: CallContext): number {
    if (!isTopic(topic)) throw noTopic();
    if (!reach.allows({ capability: "events", direction: "publish", topic })) throw notGranted("publish", topic);
    const text = JSON.stringify(payload);
    const bytes = Buffer.byteLength(text);
    if (bytes > EVENT_LIMITS.payloadBytes) {
      throw new SallyportError("limit_exceeded", `The payload is over ${EVENT_LIMITS.payloadBytes} bytes.`);
    }
    if (!rate.take()) {
      throw new SallyportError(
        "limit_exceeded",
        `A plugin publishes at most ${EVENT_LIMITS.perSecond} events a second.`,
      );
    }
    // A copy that nobody else holds, bounded like everything that a plugin is told.
    const copy = parseBoundedJson(text, { maxDepth: LIMITS.jsonDepth });
    deps.port?.publish({ topic, payload: redactor.redactJson(copy), bytes, callId: context.callId });
    return bytes;
  }

  return {
    "events.publish": callOperation(Publish, async ({ topic, payload }, context) => {
      try {
        const bytes = publish(topic, payload, context);
        deps.report(context, "events.publish", topic, bytes);
        return {};
      } catch (error) {
        deps.report(context, "events.publish", topic, 0, error);
        throw error;
      }
    }),
    /* What is delivered follows from the grant alone. This only says early, and into the audit, what will never come. */
    "events.subscribe": callOperation(Subscribe, async ({ topic }, context) => {
      try {
        if (!isTopicPattern(topic)) throw noTopic();
        if (!mayConsume(deps.authority, topic)) throw notGranted("consume", topic);
        deps.report(context, "events.subscribe", topic, 0);
        return {};
      } catch (error) {
        deps.report(context, "events.subscribe", topic, 0, error);
        throw error;
      }
    }),
  };
}

function mayConsume({ declared, granted, ceiling }: EventsDeps["authority"], topic: string): boolean {
  const wanted = { capability: "events", direction: "consume", topic } as const;
  return [declared, granted, ...(ceiling === undefined ? [] : [ceiling])].every((scopes) =>
    scopes.some((scope) => withinScope(wanted, scope)),
  );
}

function noTopic(): PolicyViolationError {
  return new PolicyViolationError("permission_denied", "This is no topic of plugins.", {
    fix: "Use lower-case words with dots between them, as in orders.created; the host's own names are not for plugins.",
  });
}

function notGranted(direction: "publish" | "consume", topic: string): PolicyViolationError {
  return new PolicyViolationError("permission_denied", `The plugin has no grant to ${direction} ${topic}.`, {
    fix: "Ask for it under permissions.events of the manifest.",
  });
}
