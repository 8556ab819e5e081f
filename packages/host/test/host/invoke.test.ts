import { afterEach, describe, expect, it } from "vitest";
import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import { type Caller, LIMITS, PolicyViolationError, type PluginState } from "../../src/kernel/index.ts";
import {
  AGENT,
  AS_OPERATOR,
  installed,
  makeHome,
  manifestOf,
  OPERATOR,
  repositoryPlugin,
  type TestHome,
  toolLine,
} from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

let home: TestHome;
afterEach(() => home?.remove());

async function openWith(source: string, approve: Parameters<typeof installed>[2] = {}): Promise<Host> {
  const host = await home.open();
  await installed(host, source, approve);
  return host;
}

async function fresh(): Promise<void> {
  home = await makeHome();
}

/** A plugin `t` with these tools; `lines` go into the manifest, `body` into the code. */
function plugin(lines: readonly string[], body: string): Promise<string> {
  return home.plugin("t", {
    "plugin.yml": manifestOf("t", lines),
    "plugin.js": `export default { tools: { ${body} } };`,
  });
}

async function events(host: Host, callId: string) {
  await host.audit.flush();
  return host.audit.query({ call: callId, order: "asc" });
}

/** Resolves once the plugin is in this state, told by the host's own announcements. */
async function stateOf(host: Host, id: string, wanted: PluginState): Promise<void> {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  const look = () => void host.plugins.info(id).then(({ state }) => state === wanted && resolve());
  const stop = host.onToolsChanged(look);
  look();
  await promise;
  stop();
}

const failed = (answer: InvokeAnswer) => (answer.success ? expect.fail("it succeeded") : answer);

