import { describe, expect, it } from "vitest";
import type { AuditEvent, AuditLog } from "../../src/audit/index.ts";
import { createFlights } from "../../src/host/flights.ts";
import { createInvoke, type InvokeDeps } from "../../src/host/invoke.ts";
import { createRouteTable, type LoadedTool } from "../../src/host/route.ts";
import { type Decision, PolicyViolationError, SallyportError } from "../../src/kernel/index.ts";
import { readManifest } from "../../src/manifest/index.ts";
import { compilePolicy, createFlowMemory, type PolicyRule } from "../../src/policy/index.ts";
import type { PluginProcess, ToolCall } from "../../src/supervisor/index.ts";
import { AGENT, manifestOf, toolLine } from "../support/home.ts";
import { gate } from "./runtime-parts.ts";

const { manifest } = readManifest({ name: "plugin.yml", bytes: Buffer.from(manifestOf("t", [toolLine("look")])) });
const REF = { id: "t", version: "1.0.0", digest: "sha256:one" };

/** `invoke()` over real routes and a real policy, held wherever a test wants to change something. */
function held(start: { decision?: Decision; rules?: readonly PolicyRule[] } = {}) {
  const flow = createFlowMemory(0);
  const events: AuditEvent[] = [];
  const calls: ToolCall[] = [];
  let decision: Decision = start.decision ?? "allow";
  let loaded: LoadedTool | undefined = { plugin: REF, tool: manifest.tools[0]!, scopes: [], expiresAt: undefined };
  let healthy = true;
  let now = 1000;
  const woken = gate<PluginProcess>();
  const waking = gate();
  const process: PluginProcess = {
    level: "namespace",
    pid: 0,
    state: "running",
    busy: false,
    served: 0,
    responsive: true,
    onHealth: () => undefined,
    exited: new Promise(() => undefined),
    call(call) {
      calls.push(call);
      return Promise.resolve({ output: {}, bytes: 2 });
    },
    stop: () => Promise.resolve(),
    kill: () => Promise.resolve(),
  };
  const routes = createRouteTable({
    tools: { find: (name) => (name === "t__look" ? loaded : undefined), behind: () => (loaded ? [loaded] : []) },
    policy: () => compilePolicy([{ name: "test", rules: start.rules ?? [{ id: "rule", decision }] }], {}),
    hides: () => undefined,
    watchersOf: () => undefined,
    time: () => ({ now, certain: true }),
    flow,
    maxTimeoutMs: () => 1000,
  });
  const audit = {
    get healthy() {
      return healthy;
    },
    note: (event) => void events.push(event),
    record(event) {
      events.push(event);
      return Promise.resolve();
    },
  } satisfies Partial<AuditLog> as unknown as AuditLog;
  const deps: InvokeDeps = {
    clock: { now: () => now, monotonic: () => 0 },
    gate: { admit: () => undefined, enter: () => undefined, leave: () => undefined },
    flow: { began: () => undefined, ended: () => undefined },
    flights: createFlights({ now: () => now, monotonic: () => 0 }),
    hooks: () => expect.unreachable(),
    observers: { called: () => undefined },
    audit,
    routes,
    approvals: {
      find: () => Promise.resolve({ approved: { id: "apr_1" } }),
      consume: () => Promise.resolve(),
    },
    waiting: { answered: () => Promise.resolve(null), close: () => undefined },
    running: () => undefined,
    wake() {
      waking.open();
      return woken.promise;
    },
    redact: (value) => value,
    outputs: {
      accept: (_route, { output }) => ({ output, digest: "", changes: undefined }),
      words: (message) => ({ message }),
    },
    expired: () => Promise.reject(new PolicyViolationError("not_approved", "It expired.")),
    counted: () => undefined,
    refused: () => undefined,
    refusalOf: () => undefined,
    defect: () => undefined,
  };
  return {
    events,
    calls,
    waking: waking.promise,
    wake: () => woken.open(process),
    failWake: (error: Error) => woken.fail(error),
    invoke: createInvoke(deps),
    change(next: { decision?: Decision; loaded?: LoadedTool | null; now?: number; healthy?: boolean }) {
      decision = next.decision ?? decision;
      if (next.loaded !== undefined) loaded = next.loaded ?? undefined;
      now = next.now ?? now;
      healthy = next.healthy ?? healthy;
      routes.invalidate();
    },
    /** Time passes; nothing is told of it. */
    passes(to: number) {
      now = to;
    },
    flow,
    get tool(): LoadedTool {
      return loaded!;
    },
  };
}

