import { describe, expect, it } from "vitest";
import { readPolicyText } from "../../src/config/index.ts";
import { analysePolicy, type KnownTool } from "../../src/policy/index.ts";

const NOW = Date.UTC(2026, 10, 20);
const FORECAST: KnownTool = {
  plugin: "weather",
  tool: "weather__forecast",
  effect: "external",
  risk: "high",
  permissions: ["network", "network:api.example.com:443"],
  inputSchema: { type: "object", properties: { city: { type: "string" } }, additionalProperties: false },
};

function check(rules: string, known?: readonly KnownTool[]) {
  const { layers, errors } = readPolicyText(`rules:\n${rules}`, "p.yml");
  return [...errors, ...analysePolicy(layers, NOW, known)];
}

describe("a policy that cannot be read", () => {
  it.each<[string, string, number, string]>([
    ["an unknown key", "  - { decision: deny, tol: x }", 2, "tol"],
    ["an unknown decision", "  - { decision: deny }\n  - { decision: maybe }", 3, "expected one of"],
    ["an ill-typed condition", "  - decision: deny\n    when:\n      n: { min: a }", 4, ""],
    [
      "a condition that contradicts itself",
      "  - decision: deny\n    when:\n      n: { min: 2, max: 1 }",
      4,
      "no number",
    ],
    ["a path compared as text", "  - decision: deny\n    when:\n      file: { prefix: /etc }", 4, "path:"],
    ["hours that are none", "  - decision: deny\n    time: { hours: 25:00-26:00 }", 3, "no span of hours"],
    [
      "a zone that is none",
      "  - decision: deny\n    time: { weekdays: [mon], timezone: Mars/Base }",
      3,
      "no time zone",
    ],
    ["a moment without its offset", "  - decision: deny\n    until: 2030-01-01T00:00:00", 3, "offset"],
    ["an earlier call that names nothing", "  - decision: deny\n    after: { within: 5m }", 3, "names nothing"],
    ["looking back for too long", "  - decision: deny\n    after: { plugin: x, within: 8d }", 3, "seven days"],
    ["* in the middle", "  - { decision: deny, tool: 'a*b' }", 2, "one *"],
    ["the same id twice", "  - { id: a, decision: deny }\n  - { id: a, decision: allow }", 3, "two rules"],
    ["an alias", "  - &a { decision: deny }\n  - *a", 1, ""],
    ["broken YAML", "  - { decision: deny", 2, ""],
  ])("names the line of %s", (_, rules, line, problem) => {
    const [first] = check(rules);
    expect(first).toMatchObject({ severity: "error", problem: expect.stringContaining(problem) });
    expect(first?.line).toBe(line);
  });

  it("finds the policy within a whole config.yml, with its lines there", () => {
    const text = "plugins: { enabled: true }\npolicy:\n  rules:\n    - { decision: perhaps }\n";
    expect(readPolicyText(text, "c.yml").errors).toMatchObject([{ line: 4 }]);
    expect(readPolicyText("plugin: {}\npolicy: {}\n", "c.yml").errors).toHaveLength(1);
  });
});

describe("a rule without effect", () => {
  it.each<[string, string, number, string]>([
    [
      "is shadowed by a deny",
      "  - { tool: a__b, decision: allow }\n  - { id: no, tool: a__*, decision: deny }",
      2,
      "p.yml no denies",
    ],
    [
      "is shadowed by a question",
      "  - { id: ask, decision: require_approval }\n  - { agent: x, when: { a: 1 }, decision: allow }",
      3,
      "asks",
    ],
    [
      "adds nothing",
      "  - { tool: a__b, decision: deny }\n  - { tool: a__b, agent: x, decision: deny }",
      3,
      "adds nothing",
    ],
    [
      "says the same twice",
      "  - { tool: a__b, decision: deny }\n  - { tool: a__b, decision: deny }",
      3,
      "adds nothing",
    ],
    ["is covered by its plugin", "  - { plugin: a, decision: deny }\n  - { tool: a__b, decision: allow }", 3, "denies"],
    ["is over", "  - { decision: deny, until: 2020-01-01T00:00:00Z }", 2, "over since"],
    ["names a tool of another plugin", "  - { tool: a__b, plugin: c, decision: deny }", 2, "never matches"],
  ])("%s: a warning with its line", (_, rules, line, problem) => {
    expect(check(rules)).toEqual([
      expect.objectContaining({ severity: "warning", line, problem: expect.stringContaining(problem) }),
    ]);
  });

  it.each([
    ["  - { tool: a__b, decision: allow }\n  - { tool: a__*, when: { x: 1 }, decision: deny }"],
    ["  - { tool: a__b, decision: deny }\n  - { tool: a__*, decision: allow }"],
    ["  - { agent: x, decision: deny }\n  - { agent: y, decision: allow }"],
    ["  - { effect: read, decision: deny }\n  - { tool: a__b, decision: allow }"],
  ])("is not said of one that has an effect: %s", (rules) => {
    expect(check(rules)).toEqual([]);
  });
});

describe("rules against what is installed", () => {
  it.each<[string, string, string, string]>([
    ["an unknown tool", "  - { tool: weather__past, decision: deny }", "warning", "no installed tool is weather__past"],
    ["an unknown plugin", "  - { plugin: mail, decision: deny }", "warning", "no installed plugin with tools is mail"],
    [
      "an unknown plugin before",
      "  - { decision: deny, after: { plugin: crm, within: 1h } }",
      "warning",
      "after.plugin",
    ],
    [
      "a tool that is never so",
      "  - { tool: weather__forecast, effect: read, decision: deny }",
      "warning",
      "matches no installed tool",
    ],
    [
      "an argument that there is not",
      "  - { tool: weather__forecast, when: { town: x }, decision: deny }",
      "error",
      "no such argument",
    ],
    [
      "an argument of another type",
      "  - { tool: weather__forecast, when: { city: { min: 1 } }, decision: deny }",
      "error",
      "never a number",
    ],
  ])("name %s", (_, rules, severity, problem) => {
    expect(check(rules, [FORECAST])).toEqual([
      expect.objectContaining({ severity, line: 2, problem: expect.stringContaining(problem) }),
    ]);
  });

  it("say nothing of rules that can match", () => {
    const rules = `  - { tool: weather__forecast, permission: network, when: { city: { glob: "B*" } }, decision: allow }
  - { plugin: wea*, risk: high, decision: require_approval }
  - { agent: someone-else, tool: weather__*, decision: deny }`;
    expect(check(rules, [FORECAST]).filter(({ severity }) => severity === "error")).toEqual([]);
    expect(check("  - { agent: someone-else, tool: weather__*, decision: deny }", [FORECAST])).toEqual([]);
  });
});
