import type { AgentProfile } from "../config/index.ts";
import type { Operator } from "./operate.ts";

/** An agent as operators see it: the profile that is in force, and what it does now. */
export interface AgentView {
  readonly name: string;
  /** Where its profile is written; empty: nowhere, and the default one holds. */
  readonly from: readonly ("config" | "store")[];
  readonly profile: AgentProfile;
  /** Whether its calls are taken: false for a name that nobody defined, with `agents.known_only`. */
  readonly admitted: boolean;
  readonly callsInFlight: number;
  /** Counted for agents with a limit only. */
  readonly callsLastMinute: number;
  /** Calls that one of its limits refused since the host started. */
  readonly limited: number;
}

export interface AgentsApi {
  /** Those with a profile, and those that are at work without one. */
  list(): Promise<readonly AgentView[]>;
  /** Sets the layer over config.yml; a field that it lacks is that of config.yml again. In force at once. */
  set(operator: Operator, name: string, profile: AgentProfile): Promise<AgentView>;
  /** Takes the layer away. @throws {SallyportError} `not_found`. */
  remove(operator: Operator, name: string): Promise<void>;
  /** Tools above `read` that every agent may use, as far as operators enabled them at run time. */
  enabledTools(): Promise<readonly string[]>;
  /** Puts a tool on that list, or takes it off. @throws {SallyportError} `not_found` for a tool that no installed plugin has. */
  enableTool(operator: Operator, tool: string, enabled: boolean): Promise<void>;
}

/** What an operator's token may do: everyday verbs, answering what asks for a yes, changing who may do what. */
export const OPERATOR_SCOPES = ["operate", "approve", "admin"] as const;
export type OperatorScope = (typeof OPERATOR_SCOPES)[number];

export interface TokenView {
  readonly id: string;
  readonly kind: "agent" | "operator";
  /** The agent or operator whose it is. */
  readonly name: string;
  /** Empty for an agent's token, which lists and calls tools. */
  readonly scopes: readonly OperatorScope[];
  /** Whether the operators' passphrase was asked for when it was made; then it need not be said again with it. */
  readonly guarded: boolean;
  readonly state: "valid" | "expired" | "revoked";
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  /** To the minute. */
  readonly lastUsedAt: number | null;
}

export type TokenRequest =
  | { readonly kind: "agent"; readonly name: string; readonly expiresAt?: number }
  | {
      readonly kind: "operator";
      readonly name: string;
      readonly scopes: readonly OperatorScope[];
      readonly expiresAt?: number;
    };

export interface TokensApi {
  list(): Promise<readonly TokenView[]>;
  /** `token` is told this once. Only the home's user makes tokens. @throws {SallyportError} `usage`, `forbidden`, `limit_exceeded`. */
  create(operator: Operator, request: TokenRequest): Promise<{ readonly token: string; readonly view: TokenView }>;
  /** Ends it at once, with the sessions that it opened. @throws {SallyportError} `not_found`, `conflict` when it has ended. */
  revoke(operator: Operator, id: string): Promise<TokenView>;
  /** Whose token this is. @throws {SallyportError} `unauthenticated`, with no word on why. */
  authenticate(token: string): TokenView;
  /** Called with the id of a token that was revoked or has expired. Returns the way to stop. */
  onEnded(listener: (id: string) => void): () => void;
}