type Bench = ReturnType<typeof held>;

/** Makes a call, changes something while its plugin wakes, and gives the answer. */
async function whileWaking(bench: Bench, change: () => void, input: unknown = {}) {
  const answer = bench.invoke(AGENT, { tool: "t__look", input });
  await bench.waking;
  change();
  bench.wake();
  return answer;
}

describe("a call that waits for its plugin", () => {
  it("runs when nothing changed", async () => {
    const b = held();
    expect(await whileWaking(b, () => undefined)).toMatchObject({ success: true });
    expect(b.calls).toHaveLength(1);
  });

  it.each<readonly [string, (b: Bench) => void, string]>([
    ["policy denies it now", (b) => b.change({ decision: "deny" }), "unknown_tool"],
    ["policy asks now", (b) => b.change({ decision: "require_approval" }), "conflict"],
    ["the plugin is gone", (b) => b.change({ loaded: null }), "unknown_tool"],
    [
      "the id has other bytes",
      (b) => b.change({ loaded: { ...b.tool, plugin: { ...REF, digest: "sha256:two" } } }),
      "conflict",
    ],
    [
      "the tool is another",
      (b) => b.change({ loaded: { ...b.tool, tool: { ...b.tool.tool, description: "Other." } } }),
      "conflict",
    ],
    ["the grant has ended", (b) => b.change({ loaded: { ...b.tool, expiresAt: 1500 }, now: 1500 }), "not_approved"],
    ["the audit cannot be written", (b) => b.change({ healthy: false }), "audit_unavailable"],
  ])("does not run when meanwhile %s", async (_what, change, code) => {
    const b = held();
    expect(await whileWaking(b, () => change(b))).toMatchObject({ success: false, code });
    expect(b.calls).toEqual([]);
    expect(b.events.at(-1)).toMatchObject({ phase: "outcome", outcome: "not_started" });
  });

  it("does not run when the time of its rule is over meanwhile, though no rule changed", async () => {
    const b = held({ rules: [{ id: "until", when: { a: { equals: 1 } }, time: { until: 2000 }, decision: "allow" }] });
    expect(await whileWaking(b, () => b.passes(2000), { a: 1 })).toMatchObject({ code: "unknown_tool" });
    expect(b.calls).toEqual([]);
  });

  it("does not run when its agent did meanwhile what a rule says it must not have done", async () => {
    const allow: PolicyRule = { id: "allow", decision: "allow" };
    const b = held({ rules: [allow, { id: "flow", after: { plugin: "crm", withinMs: 500 }, decision: "deny" }] });
    const crm = { plugin: "crm", tool: "crm__find", effect: "read", call: "call_1", time: 1000 } as const;
    const change = () => b.flow.note({ ...crm, agent: AGENT.agent });
    expect(await whileWaking(b, change)).toMatchObject({ code: "policy_denied" });
    expect(b.calls).toEqual([]);
    expect(b.events).toMatchObject([{ decision: "deny", rule: "flow", data: { after: ["call_1"] } }]);
  });

  it("and was approved does not run when policy denies it now [S4-30]", async () => {
    const b = held({ decision: "require_approval" });
    expect(await whileWaking(b, () => b.change({ decision: "deny" }))).toMatchObject({ code: "unknown_tool" });
    expect(b.calls).toEqual([]);
    expect(b.events).toMatchObject([{ decision: "deny", outcome: "not_started", approval: "apr_1" }]);
  });

  it("and was approved does not run when another rule asks by now: the yes answered the first", async () => {
    const asks = (id: string, time: PolicyRule["time"]): PolicyRule => ({ id, time, decision: "require_approval" });
    const rules = [asks("before", { until: 2000 }), asks("after", { from: 2000 })];
    expect(await whileWaking(held({ rules }), () => undefined)).toMatchObject({ success: true });
    const b = held({ rules });
    expect(await whileWaking(b, () => b.change({ now: 2500 }))).toMatchObject({ code: "conflict" });
    expect(b.calls).toEqual([]);
    expect(b.events).toMatchObject([{ outcome: "not_started", approval: "apr_1" }]);
  });

  it("and was approved does not run when it asks by now because of what its agent did", async () => {
    const flow: PolicyRule = { id: "flow", after: { plugin: "crm", withinMs: 500 }, decision: "require_approval" };
    const b = held({ rules: [{ id: "ask", decision: "require_approval" }, flow] });
    const crm = { plugin: "crm", tool: "crm__find", effect: "read", call: "call_1", time: 1000 } as const;
    const change = () => b.flow.note({ ...crm, agent: AGENT.agent });
    expect(await whileWaking(b, change)).toMatchObject({ code: "conflict" });
    expect(b.events).toMatchObject([{ outcome: "not_started", rule: "flow", data: { after: ["call_1"] } }]);
  });

  it("runs with what was checked, whatever its caller does to the input meanwhile", async () => {
    const b = held();
    const input: { list: number[]; text: string } = { list: [1], text: "checked" };
    await whileWaking(
      b,
      () => {
        input.list.push(2);
        input.text = "changed";
      },
      input,
    );
    expect(b.calls[0]?.input).toEqual({ list: [1], text: "checked" });
    expect(b.events.flatMap((event) => event.input ?? [])).toEqual([{ list: [1], text: "checked" }]);
  });

  it("reads its input once: a getter cannot say one thing to the check and another to the plugin", async () => {
    const b = held();
    let reads = 0;
    const input = Object.defineProperty({}, "n", { enumerable: true, get: () => ++reads });
    await whileWaking(b, () => undefined, input);
    expect(reads).toBe(1);
    expect(b.calls[0]?.input).toEqual({ n: 1 });
  });

  it("does not follow a request or a caller that changes under it", async () => {
    const b = held();
    const request = { tool: "t__look", input: {} };
    const caller = { kind: "agent", agent: "local" } as const;
    const answer = b.invoke(caller, request);
    Object.assign(request, { tool: "t__other", input: { other: true } });
    Object.assign(caller, { agent: "other" });
    b.wake();
    expect(await answer).toMatchObject({ success: true });
    expect(b.calls[0]).toMatchObject({ agent: "local", tool: "look", input: {} });
  });

  it("is given up when its caller cancels it, and leaves nothing but its outcome", async () => {
    const b = held();
    const stop = new AbortController();
    const answer = b.invoke(AGENT, { tool: "t__look", input: {}, signal: stop.signal });
    await b.waking;
    stop.abort();
    expect(await answer).toMatchObject({ success: false, code: "cancelled" });
    b.wake();
    expect(b.calls).toEqual([]);
    expect(b.events).toMatchObject([{ outcome: "not_started", reason: "cancelled" }]);
  });

  it("does not run when the plugin cannot be woken", async () => {
    const b = held();
    const answer = b.invoke(AGENT, { tool: "t__look", input: {} });
    b.failWake(new SallyportError("plugin_not_running", "No."));
    expect(await answer).toMatchObject({ code: "plugin_not_running" });
    expect(b.events).toMatchObject([{ outcome: "not_started" }]);
  });
});

describe("a caller", () => {
  it.each(["", "x".repeat(101), "a\u001b[2Jb", "a\u202eb", "\ud800"])(
    "has a name that can be shown: not %j",
    async (agent) => {
      const b = held();
      b.wake();
      expect(await b.invoke({ kind: "agent", agent }, { tool: "t__look", input: {} })).toMatchObject({ code: "usage" });
      expect(
        await b.invoke({ kind: "agent", agent: "a", operator: agent }, { tool: "t__look", input: {} }),
      ).toMatchObject({ code: "usage" });
      expect(b.calls).toEqual([]);
      expect(b.events).toHaveLength(2);
      for (const event of b.events) expect(JSON.stringify(event).length).toBeLessThan(1000);
    },
  );

  it("cannot make an event too large to be written", async () => {
    const b = held();
    b.wake();
    expect(await b.invoke(AGENT, { tool: "t__look", input: {}, trace: "t".repeat(1_000_000) })).toMatchObject({
      success: true,
    });
    expect(await b.invoke(AGENT, { tool: "x".repeat(1_000_000), input: {} })).toMatchObject({ code: "unknown_tool" });
    for (const event of b.events) expect(JSON.stringify(event).length).toBeLessThan(2000);
  });
});
