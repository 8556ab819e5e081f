import { z } from "zod";
import { displayText, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { Redactor } from "../secrets/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { callOperation, type Operation, wire } from "./operation.ts";
import type { RateLimit } from "./rate.ts";
import type { Reach } from "./reach.ts";
import type { AgentPort } from "./types.ts";

/** Bounds of what a plugin says to operators. */
export const NOTE_LIMITS = { perMinute: 6, burst: 5, characters: 500 } as const;

const Call = wire({
  tool: z.string().min(1).max(200),
  input: z.unknown().refine((input) => input !== undefined, "is missing"),
});
const Notify = wire({ text: z.string().min(1) });

export interface AgentDeps {
  readonly reach: Reach;
  /** Absent: no call of any plugin reaches another. */
  readonly port: AgentPort | undefined;
  readonly notes: RateLimit;
  readonly redactor: Redactor;
  readonly report: (
    context: CallContext,
    method: "agent.call" | "agent.notify",
    target: string,
    bytes: number,
    error?: unknown,
  ) => void;
}

/** Other plugins' tools, and a word to the operators, within a call of an agent's. */
export function createAgent(deps: AgentDeps): Readonly<Record<string, Operation>> {
  const { reach, notes, redactor } = deps;
  const portOf = (): AgentPort => {
    if (deps.port !== undefined) return deps.port;
    throw new PolicyViolationError("permission_denied", "This host lets no plugin call tools.");
  };

  return {
    "agent.call": callOperation(Call, async ({ tool, input }, context, signal) => {
      try {
        // What is refused here says nothing of whether there is such a tool.
        if (!reach.allows({ capability: "agent", tool })) throw notGranted(`calling ${tool}`);
        const output = await portOf().callTool({ tool, input, callId: context.callId, signal });
        deps.report(context, "agent.call", tool, 0);
        return { output: output ?? null };
      } catch (error) {
        deps.report(context, "agent.call", tool, 0, error);
        throw error;
      }
    }),
    "agent.notify": callOperation(Notify, async ({ text }, context) => {
      const said = displayText(redactor.redactText(text), NOTE_LIMITS.characters);
      try {
        if (!reach.allows({ capability: "agent", notify: true })) throw notGranted("notes to the operators");
        if (!notes.take()) {
          throw new SallyportError(
            "limit_exceeded",
            `A plugin leaves at most ${NOTE_LIMITS.perMinute} notes a minute.`,
          );
        }
        portOf().notify({ text: said, context });
        deps.report(context, "agent.notify", "operators", said.length);
        return {};
      } catch (error) {
        deps.report(context, "agent.notify", "operators", 0, error);
        throw error;
      }
    }),
  };
}

function notGranted(what: string): PolicyViolationError {
  return new PolicyViolationError("permission_denied", `The plugin has no grant for ${what}.`, {
    fix: "Ask for it under permissions.agent of the manifest.",
  });
}
