import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Decision, Effect } from "../../src/kernel/index.ts";
import {
  compilePolicy,
  createFlowMemory,
  type FlowLabel,
  type PolicyDecision,
  type PolicyLayer,
  type PolicyQuery,
  type PolicyRule,
} from "../../src/policy/index.ts";

const query: PolicyQuery = {
  agent: "local",
  plugin: "weather",
  tool: "weather__forecast",
  effect: "external",
  risk: "high",
  permissions: ["network", "network:api.example.com:443"],
};
const starter = {
  read: "allow",
  write: "require_approval",
  external: "require_approval",
  destructive: "deny",
} as const;
const NOON = Date.UTC(2026, 10, 20, 12);
const STRENGTH: readonly Decision[] = ["allow", "require_approval", "deny"];

interface Call {
  readonly query?: Partial<PolicyQuery>;
  readonly input?: unknown;
  readonly now?: number;
  readonly certain?: boolean;
  readonly earlier?: readonly FlowLabel[];
}

function layered(layers: readonly PolicyLayer[], call: Call = {}, defaults: object = starter): PolicyDecision {
  const flow = createFlowMemory(0);
  for (const label of call.earlier ?? []) flow.note(label);
  const time = { now: call.now ?? NOON, certain: call.certain ?? true };
  const rules = compilePolicy(layers, defaults).forTool({ ...query, ...call.query });
  return rules.decide({ input: call.input ?? {}, time, flow });
}

function decide(rules: readonly PolicyRule[], call: Call = {}, defaults: object = starter): PolicyDecision {
  return layered([{ name: "test", rules }], call, defaults);
}

function strength({ decision }: PolicyDecision): number {
  return STRENGTH.indexOf(decision);
}

function seen(part: Partial<FlowLabel> = {}): FlowLabel {
  return {
    agent: "local",
    plugin: "crm",
    tool: "crm__find",
    effect: "read",
    call: "call_1",
    time: NOON - 60_000,
    ...part,
  };
}

