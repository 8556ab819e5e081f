import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host, InvokeAnswer, PluginNote } from "../../src/host-api.ts";
import { createFlights } from "../../src/host/flights.ts";
import { createPluginCalls, PLUGIN_CALL_LIMITS } from "../../src/host/plugin-calls.ts";
import { NOTE_LIMITS } from "../../src/broker/agent.ts";
import { type Caller, SallyportError, systemClock } from "../../src/kernel/index.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { nextEvent } from "../hooks/support.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

const BOB: Caller = { kind: "agent", agent: "bob" };
const SECRET = "s3cr3t-value-of-the-vault-9481";
const CONFIG = `
plugins: { enabled: true }
agents: { enabled_tools: ["*"] }
policy:
  defaults: { read: allow, write: allow, external: allow, destructive: allow }
  rules:
    - { tool: kit__hidden, decision: deny }
    - { tool: kit__private, agent: local, decision: deny }
    - { tool: kit__asked, decision: require_approval }
    - { tool: composer__asked, decision: require_approval }
`;

const TOOLS = `
let released = () => undefined;
const calls = [];
export default { tools: {
  echo: (input) => ({ ...input, seen: calls.length }),
  hidden: () => "hidden", private: () => "private", asked: (input) => ({ asked: input }),
  seen: (input, ctx) => ({ agent: ctx.call.agent, id: ctx.call.id }),
  fails: () => { throw new Error("it fails"); },
  async hang(_, ctx) {
    await ctx.kv.set("hangs", true);
    await new Promise((resolve) => ctx.signal.addEventListener("abort", () => { calls.push("aborted"); resolve(); }));
    return {};
  },
  aborted: () => ({ calls }),
} };`;

/** Calls what it is told to, and says what came of it. */
const COMPOSER = `
let kept;
const attempt = async (ctx, tool, input) => {
  try { return { output: await ctx.agent.callTool(tool, input) }; }
  catch (error) { return { code: error.code, message: error.message }; }
};
let started;
export default {
  async initialize(_, ctx) { started = await attempt(ctx, "kit__echo", {}); return true; },
  tools: {
    run: ({ tool, input }, ctx) => attempt(ctx, tool, input),
    // What it really saw: on the way back to the test the host would take a secret out again.
    backwards: async ({ tool, input }, ctx) =>
      ({ seen: [...JSON.stringify(await ctx.agent.callTool(tool, input))].reverse().join("") }),
    plain: ({ tool, input }, ctx) => ctx.agent.callTool(tool, input),
    asked: ({ tool, input }, ctx) => attempt(ctx, tool, input),
    async many({ tool, times }, ctx) {
      const answers = [];
      for (let n = 0; n < times; n++) answers.push(await attempt(ctx, tool, {}));
      return answers;
    },
    deep: async ({ depth = 0 }, ctx) => ({ depth, below: await attempt(ctx, "composer__deep", { depth: depth + 1 }) }),
    keep: (_, ctx) => { kept = ctx; return {}; },
    kept: ({ tool }) => attempt(kept, tool, {}),
    started: () => started,
    notify: ({ text }, ctx) => ctx.agent.notify(text).then(() => ({ ok: true }), (error) => ({ code: error.code })),
    notes: async ({ times }, ctx) => {
      const codes = [];
      for (let n = 0; n < times; n++) codes.push(await ctx.agent.notify("note " + n).then(() => "ok", (error) => error.code));
      return { codes };
    },
  },
};`;

/** One place only, and a way to call the other one back. */
const single = (other: string): string => `
export default { tools: {
  async back({ tool = "${other}__back", depth = 0 }, ctx) {
    if (depth > 1) return { depth };
    try { return { below: await ctx.agent.callTool(tool, { depth: depth + 1 }) }; } catch (error) { return { code: error.code }; }
  },
} };`;

let home: TestHome;
let host: Host;

