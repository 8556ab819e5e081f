import { describe, expect, it } from "vitest";
import type { AuditLog, StoredAuditEvent } from "../../src/audit/index.ts";
import { createFlowTracker } from "../../src/host/flow.ts";
import { compileFlow } from "../../src/policy/flow.ts";
import { compilePolicy, createFlowMemory, createPolicyClock, type FlowLabel } from "../../src/policy/index.ts";

const NOW = 10_000_000;
const label = (part: Partial<FlowLabel> = {}): FlowLabel => ({
  agent: "a",
  plugin: "crm",
  tool: "crm__find",
  effect: "read",
  call: "call_1",
  time: NOW - 1000,
  ...part,
});
const any = () => true;

describe("the memory of what calls did", () => {
  it("knows agents apart, names the newest calls first, and forgets nothing within its bounds", () => {
    const memory = createFlowMemory(0);
    for (let n = 0; n < 8; n++) memory.note(label({ call: `call_${n}`, tool: `crm__t${n}`, time: NOW - 100 + n }));
    expect(memory.find("a", NOW - 200, any)).toEqual({
      met: "yes",
      calls: ["call_7", "call_6", "call_5", "call_4", "call_3"],
    });
    expect(memory.find("b", NOW - 200, any)).toEqual({ met: "no", calls: [] });
    expect(memory.find("a", NOW, any)).toEqual({ met: "no", calls: [] });
  });

  it("keeps each different label once, at its latest", () => {
    const memory = createFlowMemory(0, { agents: 10, labels: 2 });
    for (let n = 0; n < 100; n++) memory.note(label({ call: `call_${n}`, time: n }));
    memory.note(label({ time: 5, call: "late" }));
    expect(memory.find("a", 0, any).calls).toEqual(["call_99"]);
  });

  it("says that it is unclear, not no, once something was forgotten or was before its time", () => {
    const memory = createFlowMemory(100, { agents: 10, labels: 2 });
    expect(memory.find("a", 50, any).met).toBe("unclear");
    memory.completeSince(0);
    expect(memory.find("a", 50, any).met).toBe("no");
    for (let n = 0; n < 3; n++) memory.note(label({ tool: `t${n}`, time: 200 + n }));
    const first = (one: FlowLabel) => one.tool === "t0";
    expect(memory.find("a", 150, first).met).toBe("unclear");
    expect(memory.find("a", 201, first).met).toBe("no");
  });

  it("is bounded in agents too, and unclear for one that was forgotten", () => {
    const memory = createFlowMemory(0, { agents: 2, labels: 10 });
    for (const agent of ["a", "b", "c"]) memory.note(label({ agent, time: 100 }));
    expect(memory.find("a", 50, any).met).toBe("unclear");
    expect(memory.find("c", 50, any).met).toBe("yes");
    expect(memory.find("d", 101, any).met).toBe("no");
  });
});

describe("conditions on earlier calls", () => {
  const memory = createFlowMemory(0);
  memory.note(label());
  memory.note(label({ target: { kind: "origin", text: "https://crm.example.com" } }));
  memory.note(label({ target: { kind: "path", text: "/srv/customers/ann" } }));
  const decide = (after: object) =>
    compilePolicy([{ name: "t", rules: [{ id: "r", after: { withinMs: 60_000, ...after }, decision: "deny" }] }], {
      read: "allow",
    })
      .forTool({ agent: "a", plugin: "mail", tool: "mail__send", effect: "read", risk: "low", permissions: [] })
      .decide({ input: {}, time: { now: NOW, certain: true }, flow: memory }).decision;

  it.each<[object, string]>([
    [{ plugin: "crm" }, "deny"],
    [{ plugin: "other" }, "allow"],
    [{ tool: "crm__*", effect: ["read"] }, "deny"],
    [{ effect: ["write"] }, "allow"],
    [{ origin: "https://crm.example.com" }, "deny"],
    [{ origin: "*.example.com" }, "deny"],
    [{ origin: "other.example.com" }, "allow"],
    [{ path: "/srv/customers/**" }, "deny"],
    [{ path: "/srv/other/**" }, "allow"],
    [{ plugin: "crm", path: "/srv/customers/**" }, "deny"],
    [{ plugin: "crm", withinMs: 500 }, "allow"],
  ])("%j: %s", (after, decision) => {
    expect(decide(after)).toBe(decision);
  });
});

