import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import { AGENT, makeHome, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";
import { addPlugin, eventsOf, failureOf, nextEvent, OPEN_CONFIG, resultOf } from "./support.ts";

needsNamespace();

const CONFIG = OPEN_CONFIG.replace("policy: {", "policy: { rules: [{ tool: kit__asked, decision: require_approval }],");

const KIT = `
let calls = 0;
export default { tools: {
  echo: (input) => { calls++; return input; },
  strict: (input) => { calls++; return input; },
  plain: (input) => input,
  asked: () => { calls++; return {}; },
  calls: () => ({ calls }),
} };`;

const echo = (name: string, more: string): string =>
  `{ name: ${name}, description: Test., effect: read, input_schema: { type: object, properties: { text: { type: string }${more} }, additionalProperties: false } }`;

/** Does what the text of the call that it is asked about says. */
const GUARD = `
const attempt = (run) => Promise.resolve().then(run).then(() => "done", (error) => error.code ?? error.message);
const seen = [];
export default {
  hooks: {
    async look(event, ctx) {
      seen.push(event);
      switch (event.input.text) {
        case "deny": return { decision: "deny", reason: "not this \\u001b[31m one" };
        case "mark": return { decision: "allow", mark: true };
        case "nothing": return undefined;
        case "true": return true;
        case "edit": return { decision: "allow", input: { text: "other" } };
        case "mark-value": return { decision: "allow", mark: { pointer: "/text", value: "other" } };
        case "approve": return { decision: "require_approval" };
        case "throw": throw new Error("it throws");
        case "big": return { decision: "deny", reason: "x".repeat(2_000_000) };
        case "flood": return { decision: "deny", reason: "x".repeat(6_000_000) };
        case "hang": return new Promise(() => undefined);
        case "reach": {
          const codes = {
            kv: await attempt(() => ctx.kv.set("k", 1)),
            files: await attempt(() => ctx.files.readText("\${data}/x")),
            fetch: await attempt(() => ctx.fetch("https://api.example.com/")),
            agent: await attempt(() => ctx.agent.callTool("kit__plain", {})),
            notify: await attempt(() => ctx.agent.notify("x")),
            publish: await attempt(() => ctx.events.publish("a.b", 1)),
          };
          return { decision: "deny", reason: JSON.stringify(codes) };
        }
        default: return { decision: "allow" };
      }
    },
  },
  tools: { seen: () => ({ seen }) },
};`;

const GUARD_WISHES = `permissions:
  network: [{ host: api.example.com }]
  filesystem: [{ path: "\${data}", mode: rw }]
  agent: [{ tools: [kit__plain], notify: true }]
  events: [{ direction: publish, topic: a.b }]`;

let home: TestHome;
let host: Host;

beforeAll(async () => {
  home = await makeHome(`${CONFIG}hooks: { timeout_ms: 20000 }\n`);
  host = await home.open();
  const labels = ", labels: { type: object, properties: { checked: { type: string } }, additionalProperties: false }";
  await addPlugin(home, host, "kit", {
    tools: [echo("echo", labels), echo("strict", ""), ...["plain", "calls", "asked"].map((name) => toolLine(name))],
    code: KIT,
  });
  await addPlugin(home, host, "guard", {
    tools: [toolLine("seen")],
    contributes:
      '  hooks: [{ event: tool.before_call, handler: look, tools: [kit__echo, kit__strict], payload: true, mark: { pointer: /labels/checked, value: "by guard" } }]',
    more: GUARD_WISHES,
    code: GUARD,
  });
});
afterAll(() => home?.remove());

const call = (text: string, tool = "kit__echo") => host.invoke(AGENT, { tool, input: { text } });
const reached = async () => ((await resultOf(host, "kit__calls", {})) as { calls: number }).calls;
const hooksOf = async (callId: string) =>
  (await eventsOf(host, { call: callId })).filter(({ type }) => type === "hook.ran");

describe("a hook on tool.before_call [S1-3]", () => {
  it("lets calls pass as they are, and the audit says that it saw them", async () => {
    const answer = await call("hello");
    expect(answer).toMatchObject({ success: true, result: { text: "hello" } });
    const [ran, ...more] = await hooksOf(answer.callId);
    expect(more).toEqual([]);
    expect(ran).toMatchObject({
      actor: "plugin:guard",
      agent: "local",
      tool: "kit__echo",
      decision: "allow",
      outcome: "succeeded",
      data: { event: "tool.before_call", handler: "look", payload: true },
    });
  });

  it("is told of the call in the host's words: no approval, nothing else", async () => {
    await call("what");
    const { seen } = (await resultOf(host, "guard__seen", {})) as { seen: readonly object[] };
    expect(seen.at(-1)).toEqual({
      event: "tool.before_call",
      call: expect.stringMatching(/^call_/),
      tool: "kit__echo",
      plugin: "kit",
      effect: "read",
      agent: "local",
      input: { text: "what" },
    });
  });

  it("denies a call before anything of it happens, by name, in its own escaped words", async () => {
    const before = await reached();
    const answer = failureOf(await call("deny"));
    expect(answer).toMatchObject({ code: "hook_denied", error: expect.stringContaining("guard") });
    expect(answer.detail).toContain("not this");
    expect(answer.detail).not.toContain("\u001b");
    expect(await reached()).toBe(before);
    expect(await host.policy.explainCall(answer.callId)).toMatchObject({
      stoppedBy: { gate: "hooks", reason: "hook_denied" },
    });
    const events = await eventsOf(host, { call: answer.callId });
    expect(events).toMatchObject([
      { type: "hook.ran", actor: "plugin:guard", decision: "deny", reason: "hook_denied" },
      { type: "plugin_tool.invoked", decision: "deny", reason: "hook_denied", outcome: "not_started" },
    ]);
  });

  it("writes its one mark where it was granted, and nothing else", async () => {
    const answer = await call("mark");
    expect(answer).toMatchObject({ success: true, result: { text: "mark", labels: { checked: "by guard" } } });
    const outcome = (await eventsOf(host, { call: answer.callId })).at(-1);
    // What was decided and executed is what the audit shows.
    expect(outcome).toMatchObject({ input: { text: "mark", labels: { checked: "by guard" } } });
    const spoofed = { text: "mark", labels: { checked: "by me" } };
    expect(await resultOf(host, "kit__echo", spoofed)).toMatchObject({ labels: { checked: "by guard" } });
  });

  it("does not get its mark past the tool's schema", async () => {
    const before = await reached();
    expect(failureOf(await call("mark", "kit__strict")).code).toBe("hook_failed");
    expect(await reached()).toBe(before);
  });

  it.each(["nothing", "true", "edit", "mark-value", "approve", "throw", "big"])(
    "that answers otherwise (%s) has not agreed",
    async (text) => {
      const before = await reached();
      const answer = failureOf(await call(text));
      expect(answer).toMatchObject({ code: "hook_failed", error: expect.stringContaining("guard") });
      expect(await hooksOf(answer.callId)).toMatchObject([{ decision: "deny", outcome: "failed" }]);
      expect(await reached()).toBe(before);
    },
  );

  it("that breaks the protocol takes its process with it, and the next call is asked again", async () => {
    expect(failureOf(await call("flood")).code).toBe("hook_failed");
    expect(await call("again")).toMatchObject({ success: true });
  });

  it("can use log and kv, and nothing else that its plugin was granted", async () => {
    const { detail } = failureOf(await call("reach"));
    const codes: unknown = JSON.parse(detail?.slice(detail.indexOf("{")) ?? "");
    const refused = "permission_denied";
    expect(codes).toEqual({
      kv: "done",
      files: refused,
      fetch: refused,
      agent: refused,
      notify: refused,
      publish: refused,
    });
  });

  it("is not asked of other tools, nor of what itself is asked", async () => {
    const answer = await host.invoke(AGENT, { tool: "kit__plain", input: {} });
    expect(answer.success).toBe(true);
    expect(await hooksOf(answer.callId)).toEqual([]);
  });

  it("is named at the one yes as critical, with the tools and what it may write", async () => {
    const { permissions } = await host.plugins.info("guard");
    const hook = permissions.find(({ capability }) => capability === "hooks");
    expect(hook?.risk).toBe("critical");
    expect(hook?.sentence).toContain("kit__echo, kit__strict");
    expect(hook?.sentence).toContain("WITH THEIR ARGUMENTS");
    expect(hook?.sentence).toContain('"by guard" AT /labels/checked');
  });
});

describe("several hooks, and hooks on a plugin's own tools", () => {
  it("are asked at once; of those that say no, the first by name is told, and each is in the audit", async () => {
    for (const id of ["abc", "xyz"]) {
      await addPlugin(home, host, id, {
        tools: [toolLine("none")],
        contributes: "  hooks: [{ event: tool.before_call, handler: no, tools: [kit__plain] }]",
        code: `export default { hooks: { no: (event) => ({ decision: "deny", reason: "${id} " + ("input" in event) }) }, tools: { none: () => 0 } };`,
      });
    }
    const answer = failureOf(await host.invoke(AGENT, { tool: "kit__plain", input: { secret: 1 } }));
    expect(answer).toMatchObject({ code: "hook_denied", error: expect.stringContaining("abc") });
    // Without `payload: true` there are no arguments.
    expect(answer.detail).toContain("abc false");
    expect((await hooksOf(answer.callId)).map(({ actor }) => actor).toSorted()).toEqual(["plugin:abc", "plugin:xyz"]);
    await host.plugins.disable(OPERATOR, "abc");
    expect(failureOf(await host.invoke(AGENT, { tool: "kit__plain", input: {} })).error).toContain("xyz");
    await host.plugins.disable(OPERATOR, "xyz");
    expect(await host.invoke(AGENT, { tool: "kit__plain", input: {} })).toMatchObject({ success: true });
  });

  it("write nothing where no mark was granted, and have not agreed when they try", async () => {
    await addPlugin(home, host, "mno", {
      tools: [toolLine("none")],
      contributes: "  hooks: [{ event: tool.before_call, handler: yes, tools: [kit__plain] }]",
      code: `export default { hooks: { yes: () => ({ decision: "allow", mark: true }) }, tools: { none: () => 0 } };`,
    });
    expect(failureOf(await host.invoke(AGENT, { tool: "kit__plain", input: {} })).code).toBe("hook_failed");
    await host.plugins.disable(OPERATOR, "mno");
  });

  it("that came while a call waited for a person are not passed by", async () => {
    const filed = nextEvent(host, ({ type }) => type === "approval.requested");
    const answer = host.invoke(AGENT, { tool: "kit__asked", input: {}, waitMs: 60_000 });
    const { approval } = await filed;
    await addPlugin(home, host, "late", {
      tools: [toolLine("none")],
      contributes: "  hooks: [{ event: tool.before_call, handler: no, tools: [kit__asked] }]",
      code: `export default { hooks: { no: () => ({ decision: "deny" }) }, tools: { none: () => 0 } };`,
    });
    await host.approvals.approve(OPERATOR, approval ?? "");
    expect(failureOf(await answer).code).toBe("conflict");
    await host.plugins.disable(OPERATOR, "late");
  });

  it("never wait for a call that waits for them: one place, and the plugin's own tool", async () => {
    await addPlugin(home, host, "self", {
      tools: [toolLine("outer"), toolLine("inner")],
      contributes: "  hooks: [{ event: tool.before_call, handler: own }]",
      more: "permissions: { agent: [{ tools: [kit__plain, self__inner] }] }\nlimits: { concurrency: 2 }",
      code: `let asked = 0;
        export default {
          hooks: { own: (event, ctx) => { asked++; return { decision: "allow" }; } },
          tools: {
            async outer(_, ctx) { return { inner: await ctx.agent.callTool("self__inner", {}) }; },
            inner: () => ({ asked }),
          },
        };`,
    });
    expect(await resultOf(host, "self__outer", {})).toEqual({ inner: { asked: 2 } });
    expect((await host.plugins.info("self")).permissions.find(({ capability }) => capability === "hooks")?.risk).toBe(
      "low",
    );
  });
});

describe("a guard that is away", () => {
  it("refuses what it watches while it is unloaded, and nothing once it is disabled", async () => {
    await host.plugins.unload(OPERATOR, "guard");
    const answer = failureOf(await call("hello"));
    expect(answer.code).toBe("hook_failed");
    expect(answer.fix).toContain("plugin load guard");
    await host.plugins.disable(OPERATOR, "guard");
    expect(await call("hello")).toMatchObject({ success: true });
    await host.plugins.enable(OPERATOR, "guard");
    await host.plugins.load(OPERATOR, "guard");
    expect(failureOf(await call("deny")).code).toBe("hook_denied");
  });

  it("refuses what it watches also when another version took its place while it was unloaded", async () => {
    await host.plugins.unload(OPERATOR, "guard");
    const source = await home.plugin("guard-2", {
      "plugin.yml": (await readFile(join(dirname(home.path), "plugins/guard/plugin.yml"), "utf8")).replace(
        "version: 1.0.0",
        "version: 1.1.0",
      ),
      "plugin.js": GUARD,
    });
    const look = await host.plugins.upgrade(OPERATOR, "guard", { source, dryRun: true });
    const upgraded = await host.plugins.upgrade(OPERATOR, "guard", { source, approve: look.digest });
    expect(upgraded.plugin).toMatchObject({ version: "1.1.0", state: "approved" });
    expect(failureOf(await call("hello")).code).toBe("hook_failed");
    await host.plugins.load(OPERATOR, "guard");
    expect(await call("hello")).toMatchObject({ success: true });
  });

  it("is woken for a call when the host was started anew, and has its time", async () => {
    await host.close();
    await home.writeConfig(`${OPEN_CONFIG}hooks: { timeout_ms: 400 }\n`);
    host = await home.open();
    const answer = failureOf(await call("hang"));
    expect(answer.code).toBe("hook_failed");
    expect(answer.detail).toContain("deadline_exceeded");
  });

  it("is passed over only when the operator said so, and the audit shows that too", async () => {
    await host.close();
    const perAgent = "isolation: { per_agent: true }\n";
    await home.writeConfig(`${OPEN_CONFIG}${perAgent}hooks: { timeout_ms: 20000, on_failure: ignore }\n`);
    host = await home.open();
    // Its start may have been cut short by the end of the host before.
    await host.plugins.load(OPERATOR, "guard");
    const answer = await call("throw");
    expect(answer).toMatchObject({ success: true });
    expect(await hooksOf(answer.callId)).toMatchObject([
      { decision: "allow", outcome: "failed", reason: "tool_failed" },
    ]);
    expect(failureOf(await call("deny")).code).toBe("hook_denied");
    // Each agent has a process of the guard's own.
    const bob = { kind: "agent", agent: "bob" } as const;
    const input = { text: "deny" };
    expect(failureOf(await host.invoke(bob, { tool: "kit__echo", input })).code).toBe("hook_denied");
  });
});
