import { describe, expect, it } from "vitest";
import type { Grant } from "../../src/capability/index.ts";
import type { Manifest } from "../../src/manifest/index.ts";
import {
  activatePlugin,
  approvalsForCall,
  closeApprovalsOf,
  consumeApproval,
  countApprovals,
  countExecutions,
  createKvStore,
  decideApproval,
  deleteAllowed,
  deleteCeiling,
  deletePlugin,
  deleteToolRule,
  deleteToolRulesOf,
  dueApprovals,
  endApproval,
  findApproval,
  findConfig,
  findGrant,
  findPlugin,
  findRevocation,
  insertApproval,
  insertGrant,
  insertPlugin,
  insertRevocation,
  lastApprovedCall,
  listAllowed,
  listApprovals,
  listCeilings,
  listGrants,
  listPlugins,
  listRevocations,
  listToolRules,
  movePlugin,
  saveAllowed,
  saveCeiling,
  purgeDataSpace,
  saveConfig,
  saveToolRule,
  type StoredApproval,
  type StoredPlugin,
  withdrawCallsOf,
  withdrawGrant,
  withdrawGrantsOf,
} from "../../src/store/index.ts";
import { temporaryHomes } from "./home.ts";

const homes = temporaryHomes();
const open = async () => homes.open(await homes.directory());

const manifest: Manifest = {
  id: "weather",
  name: "Weather",
  version: "1.2.0",
  description: "Forecasts.",
  entry: "plugin.js",
  categories: ["integration"],
  tools: [],
  commands: [],
  routes: [],
  hooks: [],
  mcpServers: [],
  permissions: [],
  configSchema: true,
  dependencies: {},
  engines: {},
  isolation: { minimum: "kernel" },
  limits: {},
};

const plugin = (version = "1.2.0", change: Partial<StoredPlugin> = {}): StoredPlugin => ({
  ref: { id: "weather", version, digest: `sha256:${version}` },
  manifest: { ...manifest, version },
  manifestDigest: "sha256:m",
  codeDigest: "sha256:c",
  source: "directory:/p",
  root: "/store/x",
  bundle: "bundle.js",
  defaults: { units: "metric" },
  state: "validated",
  active: false,
  installedAt: 5,
  lastError: null,
  executionCount: 0,
  errorCount: 0,
  ...change,
});

const approval = (change: Partial<StoredApproval> = {}): StoredApproval => ({
  id: "apr_1",
  kind: "call",
  state: "pending",
  createdAt: 10,
  expiresAt: 100,
  decidedAt: null,
  decidedBy: null,
  reason: null,
  plugin: plugin().ref,
  tool: "weather__forecast",
  agent: "local",
  operator: "ann",
  token: "tok_1",
  via: { plugin: { id: "trip", version: "1.0.0", digest: "sha256:t" }, chain: ["trip__plan"] },
  inputDigest: "sha256:i",
  definitionDigest: "sha256:d",
  policySnapshot: "sha256:s",
  rule: "default:write",
  input: { city: "Bern" },
  facts: { effect: "write", reach: ["may read files in /data and below"], changes: [] },
  scope: null,
  usesLeft: 2,
  uses: 0,
  endedAt: null,
  endedBy: null,
  endedReason: null,
  sentence: "may run forecast",
  ...change,
});

const grant = (change: Partial<Grant> = {}): Grant => ({
  id: "grt_1",
  pluginId: "weather",
  version: "1.2.0",
  manifestDigest: "sha256:m",
  treeDigest: "sha256:1.2.0",
  scopes: [{ capability: "filesystem", path: "/data", mode: "r" }],
  grantedBy: "ann",
  grantedAt: 3,
  ...change,
});

