import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Owner, ownerRoutes, serveOwner } from "../../src/cli/index.ts";
import { ROUTES } from "../../src/api/index.ts";
import { findOwner, type OwnerClient } from "../../src/cli/owner-client.ts";
import type { Host, TokenRequest } from "../../src/host-api.ts";
import type { Clock } from "../../src/kernel/index.ts";
import { OPERATOR } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { type Ledger, openLedger } from "./world.ts";

needsNamespace();

const time = { ahead: 0 };
const clock: Clock = { now: () => Date.now() + time.ahead, monotonic: () => performance.now() };

let ledger: Ledger;
let host: Host;
let owner: Owner;
let client: OwnerClient;
beforeAll(async () => {
  ledger = await openLedger(undefined, { clock });
  ({ host } = ledger);
  await serve();
});
afterAll(async () => {
  await owner?.stop();
  await ledger?.home.remove();
});

async function serve(): Promise<void> {
  const home = ledger.home.path;
  owner = await serveOwner(host, {
    home,
    env: {},
    version: "0",
    background: false,
    idleMs: 60_000,
    onDefect: (error) => expect.fail(String(error)),
  });
  const found = await findOwner(home, {});
  if (!found) throw new Error("no owner");
  client = found;
}

const make = async (request: TokenRequest) => host.tokens.create(OPERATOR, request);
const agentToken = async (name = "bot") => (await make({ kind: "agent", name })).token;

async function send(
  method: string,
  path: string,
  authorization: string | undefined,
  more: { readonly body?: object; readonly headers?: Readonly<Record<string, string>> } = {},
) {
  const { json, status } = await client.request(method, path, {
    ...(method === "GET" ? {} : { body: {} }),
    ...more,
    headers: { ...(authorization !== undefined && { authorization }), ...more.headers },
  });
  return { status, answer: json as { success: boolean; code?: string; result?: unknown; fix?: string } };
}

const all = () => [
  ...ROUTES,
  ...ownerRoutes(host, { version: "0", background: false }, () => expect.fail("the owner was stopped")),
];
const pathOf = (path: string) => path.replace(/:\w+/g, "ledger").replace("*", "look");

describe("an agent's token", () => {
  it("lists and calls tools as that agent, whatever agent the request names", async () => {
    const token = `Bearer ${await agentToken()}`;
    const call = await send("POST", "/api/tools/ledger__look/call", token);
    expect(call).toMatchObject({ status: 200, answer: { success: true } });
    const listed = await send("GET", "/api/tools", token, { headers: { "x-sallyport-agent": "bot" } });
    expect(listed.status).toBe(200);
    const other = await send("GET", "/api/tools", token, { headers: { "x-sallyport-agent": "local" } });
    expect(other).toMatchObject({ status: 403, answer: { code: "forbidden" } });
    const [event] = await host.audit.query({ type: "plugin_tool.invoked", agent: "bot", order: "desc", limit: 1 });
    expect(event).toMatchObject({ actor: "agent:bot", tool: "ledger__look", data: { token: expect.any(String) } });
    await ledger.seen();
  });

  it("opens no verb of an operator: every route is tried [S2-62, S2-63, S2-64, S4-57, S4-58, S4-59]", async () => {
    const token = `Bearer ${await agentToken()}`;
    const closed = all().filter(({ audience }) => audience === "operator");
    expect(closed.length).toBeGreaterThan(50);
    for (const { method, path, verb } of closed)
      expect([verb, (await send(method, pathOf(path), token)).answer.code]).toEqual([verb, "forbidden"]);
  });
});

describe("a credential that opens nothing", () => {
  it("is refused everywhere, and never falls back to the user whose socket it is", async () => {
    const expired = (await make({ kind: "operator", name: "ci", scopes: ["operate"], expiresAt: clock.now() + 60_000 }))
      .token;
    time.ahead += 60_000;
    const revoked = await make({ kind: "agent", name: "bot" });
    await host.tokens.revoke(OPERATOR, revoked.view.id);
    const good = await agentToken();
    const wrong = `${good.slice(0, -1)}${good.endsWith("0") ? "1" : "0"}`;
    const bad = [
      `Bearer ${expired}`,
      `Bearer ${revoked.token}`,
      `Bearer ${wrong}`,
      good,
      `Basic ${good}`,
      "Bearer",
      "",
    ];
    const [first = "", ...others] = bad;
    for (const { method, path, verb, audience } of all())
      if (audience !== "open")
        expect([verb, await send(method, pathOf(path), first)]).toMatchObject([
          verb,
          { status: 401, answer: { code: "unauthenticated" } },
        ]);
    for (const authorization of others)
      expect([authorization, (await send("GET", "/api/plugins/loaded", authorization)).status]).toEqual([
        authorization,
        401,
      ]);
    expect((await send("GET", "/api/plugins/loaded", undefined)).status).toBe(200);
    const events = await host.audit.query({ type: "token.refused", order: "desc", limit: 3 });
    expect(events[0]).toMatchObject({ decision: "deny" });
  });

  it("opens no session either", async () => {
    for (const authorization of ["Bearer sp_agent_x", "Basic x"]) {
      const opening = client.upgrade("/mcp-session?agent=local", "sallyport-mcp", { authorization });
      await expect(opening).rejects.toMatchObject({ code: "unauthenticated" });
    }
    const operator = (await make({ kind: "operator", name: "ci", scopes: ["operate", "approve", "admin"] })).token;
    const opening = client.upgrade("/mcp-session", "sallyport-mcp", { authorization: `Bearer ${operator}` });
    await expect(opening).rejects.toMatchObject({ code: "forbidden" });
  });
});