describe("a call", () => {
  it("that reads leaves one event, with tool, scope, rule, policy snapshot and level [S0-7, S0-39, S2-58, S2-59, S2-61, S4-53, S4-54, S4-55]", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"));
    const answers = [];
    for (let n = 0; n < 3; n++)
      answers.push(await host.invoke(AGENT, { tool: "echo__echo", input: { text: `n${n}` } }));
    for (const [n, answer] of answers.entries()) {
      expect(answer).toMatchObject({ success: true, result: { text: `n${n}` } });
      const [outcome, ...more] = await events(host, answer.callId);
      expect(more).toEqual([]);
      expect(outcome).toMatchObject({
        type: "plugin_tool.invoked",
        phase: "outcome",
        outcome: "succeeded",
        actor: "agent:local",
        agent: "local",
        tool: "echo__echo",
        scope: "read tools",
        decision: "allow",
        rule: "default:read",
        policy_snapshot: host.policy.snapshot(),
        isolation: "namespace",
        contained: true,
        input: { text: `n${n}` },
      });
      expect(outcome?.output_digest).toMatch(/^sha256:/);
      expect(outcome?.duration_ms).toBeGreaterThan(0);
    }
    expect((await host.plugins.info("echo")).executionCount).toBe(3);
    expect(await host.audit.verify()).toMatchObject({ ok: true });
  });

  it("that does more leaves an intent before and an outcome after", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"), { allowTools: ["note"] });
    const { callId } = await host.invoke(AGENT, { tool: "echo__note", input: { text: "x" } });
    const [intent, outcome, ...more] = await events(host, callId);
    expect(more).toEqual([]);
    expect(intent).toMatchObject({ phase: "intent", scope: "write tools", input: { text: "x" } });
    expect(intent?.outcome).toBeUndefined();
    expect(outcome).toMatchObject({ phase: "outcome", outcome: "succeeded" });
    expect(outcome?.input).toBeUndefined();
  });

  it("of an unknown tool, or of one of a plugin that is not loaded, is refused and audited [S0-38, S1-46]", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"));
    const answer = failed(await host.invoke(AGENT, { tool: "echo__none", input: {} }));
    expect(answer).toMatchObject({ code: "unknown_tool" });
    expect(await events(host, answer.callId)).toMatchObject([
      { decision: "deny", outcome: "not_started", reason: "unknown_tool" },
    ]);
    await host.plugins.unload(OPERATOR, "echo");
    expect(await host.invoke(AGENT, { tool: "echo__echo", input: { text: "x" } })).toMatchObject({
      code: "unknown_tool",
    });
  });

  it("checks the input against the tool's schema before the plugin sees it [S2-6, S2-32, S4-32]", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"));
    for (const input of [{}, { text: 1 }, { text: "x", more: 1 }, [], null, "x"]) {
      expect(await host.invoke(AGENT, { tool: "echo__echo", input })).toMatchObject({
        success: false,
        code: "invalid_input",
      });
    }
    expect((await host.plugins.info("echo")).executionCount).toBe(0);
  });

  it("refuses an input over the size limit, and one that is not JSON [S4-35]", async () => {
    await fresh();
    const host = await openWith(
      await plugin([toolLine("any")], "any: (input) => ({ size: JSON.stringify(input).length })"),
    );
    const call = (input: unknown) => host.invoke(AGENT, { tool: "t__any", input });
    expect(await call({ text: "x".repeat(LIMITS.inputBytes) })).toMatchObject({ code: "input_too_large" });
    expect(await call({ text: "é".repeat(LIMITS.inputBytes / 2) })).toMatchObject({ code: "input_too_large" });
    expect(await call({ number: Number.NaN })).toMatchObject({ code: "invalid_input" });
    expect(await call({ text: "x".repeat(1000) })).toMatchObject({ success: true });
  });

  it("refuses an answer that is not what output_schema says, or too large [S2-7, S4-33, S4-35]", async () => {
    await fresh();
    const schema =
      "output_schema: { type: object, properties: { n: { type: number } }, required: [n], additionalProperties: false }";
    const line = `{ name: lie, description: Lies., effect: read, input_schema: { type: object }, ${schema} }`;
    const host = await openWith(
      await plugin(
        [line, toolLine("big")],
        `lie: ({ answer }) => answer, big: () => ({ text: "x".repeat(${LIMITS.outputBytes}) })`,
      ),
    );
    const lie = (answer: unknown) => host.invoke(AGENT, { tool: "t__lie", input: { answer } });
    expect(await lie({ n: 1 })).toMatchObject({ success: true });
    for (const answer of [{ n: "1" }, {}, { n: 1, extra: true }, null, "n"]) {
      expect(await lie(answer)).toMatchObject({ success: false, code: "invalid_output" });
    }
    expect(await host.invoke(AGENT, { tool: "t__big", input: {} })).toMatchObject({
      success: false,
      code: "output_too_large",
    });
  });

  it("reports a plugin's failure as a failure, and counts it [S3-43, S3-51, S3-92, S3-93, S3-94]", async () => {
    await fresh();
    const host = await openWith(
      await plugin(
        [toolLine("throws"), toolLine("says")],
        `throws() { throw new Error("no such city"); }, says: () => ({ success: false, error: "quota" })`,
      ),
    );
    expect(await host.invoke(AGENT, { tool: "t__throws", input: {} })).toMatchObject({
      success: false,
      code: "tool_failed",
      error: expect.stringContaining("no such city"),
    });
    expect(await host.plugins.info("t")).toMatchObject({
      executionCount: 1,
      errorCount: 1,
      health: { status: "healthy" },
      lastError: expect.stringContaining("no such city"),
    });
  });

  it("that fails after the host refused it something says so, beside the plugin's own words [S3-105]", async () => {
    await fresh();
    const host = await openWith(
      await plugin([toolLine("peek")], `peek: async (_, ctx) => ctx.files.readText("/etc/hostname")`),
    );
    const answer = failed(await host.invoke(AGENT, { tool: "t__peek", input: {} }));
    expect(answer.code).toBe("tool_failed");
    expect(answer.detail).toContain("The host refused it read /etc/hostname (permission_denied");
  });

  it("ends at its deadline, and the plugin can be called again [S1-13]", async () => {
    await fresh();
    const slow = "{ name: slow, description: Slow., effect: write, input_schema: { type: object }, timeout_ms: 300 }";
    const host = await openWith(
      await plugin([slow, toolLine("quick")], `slow: () => new Promise(() => {}), quick: () => ({ ok: true })`),
      { allowTools: ["slow"] },
    );
    const answer = failed(await host.invoke(AGENT, { tool: "t__slow", input: {} }));
    expect(answer).toMatchObject({ code: "deadline_exceeded" });
    expect((await events(host, answer.callId)).at(-1)).toMatchObject({
      outcome: "unknown",
      reason: "deadline_exceeded",
    });
    expect(await host.invoke(AGENT, { tool: "t__quick", input: {} })).toMatchObject({ success: true });
  });

  it("ends when its caller cancels it", async () => {
    await fresh();
    const host = await openWith(
      await plugin([toolLine("waits")], `waits: (_, ctx) => new Promise(() => ctx.progress(1))`),
    );
    const stop = new AbortController();
    const answer = host.invoke(AGENT, {
      tool: "t__waits",
      input: {},
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    expect(await answer).toMatchObject({ success: false, code: "cancelled" });
  });

  it("throws for programs: PolicyViolationError for every denial [S0-8]", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"));
    expect(await host.tools.call(AGENT, { tool: "echo__echo", input: { text: "x" } })).toEqual({ text: "x" });
    await expect(host.tools.call(AGENT, { tool: "echo__note", input: { text: "x" } })).rejects.toBeInstanceOf(
      PolicyViolationError,
    );
  });
});

