import { z } from "zod";
import { displayLine, SallyportError } from "../kernel/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { throwIfAborted, untilAborted } from "./aborting.ts";

/** One method of the wire: the form of its parameters, and what it does. */
export interface Operation {
  /** Whether it is served outside a call as well. */
  readonly outsideCall: boolean;
  handle(params: unknown, context: CallContext | null, signal: AbortSignal): Promise<unknown>;
}

/** Parameters of a request: these and `call`, nothing else. */
export function wire<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject({ call: z.string().max(128).nullable(), ...shape });
}

type WireSchema = z.ZodType<{ call: string | null }>;

/** A method that is served only within a call. `run` starts once the call's intent is durable. */
export function callOperation<S extends WireSchema>(
  schema: S,
  run: (params: z.output<S>, context: CallContext, signal: AbortSignal) => Promise<unknown>,
  /** Runs at once, in the order of arrival, before the intent is durable; must have no effect outside the host. */
  prepare?: (params: z.output<S>, context: CallContext) => void,
): Operation {
  return {
    outsideCall: false,
    async handle(params, context, signal) {
      if (context === null) throw new SallyportError("usage", "This is served only within a call.");
      const parsed = parse(schema, params, context);
      prepare?.(parsed, context);
      await durable(context, signal);
      return run(parsed, context, signal);
    },
  };
}

/** A method that is served outside a call too; within one, it waits for the intent like any other. */
export function anyTimeOperation<S extends WireSchema>(
  schema: S,
  run: (params: z.output<S>, context: CallContext | null, signal: AbortSignal) => Promise<unknown>,
): Operation {
  return {
    outsideCall: true,
    async handle(params, context, signal) {
      const parsed = parse(schema, params, context);
      if (context !== null) await durable(context, signal);
      return run(parsed, context, signal);
    },
  };
}

async function durable(context: CallContext, signal: AbortSignal): Promise<void> {
  await untilAborted(context.intent, signal);
  throwIfAborted(context.signal);
}

/** Checks the parameters strictly; `call` must be the id of the context that the request was matched to. */
export function parse<S extends WireSchema>(schema: S, params: unknown, context: CallContext | null): z.output<S> {
  const parsed = schema.safeParse(params);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new SallyportError("usage", "The request to the host is malformed.", {
      detail: issue === undefined ? "" : `At ${issue.path.join(".") || "its root"}: ${displayLine(issue.message)}`,
    });
  }
  if (parsed.data.call !== (context?.callId ?? null))
    throw new SallyportError("usage", "The request names another call.");
  return parsed.data;
}