describe("an operator's token", () => {
  const SCOPES = ["operate", "approve", "admin"] as const;

  it.each(SCOPES)("with the scope %s opens what needs it and nothing else", async (scope) => {
    const token = `Bearer ${(await make({ kind: "operator", name: "ci", scopes: [scope] })).token}`;
    for (const { method, path, verb, needs, needsPassphrase, audience } of all()) {
      const wanted = audience === "agent" ? "operate" : (needs ?? (needsPassphrase ? "admin" : "operate"));
      if (audience === "open" || wanted === scope || wanted === "any") continue;
      expect([verb, (await send(method, pathOf(path), token)).answer]).toMatchObject([
        verb,
        { success: false, code: "forbidden" },
      ]);
    }
    const [open, body] = {
      operate: ["/api/plugins/loaded", undefined],
      approve: ["/api/approvals", undefined],
      admin: ["/api/agents/desk", { tools: [] }],
    }[scope] as [string, object | undefined];
    const { status } = await send(body ? "PUT" : "GET", open, token, body ? { body } : {});
    expect(status).toBe(200);
  });

  it("makes no token and sets no passphrase, whatever its scopes", async () => {
    const token = `Bearer ${(await make({ kind: "operator", name: "ci", scopes: SCOPES })).token}`;
    for (const [path, body] of [
      ["/api/tokens", { kind: "agent", name: "bot" }],
      ["/api/operators/passphrase", { next: "correct horse" }],
    ] as const)
      expect(await send("POST", path, token, { body })).toMatchObject({ status: 403, answer: { code: "forbidden" } });
    await expect(
      host.tokens.create({ name: "ci", token: "tok_1" }, { kind: "agent", name: "bot" }),
    ).rejects.toMatchObject({ code: "forbidden" });
    expect(host.operators.passphraseSet).toBe(false);
  });

  it("cannot answer a call that was made with it, however it is named", async () => {
    await host.agents.set(OPERATOR, "desk", {});
    const scopes = ["operate", "approve"] as const;
    const { token } = await make({ kind: "operator", name: "ci", scopes });
    const second = (await make({ kind: "operator", name: "ci", scopes })).token;
    const other = (await make({ kind: "operator", name: "supervisor", scopes })).token;
    await asksFor("save", async () => {
      const asked = await send("POST", "/api/tools/ledger__save/call", `Bearer ${token}`);
      const { id } = (asked.answer as unknown as { approval: { id: string } }).approval;
      const approve = (by: string) => send("POST", `/api/approvals/${id}/approve`, `Bearer ${by}`);
      expect((await approve(token)).status).toBe(403);
      expect((await approve(second)).status).toBe(403);
      expect((await approve(other)).status).toBe(200);
    });
  });
});

/** While a rule asks for approval of a tool. */
async function asksFor(tool: string, run: () => Promise<void>): Promise<void> {
  const config = readFileSync(join(ledger.home.path, "config.yml"), "utf8");
  const rule = `\n  rules: [{ tool: ledger__${tool}, decision: require_approval }]\n`;
  await changes(() => ledger.home.writeConfig(config.trimEnd() + rule));
  try {
    await run();
  } finally {
    await changes(() => ledger.home.writeConfig(config));
  }
}

async function changes(run: () => Promise<void>): Promise<void> {
  const changed = new Promise<void>((resolve) => {
    const stop = host.onToolsChanged(() => {
      stop();
      resolve();
    });
  });
  await run();
  await changed;
}

