import type { CallId } from "@sallyport/sdk/protocol/v1";
import { type CallOwner, sallyportError } from "@sallyport/sdk/runtime";

interface AsyncVariable {
  enter(value: unknown): unknown;
  get(): unknown;
}

interface EngineCore {
  readonly AsyncVariable: new () => AsyncVariable;
  setAsyncContext(context: unknown): void;
}

/*
 * The engine's own async context. AsyncLocalStorage of node:async_hooks is a thin coat over it that takes 18 ms to import,
 * as long as everything else of a start. An engine without it leaves the rule of the single call.
 */
function engineCore(): EngineCore | undefined {
  const inner: unknown = Reflect.get(Deno, Deno.internal);
  const core: unknown = typeof inner === "object" && inner !== null ? Reflect.get(inner, "core") : undefined;
  const complete = typeof core === "object" && core !== null && "AsyncVariable" in core && "setAsyncContext" in core;
  return complete ? (core as EngineCore) : undefined;
}

/** A tool call in flight. Its abort controller is made when someone asks for the signal. */
export class Call implements CallOwner {
  readonly id: string;
  readonly tool: string;
  readonly agent: string;
  #controller: AbortController | undefined;

  constructor(id: string, tool: string, agent: string) {
    this.id = id;
    this.tool = tool;
    this.agent = agent;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  abort(reason: string): void {
    const kind = reason === "deadline_exceeded" || reason === "deadline" ? "TimeoutError" : "AbortError";
    void this.signal;
    this.#controller?.abort(new DOMException(`The call was stopped: ${reason}.`, kind));
  }
}

/** What an async context remembers. Code that a phase left running belongs to no call once the phase is over. */
export interface Entered {
  readonly id: CallId;
  readonly over?: boolean;
}

export interface Calls {
  /** Runs the start of a call so that everything it causes knows the call, timers and streams too. */
  enter<Result>(owner: Entered, run: () => Result): Result;
  begin(call: Call): void;
  end(call: Call): void;
  get(id: string): Call | undefined;
  /**
   * The call that the running code belongs to: by async context, else the only call in flight.
   * @throws {SallyportError} `permission_denied` when the code belongs to no call, or to none that can be told.
   */
  current(): CallId;
  /** As `current`, and null where that throws. For logs. */
  currentOrNull(): CallId;
}

export function createCalls(): Calls {
  const core = engineCore();
  const variable = core && new core.AsyncVariable();
  const inFlight = new Map<string, Call>();

  const find = (): CallId | undefined => {
    const owner = variable?.get() as Entered | undefined;
    if (owner && owner.over !== true) return owner.id;
    if (inFlight.size !== 1) return undefined;
    for (const id of inFlight.keys()) return id;
    return undefined;
  };

  return {
    enter(owner, run) {
      if (!core || !variable) return run();
      const outer = variable.enter(owner);
      try {
        return run();
      } finally {
        core.setAsyncContext(outer);
      }
    },
    begin: (call) => void inFlight.set(call.id, call),
    end: (call) => void inFlight.delete(call.id),
    get: (id) => inFlight.get(id),
    current() {
      const id = find();
      if (id !== undefined) return id;
      throw inFlight.size === 0
        ? sallyportError(
            "permission_denied",
            "This runs outside a tool call, where the host serves no requests.",
            "Ask from inside a tool.",
          )
        : sallyportError(
            "permission_denied",
            `Which of the ${inFlight.size} calls in flight this belongs to cannot be told.`,
            "Use ctx.fetch of the call.",
          );
    },
    currentOrNull: () => find() ?? null,
  };
}