const agentGrant = (tools: string, more = ""): string =>
  `permissions: { agent: [{ tools: ${tools}, reason: "Test."${more} }] }`;

async function add(id: string, tools: readonly string[], more: string, code: string): Promise<void> {
  const source = await home.plugin(id, { "plugin.yml": manifestOf(id, tools, more), "plugin.js": code });
  await installed(host, source);
}

beforeAll(async () => {
  home = await makeHome(CONFIG);
  host = await home.open();
  await host.secrets.set(OPERATOR, "TOKEN", SECRET, ["https://api.example.com"]);
  const names = ["echo", "hidden", "private", "asked", "seen", "fails", "hang", "aborted"];
  await add(
    "kit",
    names.map((name) => toolLine(name)),
    "permissions: {}",
    TOOLS,
  );
  const own = ["run", "backwards", "plain", "asked", "many", "deep", "keep", "kept", "started", "notify", "notes"];
  await add(
    "composer",
    own.map((name) => toolLine(name)),
    agentGrant('["kit__*", composer__deep, one__back, missing__tool]', ", notify: true"),
    COMPOSER,
  );
  await add(
    "one",
    [toolLine("back")],
    `${agentGrant("[two__back, one__back]")}\nlimits: { concurrency: 1 }`,
    single("two"),
  );
  await add("two", [toolLine("back")], `${agentGrant("[one__back]")}\nlimits: { concurrency: 1 }`, single("one"));
});
afterAll(() => home?.remove());

async function result(tool: string, input: unknown, caller: Caller = AGENT): Promise<unknown> {
  const answer = await host.invoke(caller, { tool, input });
  return answer.success ? answer.result : expect.fail(`${answer.code}: ${answer.error} ${answer.detail ?? ""}`);
}

const run = (tool: string, input: unknown = {}, caller: Caller = AGENT) =>
  result("composer__run", { tool, input }, caller);

async function events(filter: Parameters<Host["audit"]["query"]>[0]) {
  await host.audit.flush();
  return host.audit.query({ order: "asc", ...filter });
}

const failed = (answer: InvokeAnswer) => (answer.success ? expect.fail("it succeeded") : answer);