describe("a token that ends", () => {
  it("ends the sessions that it opened, and no other", async () => {
    const one = await make({ kind: "agent", name: "bot" });
    const two = await make({ kind: "agent", name: "bot" });
    const open = (token: string) =>
      client.upgrade("/mcp-session", "sallyport-mcp", { authorization: `Bearer ${token}` });
    const [first, second] = await Promise.all([open(one.token), open(two.token)]);
    const ended = new Promise<void>((resolve) => first.once("close", resolve));
    first.resume();
    await host.tokens.revoke(OPERATOR, one.view.id);
    await ended;
    expect(second.destroyed).toBe(false);
    second.destroy();
    await expect(open(one.token)).rejects.toMatchObject({ code: "unauthenticated" });
    await expect(host.tokens.revoke(OPERATOR, one.view.id)).rejects.toMatchObject({ code: "conflict" });
    await expect(host.tokens.revoke(OPERATOR, "tok_none")).rejects.toMatchObject({ code: "not_found" });
  });

  it("ends what it was reading", async () => {
    const { token, view } = await make({ kind: "operator", name: "ci", scopes: ["operate"] });
    const [made] = await host.audit.query({ type: "token.created", order: "desc", limit: 1 });
    const path = `/api/audit/tail?type=token.created&after=${(made?.seq ?? 0) - 1}`;
    const reader = client.lines("GET", path, { headers: { authorization: `Bearer ${token}` } })[Symbol.asyncIterator]();
    expect(await reader.next()).toMatchObject({ done: false, value: expect.stringContaining(view.id) });
    await host.tokens.revoke(OPERATOR, view.id);
    let last;
    do last = await reader.next();
    while (!last.done);
    expect(last.done).toBe(true);
  });

  it("opens no call of a session that is still there", async () => {
    const { view } = await make({ kind: "agent", name: "bot", expiresAt: clock.now() + 60_000 });
    const caller = { kind: "agent", agent: "bot", token: view.id } as const;
    await ledger.seen();
    expect(await host.invoke(caller, { tool: "ledger__look", input: {} })).toMatchObject({ success: true });
    time.ahead += 60_000;
    expect(await host.invoke(caller, { tool: "ledger__look", input: {} })).toMatchObject({ code: "unauthenticated" });
    await expect(host.tools.list(caller)).rejects.toMatchObject({ code: "unauthenticated" });
    expect((await host.tokens.list()).find(({ id }) => id === view.id)).toMatchObject({ state: "expired" });
    expect((await ledger.seen()).length).toBe(1);
  });
});

describe("what is kept of a token", () => {
  it("is not the token: it is in no file of the home, no list and no event", async () => {
    const { token, view } = await make({ kind: "agent", name: "bot" });
    await send("GET", "/api/tools", `Bearer ${token}`);
    await host.audit.flush();
    const texts = [JSON.stringify([view, await host.tokens.list(), await host.audit.query({ limit: 1000 })])];
    for (const file of files(ledger.home.path)) texts.push(readFileSync(file, "latin1"));
    expect(texts.length).toBeGreaterThan(4);
    for (const text of texts) {
      expect(text.includes(token)).toBe(false);
      expect(text.includes(token.slice(9, 40))).toBe(false);
    }
    const [created] = await host.audit.query({ type: "token.created", order: "desc", limit: 1 });
    expect(created).toMatchObject({ actor: "operator:tester", agent: "bot", data: { token: view.id, kind: "agent" } });
  });

  it("says when it was last used, and outlives a restart, ended ones too", async () => {
    const kept = await make({ kind: "agent", name: "bot" });
    const gone = await make({ kind: "agent", name: "bot" });
    await send("GET", "/api/tools", `Bearer ${kept.token}`);
    const over = await make({ kind: "agent", name: "bot", expiresAt: clock.now() + 60_000 });
    await host.tokens.revoke(OPERATOR, gone.view.id);
    time.ahead += 120_000;
    await owner.stop();
    await host.close();
    // A clock that is put back brings nothing back.
    time.ahead -= 120_000;
    ledger = { ...ledger, host: (host = await ledger.home.open({ clock })) };
    await serve();
    expect((await send("GET", "/api/tools", `Bearer ${kept.token}`)).status).toBe(200);
    for (const { token } of [gone, over]) expect((await send("GET", "/api/tools", `Bearer ${token}`)).status).toBe(401);
    const listed = new Map((await host.tokens.list()).map((token) => [token.id, token]));
    expect(listed.get(kept.view.id)).toMatchObject({ state: "valid", lastUsedAt: expect.any(Number) });
    expect(listed.get(gone.view.id)).toMatchObject({ state: "revoked", lastUsedAt: null });
  });

  it("counts instead of the passphrase only when that was asked for as it was made", async () => {
    const before = (await make({ kind: "operator", name: "ci", scopes: ["admin"] })).token;
    await host.operators.setPassphrase(undefined, "correct horse");
    const after = (await make({ kind: "operator", name: "ci", scopes: ["admin"] })).token;
    const set = (token: string) => send("PUT", "/api/agents/desk", `Bearer ${token}`);
    expect(await set(before)).toMatchObject({ status: 401, answer: { code: "passphrase_required" } });
    expect((await set(after)).status).toBe(200);
    const answer = await send("POST", "/api/tokens", undefined, { body: { kind: "agent", name: "bot" } });
    expect(answer).toMatchObject({ status: 401, answer: { code: "passphrase_required" } });
  });
});

describe("a request for a token", () => {
  it.each([
    [{ kind: "agent", name: "" }, "usage"],
    [{ kind: "agent", name: "a b" }, "usage"],
    [{ kind: "agent", name: "bot", expiresAt: 5 }, "usage"],
    [{ kind: "agent", name: "bot", expiresAt: Number.NaN }, "usage"],
    [{ kind: "operator", name: "ci", scopes: [] }, "usage"],
    [{ kind: "operator", name: "ci", scopes: ["everything"] }, "usage"],
  ])("such as %j is refused", async (request, code) => {
    await expect(make(request as TokenRequest)).rejects.toMatchObject({ code });
  });
});

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const stat = statSync(path);
    return stat.isDirectory() ? files(path) : stat.isFile() ? [path] : [];
  });
}
