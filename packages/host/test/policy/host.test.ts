import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import type { Clock } from "../../src/kernel/index.ts";
import { installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

const START = Date.UTC(2026, 10, 20, 12);
let now = START;
const clock: Clock = { now: () => now, monotonic: () => performance.now() };

let home: TestHome;
let host: Host;
let folder: string;

const as = (agent: string) => ({ kind: "agent", agent }) as const;
const call = (tool: string, input: unknown, agent = "local") => host.invoke(as(agent), { tool, input });

const CONFIG = (customers: string, more = ""): string => `
plugins: { enabled: true }
trust: { signatures: { low: preferred, medium: preferred, high: preferred, critical: preferred } }
policy:
  defaults: { read: allow, write: require_approval, external: require_approval }
  rules:
    - id: no-etc
      tool: notes__look
      when: { path: { path: /etc/** , optional: true } }
      decision: deny
      reason: That folder is not for agents.
    - { id: hidden, tool: notes__secret, agent: guest, decision: deny }
    - id: no-customers-out
      tool: notes__send
      after: { path: ${customers}/**, within: 30m }
      decision: deny
    - { tool: notes__send, decision: allow }
    - id: daytime
      tool: notes__clock
      agent: worker
      time: { hours: 08:00-18:00 }
      decision: allow
    - { id: notes-by-night, tool: notes__clock, agent: worker, time: { hours: 18:00-08:00 }, decision: deny }
${more}`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-policy-"));
  await writeFile(join(folder, "ann.txt"), "Ann");
  home = await makeHome(CONFIG(folder));
  const notes = await home.plugin("notes", {
    "plugin.yml": manifestOf("notes", [
      toolLine("look"),
      toolLine("secret"),
      toolLine("clock"),
      toolLine("send", "read"),
    ]),
    "plugin.js": `export default { tools: {
      look: (input) => ({ saw: input }), secret: () => ({}), clock: () => ({}), send: (input) => ({ sent: input }),
    } };`,
  });
  const crm = await home.plugin("crm", {
    "plugin.yml": manifestOf(
      "crm",
      [toolLine("find")],
      `permissions:\n  filesystem: [{ path: "${folder}", mode: r, reason: Customers. }]`,
    ),
    "plugin.js": `export default { tools: { async find({ name }, ctx) { return { text: await ctx.files.readText(name) }; } } };`,
  });
  const helper = await home.plugin("helper", {
    "plugin.yml": manifestOf(
      "helper",
      [toolLine("fetch")],
      "permissions:\n  agent: [{ tools: [crm__find], reason: Finds customers. }]",
    ),
    "plugin.js": `export default { tools: { fetch: (input, ctx) => ctx.agent.callTool("crm__find", input) } };`,
  });
  host = await home.open({ clock });
  for (const source of [notes, crm, helper]) await installed(host, source);
});

afterAll(async () => {
  await home?.remove();
  await rm(folder, { recursive: true, force: true });
});

async function outcome(answer: InvokeAnswer) {
  await host.audit.flush();
  const [event] = await host.audit.query({ call: answer.callId, type: "plugin_tool.invoked", limit: 1 });
  return event;
}

describe("a rule about arguments", () => {
  it("lets the call through that it is not about, and denies the other with a plain reason [S2-33]", async () => {
    expect(await call("notes__look", { path: "/srv/a" })).toMatchObject({ success: true });
    const denied = await call("notes__look", { path: "/srv/../etc/passwd" });
    expect(denied).toMatchObject({ success: false, code: "policy_denied" });
    expect(JSON.stringify(denied)).toContain("That folder is not for agents.");
    expect(JSON.stringify(denied)).not.toContain("no-etc");
    expect(await outcome(denied)).toMatchObject({
      decision: "deny",
      rule: "config.yml no-etc",
      reason: "policy_denied",
      outcome: "not_started",
      data: { because: ["arguments"], unclear: true },
      policy_snapshot: host.policy.snapshot(),
    });
  });

  it("tells an operator the rule, and hides nothing from lists", async () => {
    const request = { tool: "notes__look", input: { path: "/etc/x" } };
    const answer = await host.invoke({ kind: "operator", agent: "local", operator: "tester" }, request);
    expect(answer).toMatchObject({ success: false, code: "policy_denied" });
    expect(JSON.stringify(answer)).toContain("config.yml no-etc");
    const names = (await host.tools.list(as("local"))).map(({ name }) => name);
    expect(names).toContain("notes__look");
  });

  it("hides a tool from an agent for whom every call is denied [S2-30, S4-25]", async () => {
    const names = async (agent: string) => (await host.tools.list(as(agent))).map(({ name }) => name);
    expect(await names("guest")).not.toContain("notes__secret");
    expect(await names("local")).toContain("notes__secret");
    expect(await call("notes__secret", {}, "guest")).toMatchObject({ success: false, code: "unknown_tool" });
  });
});