describe("a tool that calls another plugin's tool [S3-77]", () => {
  it("goes through the same gates for the agent that began, and the audit joins the two", async () => {
    const answer = await host.invoke(AGENT, { tool: "composer__run", input: { tool: "kit__seen", input: {} } });
    expect(answer).toMatchObject({ success: true, result: { output: { agent: "local" } } });
    const own = await events({ call: answer.callId });
    expect(own.map(({ type, phase }) => `${type} ${phase ?? ""}`)).toEqual([
      "plugin_tool.invoked intent",
      "broker.action ",
      "plugin_tool.invoked outcome",
    ]);
    expect(own[1]).toMatchObject({ capability: "agent", target: "kit__seen", method: "agent.call", tool: "run" });
    const [child, ...more] = (await events({ tool: "kit__seen" })).filter(
      (event) => event.parent_call === answer.callId,
    );
    expect(more).toEqual([]);
    expect(child).toMatchObject({
      actor: "agent:local",
      agent: "local",
      outcome: "succeeded",
      data: { via: ["composer__run"] },
    });
    // Durable before the child began.
    expect(own[0]?.seq).toBeLessThan(child?.seq ?? 0);
  });

  it("reaches nothing that was not granted, whether it exists or not", async () => {
    const refused = { code: "permission_denied" };
    expect(await run("composer__run")).toMatchObject(refused);
    expect(await run("none__at_all")).toMatchObject(refused);
    expect(await result("one__back", { tool: "kit__echo" })).toEqual({ code: "permission_denied" });
  });

  it("finds a tool that is hidden from the agent as unknown as one that is not there; for another agent it is there", async () => {
    const unknown = { code: "unknown_tool" };
    expect(await run("kit__hidden")).toMatchObject(unknown);
    expect(await run("missing__tool")).toMatchObject(unknown);
    expect(await run("kit__private")).toMatchObject(unknown);
    const [hidden, missing] = [await run("kit__hidden"), await run("missing__tool")];
    expect(JSON.stringify(hidden).replaceAll("kit__hidden", "X")).toBe(
      JSON.stringify(missing).replaceAll("missing__tool", "X"),
    );
    expect(await run("kit__private", {}, BOB)).toEqual({ output: "private" });
  });

  it("needs the approval that the called tool needs, shows who asks, and goes on once it was given", async () => {
    const call = { tool: "composer__plain", input: { tool: "kit__asked", input: { a: 1 } } };
    const first = failed(await host.invoke(AGENT, call));
    expect(first.code).toBe("tool_failed");
    expect(first.detail).toContain("approval_required");
    const [pending, ...more] = await host.approvals.list({ state: "pending" });
    expect(more).toEqual([]);
    expect(pending).toMatchObject({ tool: "kit__asked", agent: "local", via: ["composer__plain"] });
    expect(pending?.sentence).toContain("composer");
    // The same call of the agent's own is another matter.
    expect(failed(await host.invoke(AGENT, { tool: "kit__asked", input: { a: 1 } })).code).toBe("approval_required");
    await host.approvals.approve(OPERATOR, pending?.id ?? "");
    expect(await host.invoke(AGENT, call)).toMatchObject({ success: true, result: { asked: { a: 1 } } });
    expect(failed(await host.invoke(AGENT, call)).detail).toContain("approval_required");
  });

  it("gets outputs as data, without known secrets, and failures as failures", async () => {
    const input = { text: `x ${SECRET} y` };
    expect(await result("composer__backwards", { tool: "kit__echo", input })).toEqual({
      seen: expect.not.stringContaining(SECRET.split("").toReversed().join("")),
    });
    expect(await run("kit__fails")).toMatchObject({ code: "tool_failed", message: "it fails" });
  });

  it("does so only within a call of an agent's: not in initialize, not by a context of a call that is over", async () => {
    expect(await result("composer__started", {})).toMatchObject({ code: "permission_denied" });
    await result("composer__keep", {}, BOB);
    // Private to bob's eyes: his call is over, so its id opens nothing in a call of another agent's.
    expect(await result("composer__kept", { tool: "kit__private" })).toMatchObject({ code: "permission_denied" });
  });

  it("does so in its own calls only", async () => {
    const flights = createFlights(systemClock);
    const asked: unknown[] = [];
    const calls = createPluginCalls({
      flights,
      invoke: (...call) => {
        asked.push(call);
        return Promise.resolve({ success: true, callId: "call_b", result: 1, durationMs: 0 } as InvokeAnswer);
      },
    });
    const owner = { id: "owner", version: "1.0.0", digest: "sha256:owner" };
    const facts = { caller: AGENT, tool: "owner__t", trace: undefined, parent: undefined, timeoutMs: 1000 };
    flights.begin({ ...facts, callId: "call_a", plugin: owner, process: {} as never });
    const wanted = { tool: "kit__echo", input: {}, callId: "call_a", signal: new AbortController().signal };
    const refused = { code: "permission_denied" };
    await expect(calls({ ...owner, id: "other" })(wanted)).rejects.toMatchObject(refused);
    await expect(calls({ ...owner, digest: "sha256:other" })(wanted)).rejects.toMatchObject(refused);
    await expect(calls(owner)({ ...wanted, callId: "call_none" })).rejects.toMatchObject(refused);
    expect(asked).toEqual([]);
    expect(await calls(owner)(wanted)).toBe(1);
    expect(asked).toMatchObject([
      [AGENT, { tool: "kit__echo" }, { via: { plugin: owner, callId: "call_a", depth: 1 } }],
    ]);
  });

  it("takes nobody's word for how a call came about", async () => {
    const via = {
      plugin: { id: "x", version: "1.0.0", digest: "sha256:x" },
      callId: "call_x",
      depth: 1,
      chain: ["x__y"],
    };
    const { callId } = await host.invoke({ ...AGENT, via }, { tool: "kit__echo", input: {} });
    const [event] = await events({ call: callId });
    expect(event?.parent_call).toBeUndefined();
    expect(event?.data).toBeUndefined();
  });
});

