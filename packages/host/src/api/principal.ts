import { type Caller, SallyportError } from "../kernel/index.ts";

/** Who sent a request, as the transport proved it. An operator may act as an agent, which gives up the operator's verbs. */
export type Principal =
  | { readonly kind: "operator"; readonly name: string; readonly actingAs?: string }
  | { readonly kind: "agent"; readonly name: string };

/** The agent that an operator's own calls count as. */
export const OPERATORS_AGENT = "cli";

const AGENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** @throws {SallyportError} `usage` when this cannot be an agent's name. */
export function agentName(text: string): string {
  if (AGENT_NAME.test(text)) return text;
  throw new SallyportError("usage", "This is not a name of an agent.", {
    detail:
      "A name has letters, digits, dots, underscores and hyphens, starts with a letter or digit, and is at most 64 long.",
    fix: "Use a name such as local or research-bot.",
  });
}

export function callerOf(principal: Principal): Caller {
  if (principal.kind === "agent") return { kind: "agent", agent: principal.name };
  if (principal.actingAs !== undefined) return { kind: "agent", agent: principal.actingAs, operator: principal.name };
  return { kind: "operator", agent: OPERATORS_AGENT, operator: principal.name };
}