describe("plugins", () => {
  it("come back as they were stored", async () => {
    const database = await open();
    const stored = plugin("1.2.0", { publisherKey: "key", active: true, lastError: "e" });
    await database.atomically([insertPlugin(stored)]);
    expect(await findPlugin(database, stored.ref)).toEqual(stored);
    expect(await listPlugins(database)).toEqual([stored]);
    expect(await findPlugin(database, { ...stored.ref, digest: "sha256:other" })).toBeNull();
  });

  it("move only from the state that the mover saw", async () => {
    const database = await open();
    const { ref } = plugin();
    await database.atomically([insertPlugin(plugin())]);
    await database.atomically([
      movePlugin(ref, { from: "validated", to: "pending_approval", at: 6, lastError: "why" }),
    ]);
    expect(await findPlugin(database, ref)).toMatchObject({ state: "pending_approval", lastError: "why" });
    await expect(
      database.atomically([movePlugin(ref, { from: "validated", to: "revoked", at: 7 })]),
    ).rejects.toMatchObject({ code: "conflict" });
    expect(await findPlugin(database, ref)).toMatchObject({ state: "pending_approval" });
  });

  it("have one active version an id", async () => {
    const database = await open();
    await database.atomically([insertPlugin(plugin("1.0.0", { active: true })), insertPlugin(plugin("2.0.0"))]);
    await expect(database.atomically([insertPlugin(plugin("3.0.0", { active: true }))])).rejects.toMatchObject({
      code: "conflict",
    });
    await database.atomically(activatePlugin(plugin("2.0.0").ref, 9));
    expect((await listPlugins(database)).map(({ ref, active }) => [ref.version, active])).toEqual([
      ["1.0.0", false],
      ["2.0.0", true],
    ]);
  });

  it("count, and go", async () => {
    const database = await open();
    const { ref } = plugin();
    await database.atomically([
      insertPlugin(plugin()),
      countExecutions(ref, { executions: 3, errors: 1, lastError: "x" }),
    ]);
    await database.atomically([countExecutions(ref, { executions: 2, errors: 0 })]);
    expect(await findPlugin(database, ref)).toMatchObject({ executionCount: 5, errorCount: 1, lastError: "x" });
    await database.atomically([deletePlugin(ref)]);
    expect(await listPlugins(database)).toEqual([]);
    await expect(database.atomically([deletePlugin(ref)])).rejects.toMatchObject({ code: "conflict" });
  });

  it("read a state that this program does not know as one that never runs", async () => {
    const database = await open();
    await database.atomically([insertPlugin(plugin())]);
    await database.query.updateTable("plugins").set({ state: "turbo" }).execute();
    expect(await findPlugin(database, plugin().ref)).toMatchObject({ state: "invalid" });
  });
});

describe("grants", () => {
  it("are there until withdrawn, once", async () => {
    const database = await open();
    await database.atomically([insertGrant(grant()), insertGrant(grant({ id: "grt_2", grantedAt: 4, expiresAt: 50 }))]);
    expect(await listGrants(database, "weather")).toEqual([
      grant({ id: "grt_2", grantedAt: 4, expiresAt: 50 }),
      grant(),
    ]);
    await database.atomically([withdrawGrant("grt_1", "ann", 9)]);
    expect(await findGrant(database, "grt_1")).toBeNull();
    await expect(database.atomically([withdrawGrant("grt_1", "ann", 9)])).rejects.toMatchObject({ code: "conflict" });
    await database.atomically([
      insertGrant(grant({ id: "grt_3", version: "2.0.0" })),
      withdrawGrantsOf(plugin().ref, "ann", 9),
    ]);
    expect((await listGrants(database)).map(({ id }) => id)).toEqual(["grt_3"]);
    await database.atomically([withdrawGrantsOf({ id: "weather" }, "ann", 9)]);
    expect(await listGrants(database)).toEqual([]);
  });
});

describe("what the operator sets", () => {
  it("is replaced as a whole and removed: configuration, allow-list, ceiling, tool rule", async () => {
    const database = await open();
    const config = { space: "weather", values: { units: "metric" }, updatedBy: "ann", updatedAt: 1 };
    const allowed = {
      pluginId: "weather",
      versionRange: "^1.0.0",
      treeDigest: null,
      publisher: null,
      addedBy: "ann",
      addedAt: 1,
    };
    const ceiling = { pluginId: "weather", scopes: grant().scopes, setBy: "ann", setAt: 1 };
    const rule = { tool: "weather__forecast", agent: null, decision: "allow", setBy: "ann", setAt: 1 } as const;
    for (const change of [{}, { updatedAt: 2, addedAt: 2, setAt: 2 }]) {
      await database.atomically([
        saveConfig({ ...config, ...change }),
        saveAllowed({ ...allowed, ...change }),
        saveCeiling({ ...ceiling, ...change }),
        saveToolRule({ ...rule, ...change }),
        saveToolRule({ ...rule, agent: "local", decision: "deny" }),
      ]);
    }
    expect(await findConfig(database, "weather")).toEqual({ ...config, updatedAt: 2 });
    expect(await listAllowed(database)).toEqual([{ ...allowed, addedAt: 2 }]);
    expect(await listCeilings(database)).toEqual([{ ...ceiling, setAt: 2 }]);
    expect(await listToolRules(database)).toEqual([
      { ...rule, setAt: 2 },
      { ...rule, agent: "local", decision: "deny" },
    ]);
    await database.atomically([
      ...purgeDataSpace("weather"),
      deleteAllowed("weather"),
      deleteCeiling("weather"),
      deleteToolRule(rule.tool, "local"),
    ]);
    expect([await findConfig(database, "weather"), await listAllowed(database), await listCeilings(database)]).toEqual([
      null,
      [],
      [],
    ]);
    expect(await listToolRules(database)).toHaveLength(1);
    await database.atomically(deleteToolRulesOf([rule.tool]));
    expect(await listToolRules(database)).toEqual([]);
  });
});

