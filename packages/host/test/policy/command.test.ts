import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Owner, serveOwner } from "../../src/cli/index.ts";
import type { Host } from "../../src/host-api.ts";
import { type Ran, runCommand } from "../support/command.ts";
import { AGENT, installed, makeHome, manifestOf, type TestHome, toolLine } from "../support/home.ts";
import { needsNamespace } from "../support/namespace.ts";

needsNamespace();

const CONFIG = `plugins: { enabled: true }
policy:
  defaults: { read: allow }
  rules:
    - { id: no-etc, tool: notes__look, when: { path: { path: /etc/**, optional: true } }, decision: deny }
    - { tool: notes__gone, decision: deny }
`;

/** That of a command in a test. */
const clock = { now: () => Date.parse("2030-01-01T00:00:00Z"), monotonic: () => performance.now() };

let folder: string;
let home: TestHome;
let host: Host;
let owner: Owner;

const sallyport = (...args: string[]): Promise<Ran> => runCommand(["--home", home.path, ...args]);
async function json(...args: string[]): Promise<{ code: number; answer: unknown }> {
  const { code, out, err } = await sallyport(...args, "--json");
  return { code, answer: out === "" ? err : JSON.parse(out) };
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-policy-"));
  home = await makeHome(CONFIG);
  host = await home.open({ clock });
  const source = await home.plugin("notes", {
    "plugin.yml": manifestOf("notes", [toolLine("look")]),
    "plugin.js": "export default { tools: { look: (input) => ({ saw: input }) } };",
  });
  await installed(host, source);
  const options = {
    home: home.path,
    env: {},
    version: "0",
    background: false,
    idleMs: 60_000,
    onDefect: () => undefined,
  };
  owner = await serveOwner(host, options);
});

afterAll(async () => {
  await owner?.stop();
  await home?.remove();
  await rm(folder, { recursive: true, force: true });
});

describe("policy check", () => {
  it("looks at the rules in force with what is installed, and shows them", async () => {
    const { code, answer } = await json("policy", "check");
    expect([code, answer]).toEqual([
      0,
      {
        ok: true,
        rules: 2,
        findings: [
          {
            severity: "warning",
            rule: "config.yml policy.rules[1]",
            line: 6,
            problem: "tool: no installed tool is notes__gone",
          },
        ],
      },
    ]);
    expect((await sallyport("policy", "check")).out).toContain("line 6: config.yml policy.rules[1]");
    const shown = await sallyport("policy", "show");
    expect(shown.out).toMatch(/config\.yml no-etc\s+deny\s+tool: notes__look, when: /);
    expect((await json("policy", "show")).answer).toMatchObject({ snapshot: host.policy.snapshot() });
  });

  it("exits with 1 and names the line of a mistake in a file, without an owner", async () => {
    const bad = await file("bad.yml", "rules:\n  - { decision: deny }\n  - { decision: denny }\n");
    const { code, out } = await runCommand(["--home", join(folder, "none"), "policy", "check", bad]);
    expect([code, out]).toEqual([1, expect.stringContaining("line 3:")]);
    const good = await file("good.yml", "rules:\n  - { tool: notes__look, when: { a: { min: 1 } }, decision: deny }\n");
    expect((await runCommand(["policy", "check", good, "--json"])).code).toBe(0);
    expect(await json("policy", "check", good, "--installed")).toMatchObject({ code: 0, answer: { rules: 1 } });
    expect((await sallyport("policy", "check", join(folder, "absent.yml"))).code).toBe(2);
  });
});

describe("policy explain", () => {
  it("tells what decides a call to be, and what decided one", async () => {
    const denied = await sallyport("policy", "explain", "notes__look", "--input", '{"path":"/etc/x"}');
    expect(denied.out).toContain("deny by config.yml no-etc, because of its arguments");
    expect(denied.out).toContain("✖ policy");
    const answer = await host.invoke(AGENT, { tool: "notes__look", input: { path: "/etc/x" } });
    const past = await sallyport("policy", "explain", "--call", answer.callId);
    expect(past.out).toMatch(/stopped by:\s+policy \(policy_denied\)/);
    expect(past.out).toContain("config.yml no-etc");
    expect((await json("policy", "explain", "--call", answer.callId)).answer).toMatchObject({ call: answer.callId });
  });

  it.each([[[]], [["notes__look", "--call", "call_1"]], [["notes__look", "--input", "{"]]])(
    "refuses %j",
    async (args) => {
      expect((await sallyport("policy", "explain", ...args)).code).toBe(2);
    },
  );
});

describe("policy simulate", () => {
  it("tells which calls of the audit would change", async () => {
    await host.invoke(AGENT, { tool: "notes__look", input: { path: "/srv/x" } });
    const policy = await file("other.yml", "rules:\n  - { tool: notes__look, decision: deny }\n");
    const { code, out } = await sallyport(
      "policy",
      "simulate",
      "--against-audit",
      "--policy",
      policy,
      "--since",
      "2020-01-01",
    );
    expect(code).toBe(0);
    expect(out).toMatch(/notes__look\s+allow by default:read\s+deny by the given file policy\.rules\[0\]/);
    expect(out).toContain("1 stricter, 0 milder");
    expect((await sallyport("policy", "simulate")).code).toBe(2);
  });
});

describe("policy test", () => {
  it("exits with 1 when a case does not hold, and needs no owner", async () => {
    await file("policy.yml", "rules:\n  - { tool: a__b, decision: allow }\n");
    const holds = await file("holds.yml", "policy: policy.yml\ncases:\n  - { tool: a__b, expect: allow }\n");
    const fails = await file("fails.yml", "policy: policy.yml\ncases:\n  - { tool: a__c, expect: allow }\n");
    const nowhere = (...args: string[]) => runCommand(["--home", join(folder, "none"), "policy", "test", ...args]);
    expect(await nowhere(holds)).toMatchObject({ code: 0, out: expect.stringContaining("1 of 1 cases hold") });
    expect(await nowhere(fails)).toMatchObject({
      code: 1,
      out: expect.stringContaining("(line 3): expected allow, got deny"),
    });
    expect((await nowhere(join(folder, "policy.yml"))).code).not.toBe(0);
  });
});

describe("policy override", () => {
  it("adds, lists and removes a rule for a time", async () => {
    const { code, answer } = await override(
      "--decision",
      "deny",
      "--agent",
      "guest",
      "--when",
      "path=/srv/**",
      "--until",
      "2h",
    );
    expect(code).toBe(0);
    expect(answer).toMatchObject({ result: { rule: { agent: ["guest"], when: { path: { path: "/srv/**" } } } } });
    const id = (await host.policy.listOverrides())[0]?.id ?? "";
    expect((await sallyport("policy", "override", "list")).out).toContain(id);
    const guest = { kind: "agent", agent: "guest" } as const;
    expect(await host.invoke(guest, { tool: "notes__look", input: { path: "/srv/x" } })).toMatchObject({
      code: "policy_denied",
    });
    expect((await sallyport("policy", "override", "remove", id)).code).toBe(0);
    expect(await host.policy.listOverrides()).toEqual([]);
  });

  it.each([
    [["--decision", "allow"]],
    [["--decision", "perhaps", "--tool", "a__b"]],
    [["--decision", "deny", "--when", "x"]],
  ])("refuses %j", async (args) => {
    expect((await override(...args, "--until", "2h")).code).toBe(2);
  });
});

function override(...args: string[]): Promise<{ code: number; answer: unknown }> {
  return json("policy", "override", "add", ...args);
}