describe("an explanation", () => {
  it("names the gates, the decision and each rule about the tool, without calling anything", async () => {
    const asked = { tool: "notes__look", agent: "local" };
    const denied = await host.policy.explain({ ...asked, input: { path: "/etc/x" } });
    expect(denied).toMatchObject({
      effect: "read",
      decision: { decision: "deny", rule: "config.yml no-etc", because: ["arguments"] },
      rules: [{ rule: "config.yml no-etc", line: 7, met: "yes" }],
      snapshot: host.policy.snapshot(),
    });
    expect(denied.gates.at(-1)).toMatchObject({ gate: "policy", ok: false });
    const allowed = await host.policy.explain({ ...asked, input: { path: "/srv/x" } });
    expect(allowed).toMatchObject({ decision: { decision: "allow", rule: "default:read" }, rules: [{ met: "no" }] });
    expect(allowed.gates.every(({ ok }) => ok)).toBe(true);
    const wrong = await host.policy.explain({ ...asked, input: [] });
    expect(wrong.gates.at(-1)).toMatchObject({ gate: "input", ok: false });
    await expect(host.policy.explain({ tool: "x__y", agent: "local" })).rejects.toMatchObject({ code: "unknown_tool" });
  });

  it("of a past call is from the audit", async () => {
    const answer = await call("notes__look", { path: "/srv/x" });
    expect(await host.policy.explainCall(answer.callId)).toMatchObject({
      tool: "notes__look",
      agent: "local",
      outcome: "succeeded",
      decision: { decision: "allow", rule: "default:read" },
      stoppedBy: null,
      grant: expect.stringContaining("read"),
    });
    await expect(host.policy.explainCall("call_none")).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("a simulation", () => {
  it("tells which recorded calls other rules would decide otherwise, and which it cannot tell, and changes nothing", async () => {
    const since = now;
    const free = await call("notes__look", { path: "/srv/x" }, "simulated");
    const stopped = await call("notes__look", { path: "/etc/x" }, "simulated");
    const large = await call("notes__look", { path: "/srv/x", text: "x".repeat(20_000) }, "simulated");
    const before = host.policy.snapshot();
    const same = await host.policy.simulate({ since });
    expect(same).toMatchObject({ milder: 0, stricter: 0, complete: true });
    expect(same.unevaluated.map((one) => one.call)).toEqual([large.callId]);
    const policy = `rules:
  - { tool: notes__look, when: { path: { path: /srv/**, optional: true } }, decision: deny }
  - { agent: simulated, decision: allow }`;
    const other = await host.policy.simulate({ since, policy });
    expect(other.changed.filter(({ agent }) => agent === "simulated")).toMatchObject([
      { call: free.callId, was: { decision: "allow" }, would: { decision: "deny" } },
      { call: stopped.callId, was: { decision: "deny" }, would: { decision: "allow" } },
    ]);
    expect(host.policy.snapshot()).toBe(before);
    // What a call did itself is no earlier call.
    const once =
      "rules: [{ agent: simulated, after: { tool: notes__look, within: 1h }, decision: deny }]\ndefaults: { read: allow }";
    const { changed } = await host.policy.simulate({ since, policy: once });
    expect(changed.filter(({ agent }) => agent === "simulated").map((one) => one.call)).not.toContain(free.callId);
    await expect(host.policy.simulate({ policy: "rules: x" })).rejects.toMatchObject({ code: "config_invalid" });
  });
});

describe("a rule for a time", () => {
  it("holds at once, is audited, survives a restart, lifts no deny, and is gone at its end", async () => {
    const look = () => call("notes__look", { path: "/srv/x" }, "timed");
    const snapshot = host.policy.snapshot();
    const denying = { rule: { tool: "notes__look", agent: "timed", decision: "deny" }, endsAt: now + 600_000 };
    const added = await host.policy.addOverride(OPERATOR, denying);
    expect(await look()).toMatchObject({ success: false, code: "unknown_tool" });
    await host.policy.addOverride(OPERATOR, { rule: { agent: "guest", decision: "allow" }, endsAt: now + 600_000 });
    expect(await call("notes__secret", {}, "guest")).toMatchObject({ success: false, code: "unknown_tool" });

    await host.close();
    host = await home.open({ clock });
    await Promise.all(["notes", "crm", "helper"].map((id) => host.plugins.load(OPERATOR, id)));
    expect(await look()).toMatchObject({ success: false });
    expect((await host.policy.listOverrides()).map(({ id }) => id)).toContain(added.id);
    now += 600_000;
    expect(await look()).toMatchObject({ success: true });

    await host.policy
      .addOverride(OPERATOR, { ...denying, endsAt: now + 600_000 })
      .then(({ id }) => host.policy.removeOverride(OPERATOR, id));
    expect(await host.policy.listOverrides()).toEqual([]);
    expect(host.policy.snapshot()).toBe(snapshot);
    const changes = await host.audit.query({ type: "policy.changed", order: "asc", limit: 100 });
    expect(changes.map(({ actor, data }) => [actor, data?.["change"]])).toEqual([
      ["operator:tester", "override added"],
      ["operator:tester", "override added"],
      ["operator:tester", "override added"],
      ["host", "override ended"],
      ["host", "override ended"],
      ["operator:tester", "override removed"],
    ]);
  });

  it.each<[string, unknown, number]>([
    ["an id of its own", { id: "x", decision: "deny" }, 1000],
    ["an end of its own", { until: "2030-01-01T00:00:00Z", decision: "deny" }, 1000],
    ["what is no rule", { decision: "perhaps" }, 1000],
    ["an end that is past", { decision: "deny" }, 0],
    ["an end too far away", { decision: "deny" }, 31 * 24 * 3_600_000],
  ])("is refused with %s", async (_, rule, after) => {
    await expect(host.policy.addOverride(OPERATOR, { rule, endsAt: now + after })).rejects.toMatchObject({
      code: "usage",
    });
  });
});

describe("a data-flow rule", () => {
  it("denies sending after reading, per agent and window, names the call, and survives a restart", async () => {
    now += 60_000;
    expect(await call("notes__send", { text: "a" }, "reader")).toMatchObject({ success: true });
    const read = await call("crm__find", { name: `${folder}/ann.txt` }, "reader");
    expect(read).toMatchObject({ success: true, result: { text: "Ann" } });
    const denied = await call("notes__send", { text: "b" }, "reader");
    expect(denied).toMatchObject({ success: false, code: "policy_denied" });
    const event = await outcome(denied);
    expect(event).toMatchObject({
      rule: "config.yml no-customers-out",
      data: { after: [read.callId], because: ["earlier calls"] },
    });
    expect(await call("notes__send", { text: "c" }, "other")).toMatchObject({ success: true });
    const explained = await host.policy.explainCall(denied.callId);
    expect(explained).toMatchObject({
      stoppedBy: { gate: "policy", reason: "policy_denied" },
      path: [{ call: read.callId, tool: "crm__find" }],
      snapshotInForce: true,
    });

    await host.close();
    host = await home.open({ clock });
    await Promise.all(["notes", "crm", "helper"].map((id) => host.plugins.load(OPERATOR, id)));
    expect(await call("notes__send", { text: "d" }, "reader")).toMatchObject({ success: false, code: "policy_denied" });
    now += 31 * 60_000;
    expect(await call("notes__send", { text: "e" }, "reader")).toMatchObject({ success: true });
  });
});

describe("a call that a plugin makes for an agent", () => {
  it("counts as that agent's, and its rules are asked for it", async () => {
    const fetched = await call("helper__fetch", { name: `${folder}/ann.txt` }, "indirect");
    expect(fetched).toMatchObject({ success: true, result: { text: "Ann" } });
    const denied = await call("notes__send", { text: "a" }, "indirect");
    expect(denied).toMatchObject({ success: false, code: "policy_denied" });
    const { path } = await host.policy.explainCall(denied.callId);
    expect(path).toMatchObject([{ tool: "crm__find" }]);
    expect(await host.policy.explainCall(path[0]?.call ?? "")).toMatchObject({
      parentCall: fetched.callId,
      agent: "indirect",
    });
    expect(await call("notes__send", { text: "b" }, "nobody-else")).toMatchObject({ success: true });
  });
});

describe("a rule about time", () => {
  it("holds by the hour, and does not hold again when the clock is put back, until an operator accepts that", async () => {
    now += 60_000;
    expect(await call("notes__clock", {}, "worker")).toMatchObject({ success: true });
    now = START + 7 * 3_600_000;
    expect(await call("notes__clock", {}, "worker")).toMatchObject({ success: false, code: "unknown_tool" });

    await host.close();
    now = START + 2 * 3_600_000;
    // What is written from now on bears the earlier time; that makes it no truer at the next start.
    for (let starts = 0; starts < 2; starts++) {
      if (starts > 0) await host.close();
      host = await home.open({ clock });
      await host.plugins.load(OPERATOR, "notes");
    }
    expect(await call("notes__clock", {}, "worker")).toMatchObject({ success: false, code: "unknown_tool" });
    await host.policy.acceptClock(OPERATOR);
    expect(await call("notes__clock", {}, "worker")).toMatchObject({ success: true });
    const [event] = await host.audit.query({ type: "policy.changed", limit: 1 });
    expect(event).toMatchObject({ actor: "operator:tester", data: { change: "clock accepted" } });
    await host.close();
    host = await home.open({ clock });
    expect(await call("notes__clock", {}, "worker")).toMatchObject({ success: true });
  });
});
