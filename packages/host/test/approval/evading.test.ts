import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
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
`;

beforeAll(async () => {
  home = await makeHome(CONFIG);
  const source = await home.plugin("mail", {
    "plugin.yml": manifestOf("mail", [toolLine("send", "write"), toolLine("customers")]),
    "plugin.js": `export default { tools: { send: (input) => ({ sent: input }), customers: () => ({}) } };`,
  });
  host = await home.open();
  await installed(host, source);
});
afterAll(() => home.remove());

describe("a call that waits for an operator", () => {
  it("does not run when the token that proved who asks was revoked meanwhile", async () => {
    const { view } = await host.tokens.create(OPERATOR, { kind: "agent", name: "local" });
    const asked = new Promise<string>((resolve) => {
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
    const id = await asked;
    await host.tokens.revoke(OPERATOR, view.id);
    await host.approvals.approve(OPERATOR, id);
    expect(await waits).toMatchObject({ success: false, code: "unauthenticated" });
  });
});
