import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../../src/host-api.ts";
import {
  AGENT,
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

const SECRET = "s3cr3t-value-of-the-vault";

let home: TestHome;
let host: Host;
beforeEach(async () => {
  home = await makeHome();
  host = await home.open();
});
afterEach(() => home?.remove());

async function tool(body: string): Promise<void> {
  const source = await home.plugin("t", {
    "plugin.yml": manifestOf("t", [toolLine("say")]),
    "plugin.js": `export default { tools: { say: () => ${body} } };`,
  });
  await installed(host, source);
}
const say = () => host.invoke(AGENT, { tool: "t__say", input: {} });

describe("what a plugin says", () => {
  it("has no secret in it when it is the text of a failure, nor does what is kept of it", async () => {
    await tool(`{ throw new Error("the key ${SECRET} \\u001b[2J is wrong"); }`);
    await host.secrets.set(OPERATOR, "KEY", SECRET, ["https://api.example.com"]);
    const answer = await say();
    expect(answer).toMatchObject({
      success: false,
      code: "tool_failed",
      error: expect.stringContaining("[secret KEY]"),
    });
    await host.audit.flush();
    const kept = JSON.stringify([answer, await host.plugins.info("t"), await host.audit.query({})]);
    expect(kept).not.toContain(SECRET);
    expect(kept).not.toContain("\\u001b[2J");
  });

  it("is refused as an answer when it is no well-formed text, and the audit says that the call failed", async () => {
    await tool(`({ text: "\\ud800" })`);
    const answer = await say();
    expect(answer).toMatchObject({ success: false, code: "invalid_output" });
    await host.audit.flush();
    expect((await host.audit.query({ call: answer.callId, order: "asc" })).at(-1)).toMatchObject({
      outcome: "failed",
      reason: "invalid_output",
    });
  });
});

describe("an agent that asks and asks", () => {
  it("has at most a hundred requests open, and another agent is not kept from asking", async () => {
    await installed(host, repositoryPlugin("echo"));
    const ask = (agent: string, text: string) =>
      host.invoke({ kind: "agent", agent }, { tool: "echo__note", input: { text } });
    for (let n = 0; n < 100; n++) expect(await ask("pushy", `${n}`)).toMatchObject({ code: "approval_required" });
    expect(await ask("pushy", "one more")).toMatchObject({ code: "limit_exceeded" });
    expect(await ask("pushy", "7")).toMatchObject({ code: "approval_required" });
    expect(await ask("other", "one")).toMatchObject({ code: "approval_required" });
  });
});

describe("a listener of the library", () => {
  it("that throws harms nobody else", async () => {
    const defects: unknown[] = [];
    await host.close();
    host = await home.open({ onDefect: (error) => defects.push(error) });
    let heard = 0;
    host.onToolsChanged(() => {
      throw new Error("mine");
    });
    host.onToolsChanged(() => heard++);
    await installed(host, repositoryPlugin("echo"));
    expect((await host.plugins.info("echo")).state).toBe("running");
    expect(heard).toBeGreaterThan(0);
    expect(defects).toContainEqual(new Error("mine"));
  });
});

describe("a grant with an end", () => {
  it("ends for every call at once, and the plugin with it", async () => {
    let now = Date.now() + 60_000;
    await host.close();
    host = await home.open({ clock: { now: () => now, monotonic: () => performance.now() } });
    await installed(host, repositoryPlugin("echo"), { expiresAt: now + 1000 });
    const call = () => host.invoke(AGENT, { tool: "echo__echo", input: { text: "x" } });
    expect(await call()).toMatchObject({ success: true });
    now += 1000;
    const answers = await Promise.all([call(), call(), call()]);
    for (const answer of answers) expect(answer).toMatchObject({ code: "not_approved" });
    expect((await host.plugins.info("echo")).state).toBe("validated");
    await expect(host.plugins.load(OPERATOR, "echo")).rejects.toMatchObject({ code: "not_approved" });
  });
});
