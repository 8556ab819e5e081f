import { describe, expect, it } from "vitest";
import { type CallBinding, coversInput, isAbout, rulesText } from "../../src/approval/binding.ts";
import type { Caller } from "../../src/kernel/index.ts";
import type { StoredApproval } from "../../src/store/index.ts";

const PLUGIN = { id: "weather", version: "1.0.0", digest: "sha256:t" };
const VIA = {
  plugin: { id: "trip", version: "1.0.0", digest: "sha256:v" },
  callId: "call_1",
  depth: 1,
  chain: ["trip__plan"],
};

const binding = (change: Partial<CallBinding> = {}): CallBinding => ({
  plugin: PLUGIN,
  tool: "weather__forecast",
  definitionDigest: "sha256:d",
  caller: { kind: "agent", agent: "local", operator: "ann", via: VIA },
  inputDigest: "sha256:i",
  value: {},
  input: {},
  effect: "write",
  scopes: [],
  policySnapshot: "sha256:p",
  rules: ["default:write"],
  ...change,
});

const given: StoredApproval = {
  id: "apr_1",
  kind: "call",
  state: "approved",
  createdAt: 1,
  expiresAt: 2,
  decidedAt: 1,
  decidedBy: "ann",
  reason: null,
  plugin: PLUGIN,
  tool: "weather__forecast",
  agent: "local",
  operator: "ann",
  token: null,
  via: { plugin: VIA.plugin, chain: VIA.chain },
  inputDigest: "sha256:i",
  definitionDigest: "sha256:d",
  policySnapshot: "sha256:p",
  rule: "default:write",
  input: {},
  facts: null,
  scope: null,
  usesLeft: 1,
  uses: 0,
  endedAt: null,
  endedBy: null,
  endedReason: null,
  sentence: "",
};

const isCovered = (call: CallBinding, approval = given): boolean =>
  isAbout(approval, call) && coversInput(approval, call);
const by = (caller: Partial<Caller>): CallBinding => {
  const { operator: _, via: __, ...rest } = binding().caller;
  return binding({ caller: { operator: "ann", via: VIA, ...rest, ...caller, kind: "agent" } });
};
const { operator: _operator, ...withoutOperator } = binding().caller;
const { via: _via, ...withoutVia } = binding().caller;

describe("a yes to a call", () => {
  it("covers the same call again, whichever call of the plugin asked", () => {
    expect(isCovered(binding())).toBe(true);
    expect(isCovered(by({ via: { ...VIA, callId: "call_2" } }))).toBe(true);
    expect(isCovered(by({ token: "tok_1" }))).toBe(true);
  });

  it.each<[string, CallBinding]>([
    ["tool", binding({ tool: "weather__other" })],
    ["definition", binding({ definitionDigest: "sha256:e" })],
    ["plugin's bytes", binding({ plugin: { ...PLUGIN, digest: "sha256:u" } })],
    ["plugin's version", binding({ plugin: { ...PLUGIN, version: "1.0.1" } })],
    ["plugin", binding({ plugin: { ...PLUGIN, id: "other" } })],
    ["agent", by({ agent: "bot" })],
    ["operator", by({ operator: "bob" })],
    ["operator, who is gone", binding({ caller: { ...withoutOperator, kind: "agent" } })],
    ["way that it came", binding({ caller: { ...withoutVia, kind: "agent" } })],
    ["plugin that asks", by({ via: { ...VIA, plugin: { ...VIA.plugin, digest: "sha256:w" } } })],
    ["chain", by({ via: { ...VIA, chain: ["other__plan", "trip__plan"] } })],
    ["input", binding({ inputDigest: "sha256:j" })],
    ["rule that asks", binding({ rules: ["flow:send"] })],
    ["rule that asks too", binding({ rules: ["default:write", "flow:send"] })],
  ])("covers no call with another %s", (_what, call) => {
    expect(isCovered(call)).toBe(false);
  });

  it("answers the rule that asked, under whatever policy; one from before rules were kept, only the same policy", () => {
    expect(isCovered(binding({ policySnapshot: "sha256:q" }))).toBe(true);
    const both = { ...given, rule: rulesText({ rules: ["default:write", "flow:send"] }) };
    expect(isCovered(binding(), both)).toBe(true);
    const many = Array.from({ length: 200 }, (_value, index) => `config.yml policy.rules[${index}]`);
    const all = { ...given, rule: rulesText({ rules: many }) };
    expect(all.rule.length).toBeLessThan(200);
    expect([many, many.slice(1), many.slice(0, 1)].map((rules) => isCovered(binding({ rules }), all))).toEqual([
      true,
      false,
      false,
    ]);
    const old = { ...given, rule: null };
    expect([isCovered(binding(), old), isCovered(binding({ policySnapshot: "sha256:q" }), old)]).toEqual([true, false]);
  });

  it("is none when it answers a plugin's permissions", () => {
    expect(isCovered(binding(), { ...given, kind: "plugin" })).toBe(false);
  });

  it("to more covers nothing when what is kept of it cannot be read", () => {
    const other = binding({ inputDigest: "sha256:j", value: { city: "Bern" } });
    const wide = (match: Record<string, unknown>) => ({ ...given, input: { city: "Basel" }, scope: { match } });
    expect(isCovered(other, wide({ city: { glob: "B*" } }))).toBe(true);
    for (const match of [{ city: { regex: ".*" } }, { "ci ty": "x" }, { city: {} }, { "city[": "Bern" }])
      expect(isCovered(other, wide(match))).toBe(false);
  });

  it("to some items of a list covers lists of such items alone", () => {
    const call = (items: unknown) => binding({ inputDigest: "sha256:j", value: { items, to: "me" } });
    const wide = (input: unknown) => ({ ...given, input, scope: { match: { "items[*].id": { max: 9 } } } });
    const asked = wide({ items: [{ id: 1, n: "a" }], to: "me" });
    expect(isCovered(call([{ id: 9, n: "a" }]), asked)).toBe(true);
    for (const items of [
      [{ id: 10, n: "a" }],
      [{ id: 2, n: "b" }],
      [
        { id: 2, n: "a" },
        { id: 3, n: "a" },
      ],
      [],
      "x",
    ])
      expect(isCovered(call(items), asked)).toBe(false);
  });
});
