import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compilePolicy, type PolicyQuery, type PolicyRule } from "../../src/policy/index.ts";

const query: PolicyQuery = { agent: "local", plugin: "weather", tool: "weather__forecast", effect: "external" };
const starter = {
  read: "allow",
  write: "require_approval",
  external: "require_approval",
  destructive: "deny",
} as const;

describe("policy", () => {
  it("denies when there is no rule and no default [S2-28]", () => {
    expect(compilePolicy([], {}).decide(query)).toMatchObject({ decision: "deny", rule: "default-deny" });
  });

  it("falls back to the default of the computed effect [S2-29]", () => {
    const policy = compilePolicy([], starter);
    expect(policy.decide({ ...query, effect: "read" }).decision).toBe("allow");
    expect(policy.decide({ ...query, effect: "write" }).decision).toBe("require_approval");
    expect(policy.decide({ ...query, effect: "external" }).decision).toBe("require_approval");
    expect(policy.decide({ ...query, effect: "destructive" }).decision).toBe("deny");
  });

  it("lets a rule for one tool stop the asking, for the agent that it names only", () => {
    const policy = compilePolicy([{ id: "r", tool: "weather__forecast", agent: "local", decision: "allow" }], starter);
    expect(policy.decide(query)).toMatchObject({ decision: "allow", rule: "r" });
    expect(policy.decide({ ...query, agent: "other" }).decision).toBe("require_approval");
  });

  it("takes the strictest of all matching rules, in any order", () => {
    const rules: PolicyRule[] = [
      { id: "allow", tool: "weather__*", decision: "allow" },
      { id: "ask", plugin: "weather", decision: "require_approval" },
      { id: "deny", effect: ["external", "destructive"], decision: "deny" },
    ];
    for (const order of [rules, rules.toReversed()]) {
      expect(compilePolicy(order, starter).decide(query)).toMatchObject({ decision: "deny", rule: "deny" });
    }
  });

  it("never lets an added rule widen what another rule denies", () => {
    const decision = fc.constantFrom("allow", "require_approval", "deny" as const);
    const rule = fc.record(
      {
        id: fc.string(),
        tool: fc.constantFrom("weather__forecast", "weather__*", "other__x"),
        plugin: fc.constantFrom("weather", "other"),
        agent: fc.constantFrom("local", "other"),
        decision,
      },
      { requiredKeys: ["id", "decision"] },
    );
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 20 }), (rules) => {
        const denied = [...rules, { id: "deny", tool: query.tool, decision: "deny" as const }];
        expect(compilePolicy(denied, starter).decide(query).decision).toBe("deny");
      }),
    );
  });

  it("answers the same with a thousand other rules", () => {
    const others = Array.from({ length: 1000 }, (_, n): PolicyRule => ({
      id: `o${n}`,
      tool: `p${n}__t`,
      decision: "deny",
    }));
    const own: PolicyRule = { id: "own", tool: query.tool, decision: "allow" };
    expect(compilePolicy([...others, own], starter).decide(query)).toMatchObject({ decision: "allow", rule: "own" });
  });

  it("has a snapshot that changes with any rule or default [S2-59]", () => {
    const base = compilePolicy([{ id: "a", decision: "allow" }], starter).snapshot;
    expect(compilePolicy([{ id: "a", decision: "allow" }], { ...starter }).snapshot).toBe(base);
    expect(compilePolicy([{ id: "a", decision: "deny" }], starter).snapshot).not.toBe(base);
    expect(compilePolicy([{ id: "a", decision: "allow" }], { ...starter, read: "deny" }).snapshot).not.toBe(base);
  });
});