describe("revocations", () => {
  it("hit by id, tree digest, code digest or key, outlive a restart, and are never replaced", async () => {
    const home = await homes.directory();
    const first = await homes.open(home);
    const revocation = { pluginId: "weather", reason: "stole files", revokedBy: "ann", revokedAt: 1 };
    await first.atomically([insertRevocation({ ...revocation, kind: "code_digest", value: "sha256:c" })]);
    await first.atomically([
      insertRevocation({ ...revocation, kind: "code_digest", value: "sha256:c", reason: "second" }),
    ]);
    await first.close();
    const database = await homes.open(home);
    expect(await listRevocations(database)).toHaveLength(1);
    const marks = { id: "other", treeDigest: "sha256:t", codeDigest: "sha256:c" };
    expect(await findRevocation(database, marks)).toMatchObject({ kind: "code_digest", reason: "stole files" });
    expect(await findRevocation(database, { ...marks, codeDigest: "sha256:clean" })).toBeNull();
    expect(await findRevocation(database, { ...marks, id: "sha256:c", codeDigest: "sha256:clean" })).toBeNull();
    await database.atomically([insertRevocation({ ...revocation, kind: "publisher_key", value: "k" })]);
    expect(await findRevocation(database, { ...marks, codeDigest: "sha256:clean", publisherKey: "k" })).toMatchObject({
      kind: "publisher_key",
    });
  });
});