describe("policy", () => {
  it("denies when there is no rule and no default [S2-28]", () => {
    expect(decide([], {}, {})).toMatchObject({ decision: "deny", rule: "default-deny" });
  });

  it("falls back to the default of the computed effect [S2-29]", () => {
    const of = (effect: Effect): Decision => decide([], { query: { effect } }).decision;
    expect([of("read"), of("write"), of("external"), of("destructive")]).toEqual([
      "allow",
      "require_approval",
      "require_approval",
      "deny",
    ]);
  });

  it("lets a rule for one tool stop the asking, for the agent that it names only", () => {
    const rules: PolicyRule[] = [{ id: "r", tool: "weather__forecast", agent: "local", decision: "allow" }];
    expect(decide(rules)).toMatchObject({ decision: "allow", rule: "r" });
    expect(decide(rules, { query: { agent: "other" } }).decision).toBe("require_approval");
  });

  it("takes the strictest of all matching rules, in any order", () => {
    const rules: PolicyRule[] = [
      { id: "allow", tool: "weather__*", decision: "allow" },
      { id: "ask", plugin: "weather", decision: "require_approval" },
      { id: "deny", effect: ["external", "destructive"], decision: "deny" },
    ];
    for (const order of [rules, rules.toReversed()]) {
      expect(decide(order)).toMatchObject({ decision: "deny", rule: "deny" });
    }
  });

  it.each<[string, Partial<PolicyRule>, Partial<PolicyQuery>]>([
    ["a tool", { tool: ["x__y", "weather__fore*"] }, { tool: "weather__past" }],
    ["a plugin", { plugin: "wea*" }, { plugin: "other" }],
    ["an agent", { agent: ["local", "b"] }, { agent: "c" }],
    ["an effect", { effect: ["external"] }, { effect: "read" }],
    ["a risk", { risk: ["high", "critical"] }, { risk: "low" }],
    ["a capability", { permission: "network" }, { permissions: ["filesystem"] }],
    ["a scope", { permission: "network:api.example.com:*" }, { permissions: ["network", "network:other:443"] }],
  ])("matches %s, and nothing else", (_, part, other) => {
    const rules: PolicyRule[] = [{ id: "r", ...part, decision: "deny" }];
    expect(decide(rules).rule).toBe("r");
    expect(decide(rules, { query: other }).rule).not.toBe("r");
  });

  it("keeps the rules of an agent's layer to that agent", () => {
    const layer: PolicyLayer = { name: "agent b", agent: "b", rules: [{ id: "r", decision: "deny" }] };
    expect(layered([layer]).rule).toBe("default:external");
    expect(layered([layer], { query: { agent: "b" } }).rule).toBe("r");
  });

  it("decides by arguments: what is missing or unclear is neither allowed nor let through", () => {
    const allow: PolicyRule[] = [{ id: "r", when: { city: { equals: "Bern" } }, decision: "allow" }];
    expect(decide(allow, { input: { city: "Bern" } }).decision).toBe("allow");
    expect(decide(allow, { input: { city: "Basel" } }).decision).toBe("require_approval");
    expect(decide(allow, { input: {} }).decision).toBe("require_approval");
    const deny: PolicyRule[] = [{ id: "r", when: { path: { path: "/etc/**" } }, decision: "deny" }];
    const at = (path: unknown): PolicyDecision => decide(deny, { input: { path } }, { external: "allow" });
    expect(at("/tmp/x").decision).toBe("allow");
    expect(at("/etc/passwd")).toMatchObject({ decision: "deny", because: ["arguments"] });
    expect(at("/tmp/../etc/passwd")).toMatchObject({ decision: "deny", unclear: true });
    expect(at(undefined)).toMatchObject({ decision: "deny", unclear: true });
  });

  it("never makes milder by a question that may not be asked: an unclear one lifts no deny", () => {
    const ask: PolicyRule[] = [{ id: "r", when: { path: { path: "/tmp/**" } }, decision: "require_approval" }];
    expect(decide(ask, { input: { path: "/tmp/x" } }, {}).decision).toBe("require_approval");
    expect(decide(ask, { input: { path: "/tmp/../x" } }, {}).decision).toBe("deny");
    expect(decide(ask, { input: { path: "/tmp/../x" } }, { external: "allow" }).decision).toBe("require_approval");
  });

  it("holds by the hour and the day of a zone, over midnight too", () => {
    const at = (time: PolicyRule["time"], now: number): string =>
      decide([{ id: "r", time, decision: "deny" }], { now }).rule;
    const zurich = { hours: ["08:00-18:00"], weekdays: ["mon", "fri"], timezone: "Europe/Zurich" } as const;
    expect(at(zurich, Date.UTC(2026, 10, 20, 7))).toBe("r");
    expect(at(zurich, Date.UTC(2026, 10, 20, 6, 59))).not.toBe("r");
    expect(at(zurich, Date.UTC(2026, 10, 20, 17))).not.toBe("r");
    expect(at(zurich, Date.UTC(2026, 10, 21, 12))).not.toBe("r");
    expect(at(zurich, Date.UTC(2026, 6, 20, 6))).toBe("r");
    const night = { hours: ["22:00-06:00"] };
    expect(at(night, Date.UTC(2026, 0, 1, 23))).toBe("r");
    expect(at(night, Date.UTC(2026, 0, 1, 5, 59))).toBe("r");
    expect(at(night, Date.UTC(2026, 0, 1, 6))).not.toBe("r");
  });

  it("ends at its moment, and while the clock is behind neither allows by time nor lets a deny lapse", () => {
    const until: PolicyRule[] = [{ id: "r", time: { until: NOON }, decision: "allow" }];
    expect(decide(until, { now: NOON - 1 }).decision).toBe("allow");
    expect(decide(until, { now: NOON }).decision).toBe("require_approval");
    expect(decide(until, { now: NOON - 1, certain: false }).decision).toBe("require_approval");
    const deny: PolicyRule[] = [{ id: "r", time: { until: NOON }, decision: "deny" }];
    expect(decide(deny, { now: NOON, certain: false })).toMatchObject({ decision: "deny", unclear: true });
  });

  it("decides by what was done before, and names the calls", () => {
    const rules: PolicyRule[] = [
      { id: "r", after: { plugin: "crm", withinMs: 600_000 }, decision: "require_approval" },
    ];
    const allowing = { external: "allow" };
    expect(decide(rules, { earlier: [seen()] }, allowing)).toMatchObject({
      decision: "require_approval",
      after: ["call_1"],
    });
    expect(decide(rules, { earlier: [seen({ time: NOON - 700_000 })] }, allowing).decision).toBe("allow");
    expect(decide(rules, { earlier: [seen({ agent: "other" })] }, allowing).decision).toBe("allow");
    expect(decide(rules, { earlier: [seen({ plugin: "mail" })] }, allowing).decision).toBe("allow");
  });

  it("hides a tool that is denied whatever the arguments, and only such a one", () => {
    const exposed = (rules: readonly PolicyRule[], defaults: object = starter, now = NOON): Decision =>
      compilePolicy([{ name: "test", rules }], defaults)
        .forTool(query)
        .exposed({ now, certain: true }).decision;
    expect(exposed([{ id: "r", decision: "deny" }])).toBe("deny");
    expect(exposed([{ id: "r", when: { a: { equals: 1 } }, decision: "deny" }])).toBe("require_approval");
    expect(exposed([{ id: "r", when: { a: { equals: 1 } }, decision: "allow" }], {})).toBe("allow");
    expect(exposed([{ id: "r", when: { a: { equals: 1 } }, decision: "require_approval" }], {})).toBe(
      "require_approval",
    );
    const byTime: PolicyRule[] = [{ id: "r", time: { until: NOON }, decision: "allow" }];
    expect([exposed(byTime, {}, NOON - 1), exposed(byTime, {})]).toEqual(["allow", "deny"]);
    expect(exposed([{ id: "r", time: { hours: ["11:00-13:00"] }, decision: "deny" }])).toBe("deny");
  });

  it("denies what it cannot evaluate", () => {
    const rules = compilePolicy(
      [{ name: "t", rules: [{ id: "r", when: { a: { equals: 1 } }, decision: "allow" }] }],
      {},
    );
    const input = Object.defineProperty({}, "a", { enumerable: true, get: () => expect.unreachable() });
    const facts = { input, time: { now: 0, certain: true }, flow: createFlowMemory(0) };
    expect(rules.forTool(query).decide(facts)).toMatchObject({ decision: "deny", rule: "policy-error" });
  });

  it("answers the same with a thousand other rules", () => {
    const others = Array.from({ length: 1000 }, (_, n): PolicyRule => ({
      id: `o${n}`,
      tool: `p${n}__t`,
      decision: "deny",
    }));
    expect(decide([...others, { id: "own", tool: query.tool, decision: "allow" }])).toMatchObject({
      decision: "allow",
      rule: "own",
    });
  });

  it("has a snapshot that changes with any rule or default, and not with the line that a rule is on [S2-59]", () => {
    const of = (rule: Partial<PolicyRule>, defaults: object = starter): string =>
      compilePolicy([{ name: "l", rules: [{ id: "a", decision: "allow", ...rule }] }], defaults).snapshot;
    const base = of({});
    expect(of({ line: 7 }, { ...starter })).toBe(base);
    const others = [
      of({ decision: "deny" }),
      of({}, { ...starter, read: "deny" }),
      of({ when: { a: { equals: 1 } } }),
      of({ time: { until: 1 } }),
      of({ after: { plugin: "x", withinMs: 1 } }),
    ];
    expect(new Set([base, ...others]).size).toBe(others.length + 1);
  });
});

