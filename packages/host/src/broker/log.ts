import { z } from "zod";
import { type Clock, displayText, type PluginRef } from "../kernel/index.ts";
import type { Redactor } from "../secrets/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { wire } from "./operation.ts";
import { createRateLimit } from "./rate.ts";
import type { BrokerLogLine } from "./types.ts";

/** Bounds of what a plugin says. More is dropped, and the number of dropped lines is said once there is room again. */
export const LOG_LIMITS = {
  perSecond: 100,
  burst: 500,
  messageCharacters: 8_192,
  fieldsCharacters: 8_192,
  progressPerSecond: 20,
  progressBurst: 40,
} as const;

const Log = wire({
  level: z.enum(["debug", "info", "warn", "error"]),
  message: z.string(),
  fields: z.record(z.string(), z.unknown()).optional(),
});
const ProgressNote = wire({
  progress: z.number().finite(),
  total: z.number().finite().optional(),
  message: z.string().optional(),
});

export interface LogDeps {
  readonly plugin: PluginRef;
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly onLog: (line: BrokerLogLine) => void;
}

/** Takes the notifications `log` and `progress`. What is malformed, unknown or too much is dropped: they are only words. */
export function createLog(deps: LogDeps): (method: string, params: unknown, context: CallContext | null) => void {
  const lines = createRateLimit(deps.clock, LOG_LIMITS.perSecond, LOG_LIMITS.burst);
  const steps = createRateLimit(deps.clock, LOG_LIMITS.progressPerSecond, LOG_LIMITS.progressBurst);
  let dropped = 0;
  const shown = (text: string, limit: number): string => displayText(deps.redactor.redactText(text), limit);
  const write = (line: Omit<BrokerLogLine, "plugin" | "time">): void =>
    deps.onLog({ plugin: deps.plugin, time: deps.clock.now(), ...line });

  const log = (params: unknown, context: CallContext | null): void => {
    if (!lines.take()) {
      dropped++;
      return;
    }
    const parsed = Log.safeParse(params);
    if (!parsed.success || parsed.data.call !== (context?.callId ?? null)) {
      dropped++;
      return;
    }
    if (dropped > 0) {
      write({
        level: "warn",
        message: `${dropped} lines of this plugin were dropped: too many at once, or malformed.`,
        callId: null,
      });
      dropped = 0;
    }
    const { level, message, fields } = parsed.data;
    write({
      level,
      message: shown(message, LOG_LIMITS.messageCharacters),
      ...(fields === undefined ? {} : { fields: shownFields(fields) }),
      callId: context?.callId ?? null,
    });
  };

  const shownFields = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> => {
    const text = JSON.stringify(fields);
    if (text.length > LOG_LIMITS.fieldsCharacters) return { truncated: shown(text, LOG_LIMITS.fieldsCharacters) };
    return Object.fromEntries(Object.entries(fields).map(([key, value]) => [shown(key, 200), escaped(value)]));
  };
  const escaped = (value: unknown): unknown => {
    if (typeof value === "string") return shown(value, LOG_LIMITS.fieldsCharacters);
    if (Array.isArray(value)) return value.map(escaped);
    // A number may be a secret, too.
    if (typeof value !== "object" || value === null) return deps.redactor.redactJson(value);
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [shown(key, 200), escaped(member)]));
  };

  const progress = (params: unknown, context: CallContext | null): void => {
    if (context?.progress === undefined || !steps.take()) return;
    const parsed = ProgressNote.safeParse(params);
    if (!parsed.success || parsed.data.call !== context.callId) return;
    const { progress: done, total, message } = parsed.data;
    context.progress({
      progress: done,
      ...(total === undefined ? {} : { total }),
      ...(message === undefined ? {} : { message: shown(message, 1_000) }),
    });
  };

  return (method, params, context) => {
    if (method === "log") log(params, context);
    else if (method === "progress") progress(params, context);
  };
}
