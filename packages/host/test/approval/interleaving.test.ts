import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CompiledQuery,
  type DatabaseConnection,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type ApprovalDeps,
  type CallBinding,
  createCallApprovals,
  decideCall,
  end,
  expireDue,
  getApproval,
  withdrawCall,
} from "../../src/approval/index.ts";
import { openAuditLog, type OwnedAuditLog, type StoredAuditEvent } from "../../src/audit/index.ts";
import { SallyportError } from "../../src/kernel/index.ts";
import {
  APPROVAL_EDGES,
  type ApprovalState,
  closeApprovalsOf,
  type Database,
  findApproval,
  insertApproval,
  openDatabase,
  type Schema,
  type StoredApproval,
} from "../../src/store/index.ts";
import { type Actor, everySchedule } from "./schedules.ts";

let folder = "";
let database: Database;
let audit: OwnedAuditLog;
let now = 0;
let worlds = 0;
const events = new Map<string, StoredAuditEvent[]>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-orders-"));
  const clock = { now: () => now, monotonic: () => now };
  database = await openDatabase({ path: join(folder, "state.db"), clock });
  const { privateKey } = generateKeyPairSync("ed25519");
  audit = await openAuditLog({ database, clock, signingKey: privateKey });
  audit.subscribe((event) => {
    const id = event.approval;
    if (id !== undefined) events.set(id, [...(events.get(id) ?? []), event]);
  });
});
afterAll(async () => {
  await audit.close();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

const MINUTE = 60_000;
const PLUGIN = { id: "weather", version: "1.0.0", digest: "sha256:t" };

/** One request, and what each actor said came of it. */
interface World {
  readonly id: string;
  readonly binding: CallBinding;
  readonly start: Start;
  readonly said: Map<string, string>;
}

interface Start {
  readonly state: "pending" | "approved";
  readonly uses: number;
}

async function begin(start: Start): Promise<World> {
  const n = ++worlds;
  now = n * 60 * MINUTE;
  const binding: CallBinding = {
    plugin: PLUGIN,
    tool: `weather__t${n}`,
    definitionDigest: "sha256:d",
    caller: { kind: "agent", agent: "local" },
    inputDigest: "sha256:i",
    value: {},
    input: {},
    effect: "write",
    scopes: [],
    policySnapshot: "sha256:p",
    rules: ["default:write"],
  };
  const approved = start.state === "approved";
  const row: StoredApproval = {
    id: `apr_${n}`,
    kind: "call",
    state: start.state,
    createdAt: now,
    expiresAt: now + MINUTE,
    decidedAt: approved ? now : null,
    decidedBy: approved ? "ann" : null,
    reason: null,
    plugin: PLUGIN,
    tool: binding.tool,
    agent: "local",
    operator: null,
    token: null,
    via: null,
    inputDigest: binding.inputDigest,
    definitionDigest: binding.definitionDigest,
    policySnapshot: binding.policySnapshot,
    rule: "default:write",
    input: {},
    facts: null,
    scope: null,
    usesLeft: start.uses,
    uses: 0,
    endedAt: null,
    endedBy: null,
    endedReason: null,
    sentence: "wants to call",
  };
  await database.atomically([insertApproval(row)]);
  return { id: row.id, binding, start, said: new Map() };
}

/** Looking, and then writing what follows from it: all that any of them does. What it does after that reads only. */
const LOOK_AND_WRITE = 2;

/** The real store and audit, where each thing that one does waits until it may. */
function gated(step: () => Promise<void>, most: number): ApprovalDeps {
  let done = 0;
  const turn = async (): Promise<void> => {
    if (++done <= most) await step();
  };
  const connection: DatabaseConnection = {
    async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
      await turn();
      return database.query.executeQuery<R>(query);
    },
    streamQuery: () => {
      throw new Error("not here");
    },
  };
  const nothing = async (): Promise<void> => undefined;
  const query = new Kysely<Schema>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
      createDriver: () => ({
        init: nothing,
        acquireConnection: async () => connection,
        beginTransaction: nothing,
        commitTransaction: nothing,
        rollbackTransaction: nothing,
        releaseConnection: nothing,
        destroy: nothing,
      }),
    },
  });
  return {
    db: { ...database, query },
    audit: { commit: (statements, told) => turn().then(() => audit.commit(statements, told)) },
    clock: { now: () => now, monotonic: () => now },
  };
}