describe("what is fed to it", () => {
  const plugin = { id: "crm", version: "1.0.0", digest: `sha256:${"0".repeat(64)}` };
  const action = { plugin, method: "GET", bytes: 1, callId: "call_1", agent: "a", tool: "crm__find" } as const;
  const clock = () => createPolicyClock({ now: () => NOW, monotonic: () => 0 }, 0);
  const origin = (text: string) => (one: FlowLabel) => one.target?.text === text;

  it("is what the broker really reached during a call in flight, and not what it refused", () => {
    const flow = createFlowTracker(clock());
    flow.began({ agent: "a", plugin: "crm", tool: "crm__find", effect: "external", call: "call_1" });
    flow.acted({ ...action, capability: "network", target: "https://x.test/a/b", outcome: "failed" });
    flow.acted({ ...action, capability: "network", target: "https://denied.test/", outcome: "denied", bytes: 0 });
    flow.ended("call_1");
    flow.acted({ ...action, capability: "network", target: "https://late.test/", outcome: "succeeded" });
    expect(flow.memory.find("a", 0, origin("https://x.test")).calls).toEqual(["call_1"]);
    expect(flow.memory.find("a", NOW, origin("https://denied.test")).calls).toEqual([]);
    expect(flow.memory.find("a", NOW, origin("https://late.test")).calls).toEqual([]);
  });

  it("is a program's tunnel by host and port, whosever it may be, also when its end was a denial", () => {
    const flow = createFlowTracker(clock());
    const begun = { plugin: "crm", tool: "crm__find", effect: "external" } as const;
    flow.began({ ...begun, agent: "a", call: "call_1" });
    flow.began({ ...begun, agent: "b", call: "call_2" });
    flow.began({ ...begun, plugin: "other", agent: "c", call: "call_3" });
    const tunnel = { ...action, capability: "network", method: "CONNECT", callId: null } as const;
    flow.acted({ ...tunnel, target: "api.x.test:443", outcome: "succeeded" });
    flow.acted({ ...tunnel, target: "cut.test:8443", outcome: "denied", bytes: 7 });
    flow.acted({ ...tunnel, target: "no.test:443", outcome: "denied", bytes: 0 });
    const met = (agent: string, condition: string) =>
      compileFlow({ origin: condition, withinMs: 1000 })(agent, NOW, flow.memory).met;
    for (const agent of ["a", "b"]) {
      expect(met(agent, "https://api.x.test")).toBe("yes");
      expect(met(agent, "*.x.test")).toBe("yes");
      expect(met(agent, "https://cut.test:8443")).toBe("yes");
      expect(met(agent, "https://api.x.test:8443")).toBe("unclear");
      expect(met(agent, "no.test")).toBe("unclear");
    }
    expect(met("c", "*.x.test")).toBe("unclear");
  });

  it("counts until the call has ended, so that no slow plugin outwaits a window", () => {
    let now = NOW;
    const flow = createFlowTracker(createPolicyClock({ now: () => now, monotonic: () => 0 }, 0));
    flow.began({ agent: "a", plugin: "crm", tool: "crm__find", effect: "external", call: "call_1" });
    flow.acted({ ...action, capability: "network", target: "https://x.test/", outcome: "succeeded" });
    now += 60_000;
    expect(flow.memory.find("a", now, any).met).toBe("no");
    flow.ended("call_1");
    expect(flow.memory.find("a", now, any).calls).toEqual(["call_1"]);
    expect(flow.memory.find("a", now, origin("https://x.test")).calls).toEqual(["call_1"]);
  });

  it("is remembered from the audit: calls with their effect, their targets, nothing that did not start", async () => {
    const base = {
      v: 1,
      id: "e",
      actor: "agent:a",
      agent: "a",
      plugin,
      tool: "crm__find",
      prev_hash: "",
      hash: "",
    } as const;
    const events: StoredAuditEvent[] = [
      {
        ...base,
        seq: 1,
        time: NOW - 50,
        type: "broker.action",
        call_id: "call_1",
        capability: "network",
        target: "https://x.test/q",
        decision: "allow",
      },
      {
        ...base,
        seq: 2,
        time: NOW - 40,
        type: "plugin_tool.invoked",
        call_id: "call_1",
        scope: "external network:x",
        outcome: "succeeded",
      },
      {
        ...base,
        seq: 3,
        time: NOW - 30,
        type: "plugin_tool.invoked",
        call_id: "call_2",
        scope: "write",
        outcome: "not_started",
      },
    ];
    const audit: Pick<AuditLog, "query"> = {
      query: ({ since = 0, until = Infinity }) =>
        Promise.resolve(events.filter(({ time }) => time >= since && time <= until).toReversed()),
    };
    const flow = createFlowTracker(clock());
    expect(flow.memory.find("a", NOW - 60, any).met).toBe("unclear");
    await flow.recall(audit, 1000);
    // Reached before the call ended, and so counted until then.
    expect(flow.memory.find("a", NOW - 45, origin("https://x.test")).calls).toEqual(["call_1"]);
    expect(flow.memory.find("a", NOW - 60, origin("https://x.test")).calls).toEqual(["call_1"]);
    expect(flow.memory.find("a", NOW - 60, ({ effect }) => effect === "external").calls).toEqual(["call_1"]);
    expect(flow.memory.find("a", NOW - 60, ({ call }) => call === "call_2").met).toBe("no");
    expect(flow.memory.find("b", NOW - 2000, any).met).toBe("unclear");
  });
});

describe("time as rules see it", () => {
  it("never runs back, stands still for a correction, and is uncertain until the clock has caught up or is accepted", () => {
    let now = 100_000;
    const time = createPolicyClock({ now: () => now, monotonic: () => 0 }, 0);
    expect(time.read()).toEqual({ now: 100_000, certain: true });
    now -= 4000;
    expect(time.read()).toEqual({ now: 100_000, certain: true });
    now -= 4000;
    expect(time.read()).toEqual({ now: 100_000, certain: false });
    now = 100_001;
    expect(time.read()).toEqual({ now: 100_001, certain: true });
    now = 50_000;
    expect(time.read().certain).toBe(false);
    time.accept();
    expect(time.read()).toEqual({ now: 50_000, certain: true });
  });

  it("is uncertain from the start when the audit has seen a later moment", () => {
    const time = createPolicyClock({ now: () => 100_000, monotonic: () => 0 }, 200_000);
    expect(time.read()).toEqual({ now: 200_000, certain: false });
  });
});