describe("calls of plugins are bounded", () => {
  it("in depth, so that a circle ends", async () => {
    let at: unknown = await result("composer__deep", {});
    const depths: unknown[] = [];
    for (;;) {
      const { depth, below } = at as { depth: number; below: { output?: unknown; code?: string } };
      depths.push(depth);
      if (below.output === undefined) {
        expect(below.code).toBe("limit_exceeded");
        break;
      }
      at = below.output;
    }
    expect(depths).toEqual(Array.from({ length: PLUGIN_CALL_LIMITS.depth + 1 }, (_, depth) => depth));
  });

  it("in number, over everything below one call of the agent's", async () => {
    const answers = await result("composer__many", { tool: "kit__echo", times: PLUGIN_CALL_LIMITS.calls + 6 });
    const codes = (answers as readonly { code?: string }[]).map(({ code }) => code);
    expect(codes.filter((code) => code === undefined)).toHaveLength(PLUGIN_CALL_LIMITS.calls);
    expect(codes.filter((code) => code === "limit_exceeded")).toHaveLength(6);
  });

  it("by the life of the call that asks: cancelled with it", async () => {
    const giveUp = new AbortController();
    const seen = nextEvent(host, ({ capability, target }) => capability === "kv" && target === "hangs");
    const answer = host.invoke(AGENT, {
      tool: "composer__run",
      input: { tool: "kit__hang", input: {} },
      signal: giveUp.signal,
    });
    await seen;
    giveUp.abort();
    expect(failed(await answer).code).toBe("cancelled");
    // The next call of the same process shows that the one before was told.
    expect(await result("kit__aborted", {})).toEqual({ calls: ["aborted"] });
    expect((await events({ tool: "kit__hang" })).at(-1)).toMatchObject({ reason: "cancelled" });
  });

  it("in turn with calls of other agents: never beside one in the same process", async () => {
    const { calls: before } = (await result("kit__aborted", {})) as { calls: readonly string[] };
    const giveUp = new AbortController();
    const hangs = nextEvent(host, ({ capability, target }) => capability === "kv" && target === "hangs");
    const bobs = host.invoke(BOB, { tool: "kit__hang", input: {}, signal: giveUp.signal });
    await hangs;
    const asks = nextEvent(host, ({ tool, phase }) => tool === "composer__run" && phase === "intent");
    const mine = run("kit__echo");
    await asks;
    giveUp.abort();
    await bobs;
    expect(await mine).toEqual({ output: { seen: before.length + 1 } });
  });

  it("by the time that the call has left that asks", async () => {
    let now = 1000;
    const flights = createFlights({ now: () => now, monotonic: () => now });
    const process = {} as never;
    const facts = {
      caller: AGENT,
      plugin: { id: "p", version: "1.0.0", digest: "d" },
      tool: "p__t",
      trace: undefined,
      process,
    };
    expect(flights.begin({ ...facts, callId: "a", parent: undefined, timeoutMs: 500 }).timeoutMs).toBe(500);
    const parent = flights.find("a");
    now = 1200;
    expect(flights.begin({ ...facts, callId: "b", parent, timeoutMs: 500 }).timeoutMs).toBe(300);
    now = 1500;
    expect(() => flights.begin({ ...facts, callId: "c", parent, timeoutMs: 500 })).toThrow(SallyportError);
  });
});

