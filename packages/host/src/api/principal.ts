import type { Operator, OperatorScope, TokensApi } from "../host-api.ts";
import { type Caller, PolicyViolationError, SallyportError } from "../kernel/index.ts";

/** Who sent a request, as the transport proved it. An operator may act as an agent, which gives up the operator's verbs. */
export type Principal =
  | {
      readonly kind: "operator";
      readonly name: string;
      readonly actingAs?: string;
      /** What proved it; absent for the home's user, who may do everything. */
      readonly token?: OperatorToken;
    }
  | { readonly kind: "agent"; readonly name: string; readonly token?: string };

export interface OperatorToken {
  readonly id: string;
  readonly scopes: readonly OperatorScope[];
  /** The passphrase was asked for when it was made. */
  readonly guarded: boolean;
}

/** The agent that an operator's own calls count as. */
export const OPERATORS_AGENT = "cli";

const AGENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const BEARER = /^Bearer +([!-~]{1,200})$/i;

/** @throws {SallyportError} `usage` when this cannot be an agent's name. */
export function agentName(text: string): string {
  if (AGENT_NAME.test(text)) return text;
  throw new SallyportError("usage", "This is not a name of an agent.", {
    detail:
      "A name has letters, digits, dots, underscores and hyphens, starts with a letter or digit, and is at most 64 long.",
    fix: "Use a name such as local or research-bot.",
  });
}

/**
 * Whose token a request carries, and as which agent it wants to act. Whoever sends a credential is judged by it: one that is
 * wrong, expired or revoked never falls back to what the transport proves.
 * @returns `undefined` when there is no credential at all.
 * @throws {SallyportError} `unauthenticated`; `forbidden` for an agent's token that names another agent.
 */
export function principalOfToken(
  tokens: Pick<TokensApi, "authenticate">,
  authorization: string | null,
  actingAs: string | null,
): Principal | undefined {
  if (authorization === null) return undefined;
  const token = tokens.authenticate(BEARER.exec(authorization)?.[1] ?? "");
  const as = actingAs === null ? undefined : agentName(actingAs);
  if (token.kind === "operator") {
    const { id, scopes, guarded } = token;
    return {
      kind: "operator",
      name: token.name,
      token: { id, scopes, guarded },
      ...(as !== undefined && { actingAs: as }),
    };
  }
  if (as === undefined || as === token.name) return { kind: "agent", name: token.name, token: token.id };
  throw new PolicyViolationError("forbidden", "This token is another agent's.", {
    fix: "Leave the agent's name out: the token says it.",
  });
}

export function callerOf(principal: Principal): Caller {
  if (principal.kind === "agent")
    return { kind: "agent", agent: principal.name, ...(principal.token !== undefined && { token: principal.token }) };
  const token = principal.token === undefined ? {} : { token: principal.token.id };
  if (principal.actingAs !== undefined)
    return { kind: "agent", agent: principal.actingAs, operator: principal.name, ...token };
  return { kind: "operator", agent: OPERATORS_AGENT, operator: principal.name, ...token };
}

/** The id of the token that proved who sent a request. */
export function tokenOf(principal: Principal): string | undefined {
  return principal.kind === "agent" ? principal.token : principal.token?.id;
}

/** @throws {PolicyViolationError} `forbidden` for an agent, and for an operator who acts as one. */
export function operatorOf(principal: Principal): Operator {
  if (principal.kind === "operator" && principal.actingAs === undefined)
    return { name: principal.name, ...(principal.token && { token: principal.token.id }) };
  throw new PolicyViolationError("forbidden", "Only an operator may do this.", {
    detail: "Agents list and call tools; they never install, approve, grant, or read the audit and secrets.",
    fix: "Ask the operator to do it.",
  });
}

/**
 * What an operator's token needs for a verb: one of its scopes, `any` of them, or no token at all (`user`: the home's user alone).
 */
export type Needs = OperatorScope | "any" | "user";

/** @throws {PolicyViolationError} `forbidden` when an operator's token does not have what the verb needs. */
export function requireScope(principal: Principal, needs: Needs): void {
  if (principal.kind === "agent" || principal.token === undefined) return;
  const { scopes } = principal.token;
  if (needs === "any" ? scopes.length > 0 : needs !== "user" && scopes.includes(needs)) return;
  throw new PolicyViolationError("forbidden", "This token may not do that.", {
    detail:
      needs === "user"
        ? "Only the user whose home this is may, without a token."
        : `It needs the scope ${needs}; the token has: ${scopes.join(", ") || "none"}.`,
    fix:
      needs === "user"
        ? "Do it at the machine, as that user."
        : `Make one that has it: sallyport token create --operator NAME --scopes ${needs}`,
  });
}
