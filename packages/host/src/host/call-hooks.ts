import { type HooksScope, withinScope } from "../capability/index.ts";
import { PolicyViolationError, type SallyportError } from "../kernel/index.ts";
import type { Call, CallInput } from "./call.ts";
import type { HookGate } from "./hook-gate.ts";
import type { Observers } from "./observers.ts";
import type { CallRoute } from "./route.ts";

export interface CallHooksDeps {
  readonly hooks: HookGate;
  readonly observers: Pick<Observers, "called">;
}

/** Whether hooks have to agree first. Most tools are watched by nobody, and their calls wait for nothing here. */
export function isWatched({ watchers }: CallRoute): boolean {
  return watchers !== undefined && watchers.before.length > 0;
}

/**
 * The input as hooks leave it: the very same, or with the marks that were granted, which the tool's schema has to accept.
 * @throws {PolicyViolationError} `hook_denied`, `hook_failed`.
 */
export async function throughHooks(
  { hooks }: CallHooksDeps,
  call: Call,
  route: CallRoute,
  asked: CallInput,
  signal: AbortSignal,
  read: (input: unknown) => CallInput,
): Promise<CallInput> {
  const left = await hooks({ callId: call.id, caller: call.caller, route, input: asked.value, signal });
  if (left === asked.value) return asked;
  const marked = read(left);
  if (route.input.check(marked.value).ok) return marked;
  throw new PolicyViolationError("hook_failed", `The mark of a hook does not fit the input of ${route.name}.`, {
    fix: "Disable the plugin whose hook it is, or watch only tools whose schema has a place for its mark.",
  });
}

/** Whether every hook that has to agree now is one that did, of the same code and the same grant. */
export function sameGuards(before: CallRoute, now: CallRoute): boolean {
  const asked = before.watchers?.before ?? [];
  return (now.watchers?.before ?? []).every(({ plugin, handler, scope }) =>
    asked.some(
      (other) => other.plugin.digest === plugin.digest && other.handler === handler && sameScope(other.scope, scope),
    ),
  );
}

function sameScope(a: HooksScope, b: HooksScope): boolean {
  return withinScope(a, b) && withinScope(b, a);
}

/** Tells hooks that watch of a call that reached its plugin. */
export function tellObservers(
  { observers }: CallHooksDeps,
  call: Call,
  durationMs: number,
  ended: { readonly result?: unknown; readonly error?: SallyportError },
): void {
  const { route, outcome, input } = call;
  if (route?.watchers === undefined || route.watchers.after.length === 0 || outcome === "not_started") return;
  observers.called({
    callId: call.id,
    caller: call.caller,
    route,
    outcome,
    code: ended.error?.code,
    durationMs,
    input: input?.value,
    result: ended.result,
  });
}