describe("a call that would wait for itself is refused", () => {
  it("when a plugin with one place calls itself", async () => {
    expect(await result("one__back", { tool: "one__back" })).toEqual({ code: "busy" });
  });

  it("when it is called back while it waits, also by two at once that wait for each other", async () => {
    expect(await result("one__back", {})).toEqual({ below: { code: "busy" } });
    const both = await Promise.all([result("one__back", {}), result("two__back", {})]);
    // Whichever comes first, nobody waits for a deadline, and each call has an answer.
    expect(JSON.stringify(both)).toContain("busy");
  });

  it("when it runs alone, under an approval", async () => {
    const call = { tool: "composer__asked", input: { tool: "composer__deep", input: {} } };
    const { approval } = failed(await host.invoke(AGENT, call));
    await host.approvals.approve(OPERATOR, approval?.id ?? "");
    expect(await host.invoke(AGENT, call)).toMatchObject({ success: true, result: { code: "busy" } });
  });
});

describe("a note to the operators", () => {
  it("arrives escaped, marked as the plugin's, with its call; more than a few are refused", async () => {
    const notes: PluginNote[] = [];
    const stop = host.onNote((note) => void notes.push(note));
    expect(await result("composer__notify", { text: `done \u001b[31m\u202e ${SECRET}` })).toEqual({ ok: true });
    expect(notes).toMatchObject([{ plugin: "composer", agent: "local" }]);
    for (const hidden of ["\u001b", "\u202e"]) expect(notes[0]?.text).not.toContain(hidden);
    expect(notes[0]?.text).not.toContain(SECRET);
    const [event] = await events({ type: "plugin.note" });
    expect(event).toMatchObject({ actor: "plugin:composer", agent: "local", data: { text: notes[0]?.text } });
    expect(event?.call_id).toBe(notes[0]?.call);
    expect(host.plugins.logs("composer").at(-1)?.message).toContain("Note to the operators");
    const { codes } = (await result("composer__notes", { times: NOTE_LIMITS.burst + 2 })) as {
      codes: readonly string[];
    };
    expect(codes.filter((code) => code === "ok").length).toBeLessThan(NOTE_LIMITS.burst + 1);
    expect(codes.at(-1)).toBe("limit_exceeded");
    stop();
  });

  it("needs its own grant", async () => {
    expect(await run("kit__echo")).toHaveProperty("output");
    const source = await home.plugin("quiet", {
      "plugin.yml": manifestOf(
        "quiet",
        [toolLine("notify"), toolLine("needs")],
        `${agentGrant("[kit__echo]")}\ndependencies: { kit: ^1.0.0 }`,
      ),
      "plugin.js": `const attempt = (call) => call.then(() => "ok", (error) => ({ code: error.code }));
        export default { tools: {
          needs: ({ tool }, ctx) => attempt(ctx.agent.callTool(tool, {})),
          notify: (_, ctx) => ctx.agent.notify("x").then(() => "ok", (error) => ({ code: error.code })) } };`,
    });
    await installed(host, source);
    expect(await result("quiet__notify", {})).toEqual({ code: "permission_denied" });
  });

  it("is no way to another plugin's tools, and neither is to need it: only a grant of them is", async () => {
    expect(await result("quiet__needs", { tool: "kit__seen" })).toEqual({ code: "permission_denied" });
    expect(await result("quiet__needs", { tool: "kit__echo" })).toBe("ok");
  });
});

describe("the effect of a tool that calls tools", () => {
  it("is that of the tools it may call, however far, and destructive where nobody knows", async () => {
    const tools = await host.tools.list(AGENT);
    const effectOf = (name: string) => tools.find((tool) => tool.name === name)?.effect;
    expect(effectOf("kit__echo")).toBe("read");
    // In a circle with itself and the other, and nothing else.
    expect(effectOf("one__back")).toBe("read");
    expect(effectOf("quiet__notify")).toBe("read");
    // A pattern, and a tool that is not there.
    expect(effectOf("composer__run")).toBe("destructive");
    expect((await host.plugins.info("quiet")).tools[0]?.effect).toBe("read");
    await host.plugins.unload(OPERATOR, "two");
    expect((await host.tools.info(AGENT, "one__back")).effect).toBe("destructive");
  });
});