describe("approvals", () => {
  it("come back as they were stored, filtered", async () => {
    const database = await open();
    await database.atomically([
      insertApproval(approval()),
      insertApproval(approval({ id: "apr_2", kind: "plugin", createdAt: 11, input: undefined })),
    ]);
    expect(await findApproval(database, "apr_1")).toEqual(approval());
    expect((await listApprovals(database)).map(({ id }) => id)).toEqual(["apr_2", "apr_1"]);
    expect(
      await listApprovals(database, {
        kind: "call",
        state: "pending",
        pluginId: "weather",
        tool: "weather__forecast",
        agent: "local",
        inputDigest: "sha256:i",
      }),
    ).toHaveLength(1);
    expect(await listApprovals(database, { inputDigest: "sha256:j" })).toEqual([]);
  });

  it("are decided once, and in time", async () => {
    const database = await open();
    await database.atomically([insertApproval(approval()), insertApproval(approval({ id: "apr_2" }))]);
    await database.atomically([
      decideApproval("apr_1", { state: "approved", by: "ann", at: 20, expiresAt: 60, usesLeft: 1 }),
    ]);
    expect(await findApproval(database, "apr_1")).toMatchObject({
      state: "approved",
      decidedBy: "ann",
      expiresAt: 60,
      usesLeft: 1,
    });
    await expect(
      database.atomically([decideApproval("apr_1", { state: "denied", by: "bob", at: 21 })]),
    ).rejects.toMatchObject({ code: "conflict" });
    await expect(
      database.atomically([decideApproval("apr_2", { state: "approved", by: "ann", at: 100 })]),
    ).rejects.toMatchObject({ code: "conflict" });
  });

  it("are used up: not more often than allowed, not for another input, not late, not unapproved", async () => {
    const database = await open();
    const use = (at = 30, inputDigest = "sha256:i") =>
      database.atomically([consumeApproval("apr_1", { inputDigest, at })]);
    await database.atomically([insertApproval(approval())]);
    await expect(use()).rejects.toMatchObject({ code: "conflict" });
    await database.atomically([decideApproval("apr_1", { state: "approved", by: "ann", at: 20 })]);
    await expect(use(30, "sha256:j")).rejects.toMatchObject({ code: "conflict" });
    await expect(use(100)).rejects.toMatchObject({ code: "conflict" });
    await use();
    expect(await findApproval(database, "apr_1")).toMatchObject({ state: "approved", usesLeft: 1 });
    const racing = await Promise.allSettled([use(), use(), use()]);
    expect(racing.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await findApproval(database, "apr_1")).toMatchObject({ state: "consumed", usesLeft: 0, uses: 2 });
  });

  it("without a number of uses last until they expire or are closed", async () => {
    const database = await open();
    const approved = { state: "approved", usesLeft: null } as const;
    await database.atomically([
      insertApproval(approval(approved)),
      insertApproval(approval({ ...approved, id: "apr_2", expiresAt: null })),
    ]);
    await database.atomically([consumeApproval("apr_1", { inputDigest: "sha256:i", at: 30 })]);
    expect(await findApproval(database, "apr_1")).toMatchObject({ state: "approved", usesLeft: null });
    expect((await dueApprovals(database, 100)).map(({ id }) => id)).toEqual(["apr_1"]);
    const expire = (id: string) => endApproval(id, { state: "expired", by: "host", at: 100, reason: "time" });
    await database.atomically([expire("apr_1")]);
    await expect(database.atomically([expire("apr_2")])).rejects.toMatchObject({ code: "conflict" });
    expect(await findApproval(database, "apr_1")).toMatchObject({ state: "expired", endedBy: "host", endedAt: 100 });
    await database.atomically([closeApprovalsOf({ id: "weather" }, "ann", 5, "revoked")]);
    expect(await findApproval(database, "apr_2")).toMatchObject({ state: "withdrawn", endedReason: "revoked" });
  });

  it("that cover other inputs are found for every input, and used for every one", async () => {
    const database = await open();
    await database.atomically([insertApproval(approval())]);
    const call = { tool: "weather__forecast", agent: "local", inputDigest: "sha256:j", deniedAfter: 0 };
    expect(await approvalsForCall(database, call)).toEqual([]);
    const scope = { match: { city: { glob: "Be*" } }, within: grant().scopes };
    await database.atomically([
      decideApproval("apr_1", { state: "approved", by: "ann", at: 20, scope, expiresAt: 60, usesLeft: null }),
    ]);
    expect(await approvalsForCall(database, call)).toMatchObject([{ id: "apr_1", scope, usesLeft: null }]);
    expect(await listApprovals(database, { standing: true })).toHaveLength(1);
    expect(await countApprovals(database)).toEqual({ waiting: 0, standing: 1 });
    await database.atomically([consumeApproval("apr_1", { inputDigest: "sha256:j", at: 30 })]);
    expect(await findApproval(database, "apr_1")).toMatchObject({ state: "approved", uses: 1 });
    expect(await lastApprovedCall(database, "weather__forecast", "local")).toMatchObject({ id: "apr_1" });
    await database.atomically([withdrawCallsOf({ agent: "local" }, "ann", 5, "agent removed")]);
    expect(await findApproval(database, "apr_1")).toMatchObject({ state: "withdrawn" });
  });
});

describe("a plugin's keys and values", () => {
  it("are its own, listed by prefix without wildcards", async () => {
    const database = await open();
    const kv = createKvStore(database);
    for (const key of ["a_1", "a%2", "ab", "b"]) await kv.set("p", key, `"${key}"`, 1000);
    await kv.set("q", "a", "1", 1000);
    expect(await kv.list("p", "a", 10)).toEqual(["a%2", "a_1", "ab"]);
    expect(await kv.list("p", "a_", 10)).toEqual(["a_1"]);
    expect(await kv.list("p", "", 2)).toEqual(["a%2", "a_1"]);
    expect(await kv.get("q", "b")).toBeNull();
    expect([await kv.delete("p", "b"), await kv.delete("p", "b")]).toEqual([true, false]);
    await database.atomically(purgeDataSpace("p"));
    expect([await kv.usage("p"), await kv.usage("q")]).toEqual([
      { keys: 0, bytes: 0 },
      { keys: 1, bytes: 2 },
    ]);
  });

  it("stay under the quota, also when written at the same time; replacing counts the difference", async () => {
    const kv = createKvStore(await open());
    const writes = Array.from({ length: 10 }, (_, index) => kv.set("p", `${index}`, "é".repeat(12), 100));
    const results = await Promise.allSettled(writes);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
    expect(await kv.usage("p")).toEqual({ keys: 4, bytes: 100 });
    await kv.set("p", "0", "x".repeat(24), 100);
    await expect(kv.set("p", "0", "x".repeat(25), 100)).rejects.toMatchObject({ code: "quota_exceeded" });
  });
});