describe("policy and approval of a call", () => {
  const other: Caller = { kind: "agent", agent: "other" };

  it("exposes what is allowed or asks, hides what is denied, and says so to an operator [S2-28, S2-30, S2-31, S2-33, S4-25]", async () => {
    await fresh();
    const host = await openWith(
      await plugin(
        [
          toolLine("look"),
          toolLine("change", "write"),
          toolLine("wreck", "destructive"),
          toolLine("odd", "harmless"),
        ].slice(0, 3),
        "look: () => ({}), change: () => ({}), wreck: () => ({})",
      ),
    );
    expect((await host.tools.list(AGENT)).map(({ tool, effect, decision }) => ({ tool, effect, decision }))).toEqual([
      { tool: "change", effect: "write", decision: "require_approval" },
      { tool: "look", effect: "read", decision: "allow" },
    ]);
    const hidden = failed(await host.invoke(AGENT, { tool: "t__wreck", input: {} }));
    const absent = failed(await host.invoke(AGENT, { tool: "t__absent", input: {} }));
    expect(hidden.error.replace("wreck", "absent")).toBe(absent.error);
    expect(hidden).toMatchObject({ code: "unknown_tool" });
    expect((await events(host, hidden.callId)).at(-1)).toMatchObject({
      decision: "deny",
      reason: "policy_denied",
      rule: "default:destructive",
    });
    expect(await host.invoke(AS_OPERATOR, { tool: "t__wreck", input: {} })).toMatchObject({
      code: "policy_denied",
      fix: expect.stringContaining("config.yml"),
    });
  });

  it("waits for an operator, runs once after a yes, and only for what was approved [S2-34, S4-30]", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"));
    const call = (text: string, caller: Caller = AGENT) => host.invoke(caller, { tool: "echo__note", input: { text } });
    const asked = failed(await call("a"));
    expect(asked).toMatchObject({ code: "approval_required", approval: { id: expect.stringMatching(/^apr_/) } });
    const id = asked.approval?.id ?? "";
    expect(failed(await call("a")).approval).toEqual({ id });
    expect(await host.approvals.list({ state: "pending" })).toMatchObject([
      {
        id,
        kind: "call",
        tool: "echo__note",
        agent: "local",
        sentence: expect.stringContaining('Agent "local" wants to call echo__note'),
      },
    ]);

    await host.approvals.approve(OPERATOR, id);
    expect(await host.invoke(other, { tool: "echo__note", input: { text: "a" }, approvalId: id })).toMatchObject({
      code: "approval_required",
    });
    expect(await host.invoke(AGENT, { tool: "echo__note", input: { text: "b" }, approvalId: id })).toMatchObject({
      code: "approval_required",
    });
    const ran = await call("a");
    expect(ran).toMatchObject({ success: true });
    expect(await events(host, ran.callId)).toMatchObject([
      { type: "approval.used", approval: id },
      { approval: id, decision: "require_approval", phase: "intent" },
      { outcome: "succeeded" },
    ]);
    expect(failed(await call("a")).approval?.id).not.toBe(id);
  });

  it("is spent by one of two calls that race for it", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"));
    const call = () => host.invoke(AGENT, { tool: "echo__note", input: { text: "once" } });
    await host.approvals.approve(OPERATOR, failed(await call()).approval?.id ?? "");
    const answers = await Promise.all(Array.from({ length: 8 }, call));
    expect(answers.filter((answer) => answer.success)).toHaveLength(1);
    expect((await host.plugins.info("echo")).executionCount).toBe(1);
  });

  it("does not outlive its time, a no, or a change of the plugin's bytes", async () => {
    await fresh();
    let now = 1_000_000;
    const host = await home.open({ clock: { now: () => now, monotonic: () => performance.now() } });
    await installed(host, repositoryPlugin("echo"));
    const call = (text: string) => host.invoke(AGENT, { tool: "echo__note", input: { text } });
    await host.approvals.approve(OPERATOR, failed(await call("late")).approval?.id ?? "", { expiresAt: now + 1000 });
    now += 1000;
    expect(await call("late")).toMatchObject({ code: "approval_required" });

    const id = failed(await call("no")).approval?.id ?? "";
    await host.approvals.deny(OPERATOR, id, "not today");
    expect(await host.invoke(AGENT, { tool: "echo__note", input: { text: "no" }, approvalId: id })).toMatchObject({
      code: "policy_denied",
      error: "An operator said no to this call.",
      detail: "not today",
    });
    await expect(host.approvals.approve(OPERATOR, id)).rejects.toMatchObject({ code: "conflict" });
  });

  it("survives a restart of the host", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"));
    const call = (on: Host) => on.invoke(AGENT, { tool: "echo__note", input: { text: "later" } });
    const id = failed(await call(host)).approval?.id ?? "";
    await host.close();
    const second = await home.open();
    await second.approvals.approve(OPERATOR, id);
    expect(await call(second)).toMatchObject({ success: true });
  });

  it("is not asked for a tool that the one yes allowed, and deny in config.yml still wins [S4-27, S4-29]", async () => {
    await fresh();
    const host = await openWith(repositoryPlugin("echo"), { allowTools: ["note"] });
    expect(await host.invoke(AGENT, { tool: "echo__note", input: { text: "x" } })).toMatchObject({ success: true });
    await host.close();
    await home.writeConfig(
      "plugins: { enabled: true }\npolicy: { defaults: { read: allow }, rules: [{ tool: echo__note, agent: local, decision: deny }] }",
    );
    const strict = await home.open();
    expect(await strict.invoke(AGENT, { tool: "echo__note", input: { text: "x" } })).toMatchObject({
      code: "unknown_tool",
    });
    expect(await strict.invoke(other, { tool: "echo__note", input: { text: "x" } })).toMatchObject({ success: true });
  });

  it("computes the effect from the grant, whatever the plugin says", async () => {
    await fresh();
    const source = await home.plugin("sneaky", {
      "plugin.yml": manifestOf(
        "sneaky",
        [toolLine("look")],
        "permissions: { network: [{ host: example.com, methods: [GET], reason: Reads. }] }",
      ),
      "plugin.js": "export default { tools: { look: () => ({}) } };",
    });
    const host = await openWith(source);
    expect(await host.tools.list(AGENT)).toMatchObject([
      { tool: "look", effect: "external", decision: "require_approval" },
    ]);
  });
});

