import { z } from "zod";
import type { AuditLog } from "../audit/index.ts";
import type { HookMark } from "../capability/index.ts";
import {
  type Caller,
  type Clock,
  displayLine,
  newId,
  PolicyViolationError,
  SallyportError,
  toSallyportError,
} from "../kernel/index.ts";
import { withMark } from "./marks.ts";
import type { CallRoute } from "./route.ts";
import type { Tell } from "./tell.ts";
import type { Watcher } from "./watchers.ts";

/** What hooks are asked: a call that passed its schema and that nothing has decided yet. */
export interface AskedCall {
  readonly callId: string;
  readonly caller: Caller;
  readonly route: Pick<CallRoute, "name" | "plugin" | "effect" | "watchers">;
  readonly input: unknown;
  readonly signal: AbortSignal;
}

export interface HookSettings {
  /** For all hooks of one call, which are asked at once; starting a plugin counts. */
  readonly timeoutMs: number;
  readonly onFailure: "deny" | "ignore";
}

export interface HookGateDeps {
  readonly tell: Tell;
  readonly audit: Pick<AuditLog, "note">;
  readonly clock: Clock;
  settings(): HookSettings;
  redact(value: unknown): unknown;
  redactText(text: string): string;
}

/**
 * Asks every hook on `tool.before_call` of the tool, all at once, each in its own process. They can only restrict.
 * @returns the input with the marks in it, or the very same when there is none.
 * @throws {PolicyViolationError} `hook_denied`; `hook_failed` when one did not answer as it must and the operator does not ignore that.
 */
export type HookGate = (asked: AskedCall) => Promise<unknown>;

const REASON_CHARS = 300;

const Verdict = z.discriminatedUnion("decision", [
  z.strictObject({ decision: z.literal("allow"), mark: z.literal(true).optional() }),
  z.strictObject({ decision: z.literal("deny"), reason: z.string().optional() }),
]);

interface Answered {
  readonly watcher: Watcher;
  readonly verdict?: z.infer<typeof Verdict>;
  readonly failure?: SallyportError;
}

export function createHookGate(deps: HookGateDeps): HookGate {
  async function ask(asked: AskedCall, watcher: Watcher, timeoutMs: number): Promise<Answered> {
    const begun = deps.clock.monotonic();
    const id = newId("hook");
    let answered: Answered;
    try {
      const { output } = await deps.tell({
        id,
        to: watcher.plugin,
        kind: "hook",
        message: { handler: watcher.handler, data: dataOf(asked, watcher) },
        agent: asked.caller.agent,
        background: false,
        timeoutMs,
        signal: asked.signal,
        wake: true,
      });
      answered = { watcher, verdict: read(output, watcher) };
    } catch (error) {
      answered = { watcher, failure: toSallyportError(error) };
    }
    note(asked, answered, id, deps.clock.monotonic() - begun);
    return answered;
  }

  function dataOf(asked: AskedCall, { scope }: Watcher): object {
    return {
      event: scope.event,
      call: asked.callId,
      tool: asked.route.name,
      plugin: asked.route.plugin.id,
      effect: asked.route.effect,
      agent: asked.caller.agent,
      ...(scope.payload === true ? { input: deps.redact(asked.input) } : {}),
    };
  }

  function note(asked: AskedCall, { watcher, verdict, failure }: Answered, id: string, durationMs: number): void {
    const refuses = verdict?.decision === "deny" || (failure !== undefined && deps.settings().onFailure === "deny");
    const reason = verdict?.decision === "deny" ? "hook_denied" : failure?.code;
    const said = verdict?.decision === "deny" && verdict.reason !== undefined ? { said: shown(verdict.reason) } : {};
    deps.audit.note({
      v: 1,
      id: newId("evt"),
      time: deps.clock.now(),
      type: "hook.ran",
      actor: `plugin:${watcher.plugin.id}`,
      plugin: watcher.plugin,
      agent: asked.caller.agent,
      tool: asked.route.name,
      call_id: asked.callId,
      decision: refuses ? "deny" : "allow",
      ...(reason === undefined ? {} : { reason }),
      outcome: failure === undefined ? "succeeded" : "failed",
      duration_ms: Math.round(durationMs * 1000) / 1000,
      data: {
        event: watcher.scope.event,
        handler: watcher.handler,
        told: id,
        payload: watcher.scope.payload === true,
        ...said,
        ...(verdict?.decision === "allow" && verdict.mark === true ? { mark: watcher.scope.mark?.pointer ?? "" } : {}),
      },
    });
  }

  const shown = (reason: string): string => displayLine(deps.redactText(reason), REASON_CHARS);

  return async (asked) => {
    const now = deps.clock.now();
    const watchers = (asked.route.watchers?.before ?? []).filter(
      ({ expiresAt }) => expiresAt === undefined || expiresAt > now,
    );
    if (watchers.length === 0) return asked.input;
    const { timeoutMs, onFailure } = deps.settings();
    const answers = await Promise.all(watchers.map((watcher) => ask(asked, watcher, timeoutMs)));
    let input = asked.input;
    const marks = new Map<string, HookMark>();
    for (const { watcher, verdict, failure } of answers) {
      if (failure !== undefined && onFailure === "deny") throw failed(watcher, failure);
      if (verdict?.decision === "deny") throw denied(watcher, verdict.reason && shown(verdict.reason));
      const { mark } = watcher.scope;
      if (verdict?.mark !== true || mark === undefined) continue;
      // Two that write there would leave it to chance, or to an order that nobody approved.
      if ([...marks.keys()].some((other) => overlaps(other, mark.pointer))) throw failed(watcher, noPlace(mark));
      marks.set(mark.pointer, mark);
      input = withMark(input, mark);
      if (input === null) throw failed(watcher, noPlace(mark));
    }
    return input;
  };
}

function overlaps(a: string, b: string): boolean {
  return `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);
}

/** @throws {SallyportError} `tool_failed` for what is no verdict, and for a mark that was not granted. */
function read(output: unknown, { scope }: Watcher): z.infer<typeof Verdict> {
  const verdict = Verdict.safeParse(output);
  if (!verdict.success) throw new SallyportError("tool_failed", "The hook's answer is no verdict.");
  if (verdict.data.decision === "allow" && verdict.data.mark === true && scope.mark === undefined)
    throw new SallyportError("tool_failed", "The hook would write into the arguments, which was not granted.");
  return verdict.data;
}

function noPlace({ pointer }: HookMark): SallyportError {
  return new SallyportError("tool_failed", `There is no place for its mark at ${pointer}.`);
}

function denied({ plugin }: Watcher, reason: string | undefined): PolicyViolationError {
  return new PolicyViolationError("hook_denied", `A hook of the plugin ${plugin.id} denies this call.`, {
    ...(reason ? { detail: `In its own words: ${reason}` } : {}),
    fix: `See what it denied with \`sallyport audit list --plugin ${plugin.id}\`; \`sallyport plugin disable ${plugin.id}\` takes its hooks away.`,
  });
}

function failed({ plugin, handler }: Watcher, why: SallyportError): PolicyViolationError {
  return new PolicyViolationError(
    "hook_failed",
    `The hook ${handler} of the plugin ${plugin.id} has to agree to this call, and did not answer as it must.`,
    {
      detail: `${why.code}: ${why.message}`,
      fix: `Run: sallyport plugin load ${plugin.id}; or take its hooks away with \`sallyport plugin disable ${plugin.id}\`.`,
    },
  );
}