type Act = (deps: ApprovalDeps, world: World) => Promise<string>;

const ACTS = {
  approve: async (deps, { id, start }) => {
    const answer = { state: "approved", operator: { name: "ann" }, uses: start.uses } as const;
    return (await decideCall(deps, await getApproval(deps.db, id), { ...answer, expiresAt: undefined })).state;
  },
  deny: async (deps, { id }) =>
    (await decideCall(deps, await getApproval(deps.db, id), { state: "denied", operator: { name: "bob" } })).state,
  // Time passes for everybody; then somebody notices. A yes lasts longer than a request, so that it passes for both.
  expire: async (deps, { id }) => {
    await getApproval(deps.db, id);
    now += 30 * MINUTE;
    await expireDue(deps);
    return "done";
  },
  cancel: async (deps, { id }) =>
    (await end(deps, await getApproval(deps.db, id), "cancelled", "host", "changed")).state,
  withdraw: async (deps, { id }) =>
    (await withdrawCall(deps, await getApproval(deps.db, id), { name: "cleo" }, "changed my mind")).state,
  execute: async (deps, { id, binding }) => {
    const calls = createCallApprovals({ ...deps, audit: { commit: (own, told) => noFiling(deps, own, told) } });
    const found = await calls.find(binding, id);
    if ("pending" in found) return "pending";
    await calls.consume(found.approved.id, { callId: `call_${Math.random()}`, binding });
    return "ran";
  },
} satisfies Record<string, Act>;

/** Asking anew is another story, and would be told in many more orders. */
function noFiling(deps: ApprovalDeps, ...[statements, told]: Parameters<ApprovalDeps["audit"]["commit"]>) {
  if (told.some(({ type }) => type === "approval.requested"))
    throw new SallyportError("approval_required", "Asked anew.");
  return deps.audit.commit(statements, told);
}

function actor(world: World, name: string, act: Act): Actor {
  return async (step) => {
    const said = await act(gated(step, act === ACTS.expire ? 1 + LOOK_AND_WRITE : LOOK_AND_WRITE), world).catch(
      (error: unknown) => (error instanceof SallyportError ? error.code : String(error)),
    );
    world.said.set(name, said);
  };
}

const EVENTS: Readonly<Record<string, ApprovalState>> = {
  "approval.expired": "expired",
  "approval.cancelled": "cancelled",
  "approval.withdrawn": "withdrawn",
};

/** Reads the audit alone, as somebody would who was not there. */
function retell(start: Start, story: readonly StoredAuditEvent[]): { state: ApprovalState; uses: number } {
  let state: ApprovalState = start.state;
  let uses = 0;
  for (const { type, decision } of story) {
    const next: ApprovalState =
      type === "approval.decided"
        ? decision === "allow"
          ? "approved"
          : "denied"
        : type === "approval.used"
          ? ++uses === start.uses
            ? "consumed"
            : "approved"
          : (EVENTS[type] ?? "pending");
    if (type === "approval.used") expect(state).toBe("approved");
    if (next !== state || type === "approval.decided") expect(APPROVAL_EDGES[state]).toContain(next);
    state = next;
  }
  return { state, uses };
}

