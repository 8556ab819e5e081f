import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { ApprovalView, Host } from "../../src/host-api.ts";
import { AGENT, installed, makeHome, manifestOf, OPERATOR, type TestHome, toolLine } from "../support/home.ts";

let home: TestHome;
let host: Host;

const CONFIG = `
plugins: { enabled: true }
trust: { signatures: { low: preferred, medium: preferred, high: preferred, critical: preferred } }
agents: { enabled_tools: ["*"] }
policy:
  defaults: { read: allow, write: allow }
  rules:
    - { id: mail-asks, tool: mail__send, decision: require_approval }
    - { id: out, tool: mail__send, when: { to: { equals: out, optional: true } }, decision: require_approval }
    - { id: after-customers, tool: mail__send, after: { tool: mail__customers, within: 30m }, decision: require_approval }
    - { id: after-payroll, tool: mail__send, after: { tool: mail__payroll, within: 30m }, decision: require_approval }
`;

beforeAll(async () => {
  home = await makeHome(CONFIG);
  const source = await home.plugin("mail", {
    "plugin.yml": manifestOf("mail", [toolLine("send", "write"), toolLine("customers"), toolLine("payroll")]),
    "plugin.js": `export default { tools: { send: (input) => ({ sent: input }), customers: () => ({}), payroll: () => ({}) } };`,
  });
  host = await home.open();
  await installed(host, source);
});
afterAll(() => home.remove());

const call = (tool: string, input: unknown = {}) => host.invoke({ ...AGENT, agent: "asker" }, { tool, input });
const asked = async (input: unknown): Promise<ApprovalView> => {
  const answer = await call("mail__send", input);
  const id = answer.success ? undefined : answer.approval?.id;
  const found = (await host.approvals.list()).find((approval) => approval.id === id);
  if (found === undefined) throw new Error("nobody was asked");
  return found;
};

describe("a yes to many calls", () => {
  it("answers the rules that asked for it, and none that asks about a later call too", async () => {
    const input = { to: "in" };
    const first = await asked(input);
    expect(first.rule).toBe("config.yml mail-asks");
    await host.approvals.approve(OPERATOR, first.id, { match: ["to=*"], uses: 100 });
    expect(await call("mail__send", input)).toMatchObject({ success: true });
    expect(await call("mail__send", { to: "out" })).toMatchObject({ success: false, code: "approval_required" });

    await call("mail__customers");
    const second = await asked(input);
    expect(second.rule).toBe("config.yml mail-asks, config.yml after-customers");
    await host.approvals.approve(OPERATOR, second.id, { uses: 100 });
    expect(await call("mail__send", input)).toMatchObject({ success: true });

    await call("mail__payroll");
    const third = await asked(input);
    expect(third.rule).toContain("after-payroll");
    await host.approvals.approve(OPERATOR, third.id);
    const { callId } = await call("mail__send", input);
    const [event] = await host.audit.query({ call: callId, type: "plugin_tool.invoked", limit: 1 });
    expect(event?.data?.["asking"]).toEqual([
      "config.yml mail-asks",
      "config.yml after-customers",
      "config.yml after-payroll",
    ]);
  });
});

describe("what waits of one agent", () => {
  it("is bounded in size too, so that nobody fills the inbox that others have to be seen in", async () => {
    const flood = (n: number) =>
      host.invoke(
        { ...AGENT, agent: "flood" },
        { tool: "mail__send", input: { to: "in", n, text: "x".repeat(1_000_000) } },
      );
    const codes: string[] = [];
    for (let n = 0; n < 10; n++) {
      const answer = await flood(n);
      codes.push(answer.success ? "" : answer.code);
    }
    expect(codes).toEqual([
      ...Array.from({ length: 8 }, () => "approval_required"),
      "limit_exceeded",
      "limit_exceeded",
    ]);
    expect((await asked({ to: "in", test: "other" })).agent).toBe("asker");
    for (const { id, agent } of await host.approvals.list({ state: "pending" }))
      if (agent === "flood") await host.approvals.deny(OPERATOR, id);
    expect(await flood(10)).toMatchObject({ code: "approval_required" });
  });
});

describe("a grant for a time", () => {
  it("is over also when the clock is put back while the host is closed", async () => {
    const clock = { ahead: 0, now: () => Date.now() + clock.ahead, monotonic: () => performance.now() };
    const other = await makeHome(CONFIG);
    onTestFinished(() => other.remove());
    const source = await other.plugin("brief", {
      "plugin.yml": manifestOf("brief", [toolLine("look")]),
      "plugin.js": "export default { tools: { look: () => ({}) } };",
    });
    const first = await other.open({ clock });
    await installed(first, source, { expiresAt: clock.now() + 60_000 });
    const look = { tool: "brief__look", input: {} };
    expect(await first.invoke(AGENT, look)).toMatchObject({ success: true });
    clock.ahead += 120_000;
    await first.close();
    clock.ahead -= 120_000;
    const second = await other.open({ clock });
    expect(await second.invoke(AGENT, look)).toMatchObject({ success: false, code: "not_approved" });
  });
});

describe("a call that waits for an operator", () => {
  it("does not run when the token that proved who asks was revoked meanwhile", async () => {
    const { view } = await host.tokens.create(OPERATOR, { kind: "agent", name: "local" });
    const requested = new Promise<string>((resolve) => {
      const stop = host.audit.subscribe(({ type, approval }) => {
        if (type !== "approval.requested" || approval === undefined) return;
        stop();
        resolve(approval);
      });
    });
    const waits = host.invoke(
      { ...AGENT, token: view.id },
      { tool: "mail__send", input: { test: "revoked" }, waitMs: 60_000 },
    );
    const id = await requested;
    await host.tokens.revoke(OPERATOR, view.id);
    await host.approvals.approve(OPERATOR, id);
    expect(await waits).toMatchObject({ success: false, code: "unauthenticated" });
  });
});