describe("a plugin that dies", () => {
  it("costs only itself: it is restarted, and given up after three crashes [S1-12]", async () => {
    await fresh();
    const host = await openWith(
      await plugin([toolLine("die", "write"), toolLine("ok")], "die: () => Deno.exit(3), ok: () => ({ ok: true })"),
      { allowTools: ["die"] },
    );
    await installed(host, repositoryPlugin("echo"));
    for (let crash = 1; crash <= 3; crash++) {
      const answer = failed(await host.invoke(AGENT, { tool: "t__die", input: {} }));
      expect(answer).toMatchObject({ code: "plugin_crashed" });
      expect((await events(host, answer.callId)).at(-1)).toMatchObject({ outcome: "unknown" });
      await stateOf(host, "t", crash < 3 ? "running" : "failed");
    }
    expect((await host.plugins.info("t")).health.status).toBe("failed");
    expect(await host.invoke(AGENT, { tool: "t__ok", input: {} })).toMatchObject({ code: "unknown_tool" });
    expect(await host.invoke(AGENT, { tool: "echo__echo", input: { text: "alive" } })).toMatchObject({ success: true });
    await host.plugins.load(OPERATOR, "t");
    expect(await host.invoke(AGENT, { tool: "t__ok", input: {} })).toMatchObject({ success: true });
  });
});
