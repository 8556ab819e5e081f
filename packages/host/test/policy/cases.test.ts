import { describe, expect, it } from "vitest";
import { runPolicyCases } from "../../src/config/index.ts";

const POLICY = `
defaults: { read: allow, external: require_approval }
rules:
  - { id: no-secrets, tool: mail__send, after: { path: /srv/secret/**, within: 10m }, decision: deny }
  - { id: office, tool: mail__send, time: { hours: 08:00-18:00 }, when: { to: { glob: "*@example.com" } }, decision: allow }
`;
const load = (name: string) => (name === "p.yml" ? POLICY : expect.unreachable());
const run = (cases: string, policy = "p.yml") =>
  runPolicyCases(
    `policy: ${policy}\ntools:\n  mail__send: { effect: external }\ncases:\n${cases}`,
    "cases.yml",
    0,
    load,
  );

describe("cases of a policy", () => {
  it("tell which hold and which do not, with their lines", () => {
    const results = run(`
  - { name: to a colleague, tool: mail__send, at: 2026-11-20T12:00:00Z, input: { to: a@example.com }, expect: allow }
  - { tool: mail__send, at: 2026-11-20T20:00:00Z, input: { to: a@example.com }, expect: require_approval }
  - tool: mail__send
    at: 2026-11-20T12:00:00Z
    input: { to: a@example.com }
    after: [{ tool: files__read, path: /srv/secret/a, ago: 5m }]
    expect: { decision: deny, rule: no-secrets }
  - { tool: mail__send, input: { to: b@evil.test }, expect: allow }
  - { tool: other__wipe, expect: deny }`);
    expect(results.map(({ ok }) => ok)).toEqual([true, true, true, false, true]);
    expect(results[3]).toMatchObject({ line: 13, got: { decision: "require_approval", rule: "default:external" } });
  });

  it("may hold their policy themselves", () => {
    const [result] = run("  - { tool: a__b, expect: deny }", "{ defaults: { read: allow } }");
    expect(result).toMatchObject({ ok: true, got: { rule: "default-deny" } });
  });

  it.each<[string, string, string]>([
    ["an unknown key", "  - { tool: a__b, expcet: deny }", "line 5"],
    ["no expectation", "  - { tool: a__b, expect: deny }\n  - { tool: a__b }", "line 6"],
    ["no YAML", "  - { tool: a__b", "line"],
  ])("are refused with %s", (_, cases, problem) => {
    expect(() => run(cases)).toThrow(
      expect.objectContaining({ code: "config_invalid", message: expect.stringContaining(problem) }),
    );
  });

  it("are refused when their policy is", () => {
    const text = "policy: p.yml\ncases: [{ tool: a__b, expect: deny }]";
    const failing = () => runPolicyCases(text, "c.yml", 0, () => "rules:\n  - { decision: perhaps }\n");
    expect(failing).toThrow(
      expect.objectContaining({ code: "config_invalid", message: expect.stringContaining("line 2") }),
    );
  });
});