async function check(world: World, order: string): Promise<void> {
  const { id, said, start } = world;
  const story = events.get(id) ?? [];
  const row = await findApproval(database, id);
  const told = retell(start, story);
  // The audit tells exactly what is there now.
  expect({ order, state: row?.state, uses: row?.uses }).toEqual({ order, ...told });
  // Whoever says that it did something is in the audit with it, and nobody else.
  const by = (name: string): number => story.filter((event) => event.actor === name).length;
  const count = (type: string): number => story.filter((event) => event.type === type).length;
  const claims = (word: string): number => [...said.values()].filter((own) => own === word).length;
  const ran = claims("ran");
  expect({ order, ran: count("approval.used") }).toEqual({ order, ran });
  expect(ran).toBeLessThanOrEqual(start.uses);
  expect(by("operator:ann")).toBe(claims("approved"));
  expect(by("operator:bob")).toBe(claims("denied"));
  expect(by("operator:cleo")).toBe(claims("withdrawn"));
  expect(count("approval.cancelled")).toBe(claims("cancelled"));
  // Nothing was decided or used when its time was over.
  for (const { type, time } of story) {
    if (type === "approval.decided") expect(time).toBeLessThan((row?.createdAt ?? 0) + MINUTE);
    if (type === "approval.used") expect(time).toBeLessThan(row?.expiresAt ?? 0);
  }
  // Whoever lost was told that it lost, and of nothing else.
  const words = ["approved", "denied", "withdrawn", "cancelled", "done", "ran", "pending"];
  const lost = ["conflict", "approval_expired", "policy_denied", "approval_required"];
  for (const word of said.values()) expect([...words, ...lost]).toContain(word);
  events.delete(id);
  await database.atomically([closeApprovalsOf({ id: "weather" }, "test", now, "over")]);
}

async function everyOrder(start: Start, names: readonly (keyof typeof ACTS)[]): Promise<number> {
  return everySchedule(
    () => begin(start),
    (world) => names.map((name, index) => actor(world, `${name} ${index}`, ACTS[name])),
    check,
  );
}

const WAITS: Start = { state: "pending", uses: 1 };
const GIVEN: Start = { state: "approved", uses: 1 };

describe("approve, deny, expire, cancel, withdraw and execute in every order", () => {
  const pending = ["approve", "deny", "expire", "cancel", "withdraw", "execute"] as const;
  const pairs = pending.flatMap((one, index) => pending.slice(index + 1).map((other) => [one, other] as const));
  it.each(pairs)("%s and %s of a request that waits have one winner and one story", async (...names) => {
    expect(await everyOrder(WAITS, names)).toBeGreaterThan(1);
  });

  const approved = ["expire", "withdraw", "execute", "deny"] as const;
  const given = approved.flatMap((one, index) => approved.slice(index).map((other) => [one, other] as const));
  it.each(given)("%s and %s of a yes have one winner and one story", async (...names) => {
    expect(await everyOrder(GIVEN, names)).toBeGreaterThan(1);
  });

  const triples = pending
    .flatMap((one, index) =>
      pending
        .slice(index + 1)
        .flatMap((other, next) => pending.slice(index + next + 2).map((third) => [one, other, third] as const)),
    )
    .filter((names) => names.includes("approve"));
  it.each(triples)("%s, %s and %s of a request that waits", async (...names) => {
    expect(await everyOrder(WAITS, names)).toBeGreaterThan(10);
  });

  it.each([
    ["execute", "execute", "withdraw"],
    ["execute", "execute", "expire"],
    ["execute", "withdraw", "expire"],
    ["execute", "execute", "execute"],
  ] as const)("%s, %s and %s of a yes to one call", async (...names) => {
    expect(await everyOrder(GIVEN, names)).toBeGreaterThan(50);
  });

  it.each([
    ["execute", "execute", "execute"],
    ["execute", "execute", "withdraw"],
  ] as const)("%s, %s and %s of a yes to two calls", async (...names) => {
    expect(await everyOrder({ state: "approved", uses: 2 }, names)).toBeGreaterThan(50);
  });
});