describe("temporary rules", () => {
  const temporary = (decision: Decision): PolicyLayer => ({
    name: "overrides",
    temporary: true,
    rules: [{ id: "override", decision }],
  });
  const rule = (decision: Decision): PolicyLayer => ({ name: "config", rules: [{ id: "rule", decision }] });

  it.each<[string, readonly PolicyLayer[], Effect, Decision]>([
    ["lifts the question of a default", [temporary("allow")], "external", "allow"],
    ["lifts no deny of a default", [temporary("allow")], "destructive", "deny"],
    ["turns no deny of a default into a question", [temporary("require_approval")], "destructive", "deny"],
    ["lifts no deny of a rule", [temporary("allow"), rule("deny")], "read", "deny"],
    ["lifts no question of a rule", [temporary("allow"), rule("require_approval")], "read", "require_approval"],
    ["asks where a rule allows", [temporary("require_approval"), rule("allow")], "read", "require_approval"],
    ["denies where a rule allows", [temporary("deny"), rule("allow")], "read", "deny"],
  ])("%s", (_, layers, effect, decision) => {
    expect(layered(layers, { query: { effect } }).decision).toBe(decision);
    expect(layered(layers.toReversed(), { query: { effect } }).decision).toBe(decision);
  });
});

describe("properties of decisions", () => {
  const decision = fc.constantFrom(...STRENGTH);
  const rule = fc.record(
    {
      id: fc.string(),
      tool: fc.constantFrom("weather__forecast", "weather__*", "other__x"),
      plugin: fc.constantFrom("weather", "other"),
      agent: fc.constantFrom("local", "other"),
      when: fc.constantFrom({ a: { equals: 1 } }, { a: { not: { equals: 1 } } }, { "b[*]": { prefix: "x" } }),
      time: fc.constantFrom({ until: NOON }, { from: NOON }, { hours: ["11:00-13:00"] }),
      after: fc.constantFrom({ plugin: "crm", withinMs: 120_000 }, { effect: ["write" as const], withinMs: 120_000 }),
      decision,
    },
    { requiredKeys: ["id", "decision"] },
  );
  const layer = fc.record(
    {
      name: fc.constant("l"),
      agent: fc.constantFrom("local", "other"),
      temporary: fc.boolean(),
      rules: fc.array(rule, { maxLength: 6 }),
    },
    { requiredKeys: ["name", "rules"] },
  );
  const layers = fc.array(layer, { maxLength: 4 });
  const call = fc.record({
    input: fc.constantFrom({}, { a: 1 }, { a: 2 }, { a: "1", b: [] }, { b: ["x", "y"] }),
    now: fc.constantFrom(NOON - 1, NOON),
    certain: fc.boolean(),
    earlier: fc.constantFrom([], [seen()], [seen({ effect: "write", plugin: "mail" })]),
    query: fc.record({ effect: fc.constantFrom<Effect>("read", "write", "external", "destructive") }),
  });

  it("never widen by a deny that is added, in whichever layer", () => {
    fc.assert(
      fc.property(layers, layer, rule, call, (all, where, added, one) => {
        const denying: PolicyLayer = { ...where, rules: [...where.rules, { ...added, decision: "deny" }] };
        expect(strength(layered([...all, denying], one))).toBeGreaterThanOrEqual(
          strength(layered([...all, where], one)),
        );
      }),
    );
  });

  it("never depend on the order of layers, nor on that of rules, nor on how rules are spread over like layers", () => {
    fc.assert(
      fc.property(layers, call, fc.infiniteStream(fc.nat()), (all, one, random) => {
        const expected = strength(layered(all, one));
        const shuffled = shuffle(
          all.map((each) => ({ ...each, rules: shuffle(each.rules, random) })),
          random,
        );
        expect(strength(layered(shuffled, one))).toBe(expected);
        const spread = all.flatMap((each) => each.rules.map((only) => ({ ...each, rules: [only] })));
        expect(strength(layered(spread, one))).toBe(expected);
      }),
    );
  });

  it("never let a temporary layer beat what is denied without it", () => {
    fc.assert(
      fc.property(layers, layer, call, (all, added, one) => {
        fc.pre(layered(all, one).decision === "deny");
        expect(layered([...all, { ...added, temporary: true }], one).decision).toBe("deny");
      }),
    );
  });

  it("are the same whether rules are looked up by an argument's text or asked one by one", () => {
    const texts = fc.constantFrom("a", "b", "\u00fc", "u\u0308");
    const one = fc.record({
      id: fc.uuid(),
      when: fc.oneof(
        fc.record({ x: fc.record({ equals: texts }) }),
        fc.record({ x: fc.record({ in: fc.array(texts, { minLength: 1 }), optional: fc.boolean() }) }),
        fc.record({ x: fc.record({ equals: texts }), y: fc.record({ min: fc.constantFrom(0, 1) }) }),
        fc.record({ x: fc.record({ in: fc.constantFrom<(string | number)[]>(["a", 1]) }) }),
        fc.record({ x: fc.record({ equals: texts, ignore_case: fc.boolean() }) }),
      ),
      decision,
    });
    const input = fc.record(
      {
        x: fc.oneof(texts, fc.constantFrom<unknown>("A", "c", "a\u200b", 1, null, ["a"])),
        y: fc.constantFrom(0, 1, "1"),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(one, { minLength: 40, maxLength: 60 }), input, (rules, given) => {
        const compiled = compilePolicy([{ name: "l", rules }], { external: "allow" }).forTool(query);
        const facts = { input: given, time: { now: NOON, certain: true }, flow: createFlowMemory(0) };
        const met = compiled.explain(facts).filter((each) => each.met !== "no");
        const strictest = Math.max(
          0,
          ...met.map((each) =>
            each.met === "unclear" && each.rule.decision === "allow" ? 0 : STRENGTH.indexOf(each.rule.decision),
          ),
        );
        expect(strength(compiled.decide(facts))).toBe(strictest);
      }),
      { numRuns: 40 },
    );
  });

  it.each<[string, unknown, Decision]>([
    ["one of many texts", { x: "v7" }, "deny"],
    ["its other composition", { x: "u\u0308" }, "deny"],
    ["another text", { x: "w" }, "allow"],
    ["a hidden character", { x: "w\u200b" }, "deny"],
    ["a number", { x: 7 }, "deny"],
    ["nothing", {}, "deny"],
  ])("look %s up among many rules, and miss nothing that is unclear", (_, input, expected) => {
    const rules = ["\u00fc", ...Array.from({ length: 30 }, (__, n) => `v${n}`)].map((text): PolicyRule => ({
      id: text,
      when: { x: { equals: text } },
      decision: "deny",
    }));
    expect(decide(rules, { input }, { external: "allow" }).decision).toBe(expected);
  });

  it("are never milder than what a list of tools shows", () => {
    fc.assert(
      fc.property(layers, call, (all, one) => {
        const asked = { ...query, ...one.query };
        const shown = compilePolicy(all, starter).forTool(asked).exposed({ now: one.now, certain: one.certain });
        expect(strength(layered(all, one))).toBeGreaterThanOrEqual(strength(shown));
      }),
    );
  });
});

function shuffle<T>(items: readonly T[], random: fc.Stream<number>): T[] {
  return items
    .map((item) => ({ item, key: random.next().value ?? 0 }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
