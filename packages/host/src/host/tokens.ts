import { createHash, timingSafeEqual } from "node:crypto";
import type { AuditEvent, AuditLog } from "../audit/index.ts";
import { AGENT_NAME } from "../config/index.ts";
import { type Operator, OPERATOR_SCOPES, type TokenRequest, type TokensApi, type TokenView } from "../host-api.ts";
import { type Clock, newId, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { systemTimers, type Timers } from "../rpc/index.ts";
import {
  type Database,
  endToken,
  forgetToken,
  insertToken,
  listTokens,
  type StoredToken,
  useToken,
} from "../store/index.ts";
import { actorOf, eventOf } from "./plugins-deps.ts";
import { isTokenText, newTokenText } from "./token-text.ts";

export interface TokensDeps {
  readonly db: Database;
  readonly audit: Pick<AuditLog, "commit" | "note">;
  readonly clock: Clock;
  /** The latest moment that this home knows: what was over stays over, also under a clock that was put back. */
  latest(): number;
  /** Whether the operators' passphrase is asked for now. */
  isGuarded(): boolean;
  /** Whether an agent of this name is admitted. */
  admits(agent: string): boolean;
  readonly onDefect: (error: unknown) => void;
  readonly timers?: Timers;
}

export interface Tokens {
  readonly api: TokensApi;
  /** Whether a token that was valid still is. */
  isValid(id: string): boolean;
  close(): void;
}

const MOST_TOKENS = 1000;
/** `last_used_at` is written at most so often. */
const USE_MS = 60_000;
/** Refusals that are written down in a minute; there may be any number. */
const MOST_REFUSALS = 60;
/** The longest that a timer can wait. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Credentials of agents and operators. Of a token its hash is kept and nothing else; all of them are in memory. */
export async function createTokens(deps: TokensDeps): Promise<Tokens> {
  const { db, audit, clock, timers = systemTimers } = deps;
  const byId = new Map((await listTokens(db)).map((token) => [token.id, token]));
  let byHash = indexed();
  const listeners = new Set<(id: string) => void>();
  const told = new Set<string>();
  let refusals = { since: clock.monotonic(), count: 0 };
  let cancelTimer: (() => void) | undefined;

  function indexed(): ReadonlyMap<string, StoredToken> {
    return new Map([...byId.values()].map((token) => [token.hash, token]));
  }

  const keep = (token: StoredToken): void => {
    byId.set(token.id, token);
    byHash = indexed();
  };

  const stateOf = ({ endedAt, expiresAt }: StoredToken): TokenView["state"] => {
    if (endedAt !== null) return "revoked";
    return expiresAt !== null && expiresAt <= deps.latest() ? "expired" : "valid";
  };

  function announce(id: string): void {
    if (told.has(id)) return;
    told.add(id);
    for (const listener of listeners) {
      try {
        listener(id);
      } catch (error) {
        deps.onDefect(error);
      }
    }
  }

  /** What has expired meanwhile is over for the sessions that it opened too, at its time and not at their next call. */
  function watchExpiry(): void {
    cancelTimer?.();
    const now = deps.latest();
    let next = Infinity;
    for (const token of byId.values()) {
      if (token.endedAt !== null || token.expiresAt === null) continue;
      if (token.expiresAt <= now) announce(token.id);
      else next = Math.min(next, token.expiresAt);
    }
    cancelTimer = next === Infinity ? undefined : timers.set(watchExpiry, Math.min(next - now, LONGEST_TIMER_MS));
  }

  function used(token: StoredToken): void {
    const now = clock.now();
    if (token.lastUsedAt !== null && now - token.lastUsedAt < USE_MS) return;
    keep({ ...token, lastUsedAt: now });
    db.atomically([useToken(token.id, now)]).catch(deps.onDefect);
  }

  function refuse(token: StoredToken | undefined): never {
    const at = clock.monotonic();
    if (at - refusals.since >= 60_000) refusals = { since: at, count: 0 };
    if (++refusals.count <= MOST_REFUSALS) {
      const data = token && { token: token.id, name: token.name, state: stateOf(token) };
      audit.note(eventOf(clock, "token.refused", "host", { decision: "deny", ...(data && { data }) }));
    }
    throw new PolicyViolationError("unauthenticated", "This token opens nothing.", {
      detail: "It is none of this home's, it was revoked, or its time is over.",
      fix: "Ask the operator for another one: sallyport token create --agent NAME",
    });
  }

  /** Ended ones make room, the oldest first; of those in force none does. */
  function roomFor(): StoredToken | undefined {
    if (byId.size < MOST_TOKENS) return undefined;
    const ended = [...byId.values()].filter(({ endedAt }) => endedAt !== null);
    const [oldest] = ended.toSorted((a, b) => a.createdAt - b.createdAt);
    if (oldest) return oldest;
    throw new SallyportError("limit_exceeded", `This home has ${MOST_TOKENS} tokens.`, {
      fix: "Revoke what is not used any more: sallyport token list",
    });
  }

  const view = (token: StoredToken): TokenView => ({
    id: token.id,
    kind: token.kind,
    name: token.name,
    scopes: OPERATOR_SCOPES.filter((scope) => token.scopes.includes(scope)),
    guarded: token.guarded,
    state: stateOf(token),
    createdBy: token.createdBy,
    createdAt: token.createdAt,
    expiresAt: token.expiresAt,
    lastUsedAt: token.lastUsedAt,
  });

  const api: TokensApi = {
    list: () => Promise.resolve([...byId.values()].toSorted((a, b) => b.createdAt - a.createdAt).map(view)),
    async create(operator, request) {
      assertMayMake(operator);
      checkRequest(deps, request);
      const room = roomFor();
      const token = newTokenText(request.kind);
      const made: StoredToken = {
        id: newId("tok"),
        hash: hashOf(token),
        kind: request.kind,
        name: request.name,
        scopes: request.kind === "operator" ? OPERATOR_SCOPES.filter((scope) => request.scopes.includes(scope)) : [],
        guarded: deps.isGuarded(),
        createdBy: operator.name,
        createdAt: clock.now(),
        expiresAt: request.expiresAt ?? null,
        lastUsedAt: null,
        endedAt: null,
        endedBy: null,
      };
      await audit.commit(
        [...(room ? [forgetToken(room.id)] : []), insertToken(made)],
        [changed("token.created", operator, made)],
      );
      if (room) byId.delete(room.id);
      keep(made);
      watchExpiry();
      return { token, view: view(made) };
    },
    async revoke(operator, id) {
      const token = byId.get(id);
      if (!token)
        throw new SallyportError("not_found", "There is no such token.", { fix: "Run: sallyport token list" });
      if (token.endedAt !== null) throw new SallyportError("conflict", "This token was revoked already.");
      const endedAt = clock.now();
      await audit.commit([endToken(id, endedAt, operator.name)], [changed("token.revoked", operator, token)]);
      const ended = { ...token, endedAt, endedBy: operator.name };
      keep(ended);
      announce(id);
      return view(ended);
    },
    authenticate(text) {
      // Whoever guesses learns nothing from how long it takes: what is compared is a hash, of which nobody can choose a part.
      const hash = isTokenText(text) ? hashOf(text) : "";
      const found = byHash.get(hash);
      if (!found || !timingSafeEqual(Buffer.from(found.hash), Buffer.from(hash)) || stateOf(found) !== "valid")
        return refuse(found);
      used(found);
      return view(found);
    },
    onEnded(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };

  function changed(type: "token.created" | "token.revoked", operator: Operator, token: StoredToken): AuditEvent {
    return eventOf(clock, type, actorOf(operator), {
      ...(token.kind === "agent" && { agent: token.name }),
      data: {
        token: token.id,
        kind: token.kind,
        name: token.name,
        ...(token.kind === "operator" && { scopes: token.scopes }),
        ...(token.expiresAt !== null && { expires_at: token.expiresAt }),
      },
    });
  }

  watchExpiry();
  return {
    api,
    isValid(id) {
      const token = byId.get(id);
      return token !== undefined && stateOf(token) === "valid";
    },
    close: () => cancelTimer?.(),
  };
}

/** A token that made tokens would outlive its own end. */
function assertMayMake({ token }: Operator): void {
  if (token === undefined) return;
  throw new PolicyViolationError("forbidden", "A token makes no tokens.", {
    fix: "Make it as the user whose home this is, without a token.",
  });
}

function checkRequest({ latest, admits }: TokensDeps, request: TokenRequest): void {
  if (!AGENT_NAME.test(request.name)) {
    throw new SallyportError("usage", "This is not a name for a token's owner.", {
      detail:
        "A name has letters, digits, dots, underscores and hyphens, starts with a letter or digit, and is at most 64 long.",
      fix: "Use a name such as research-bot.",
    });
  }
  const { expiresAt } = request;
  if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt > latest())) {
    throw new SallyportError("usage", "The token would have expired already.", { fix: "Give a time to come." });
  }
  const known: readonly string[] = OPERATOR_SCOPES;
  if (
    request.kind === "operator" &&
    !(request.scopes.length > 0 && request.scopes.every((scope) => known.includes(scope)))
  ) {
    throw new SallyportError("usage", "An operator's token names what it may do.", {
      fix: `Give --scopes with some of: ${OPERATOR_SCOPES.join(", ")}.`,
    });
  }
  if (request.kind === "agent" && !admits(request.name)) {
    throw new SallyportError("conflict", `There is no agent ${request.name}, and only known ones are admitted here.`, {
      fix: `Run: sallyport agent set ${request.name}`,
    });
  }
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
