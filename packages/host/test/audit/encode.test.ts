import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AuditEvent, encodeEvent } from "../../src/audit/index.ts";
import { canonicalJson } from "../../src/kernel/index.ts";
import { event } from "./log-home.ts";

const text = fc.string({ unit: "binary" });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const members = {
  v: fc.constant(1),
  id: text,
  time: fc.integer(),
  type: fc.constant("broker.action"),
  actor: text,
  agent: optional(text),
  plugin: optional(fc.record({ version: text, id: text, digest: text })),
  tool: optional(text),
  scope: optional(text),
  call_id: optional(text),
  parent_call: optional(text),
  phase: optional(fc.constantFrom("intent", "outcome")),
  decision: optional(fc.constantFrom("allow", "deny")),
  rule: optional(text),
  reason: optional(text),
  policy_snapshot: optional(text),
  approval: optional(text),
  isolation: optional(fc.constant("namespace")),
  contained: optional(fc.boolean()),
  outcome: optional(fc.constant("failed")),
  duration_ms: optional(fc.double({ noNaN: true, noDefaultInfinity: true })),
  input: optional(fc.jsonValue()),
  input_digest: optional(text),
  output_digest: optional(text),
  trace: optional(text),
  from: optional(text),
  to: optional(text),
  capability: optional(text),
  target: optional(text),
  method: optional(text),
  status: optional(fc.integer()),
  bytes: optional(fc.nat()),
  data: optional(fc.dictionary(text, fc.jsonValue())),
} as const satisfies Record<keyof AuditEvent, fc.Arbitrary<unknown>>;

describe("the written form of an event", () => {
  it("is canonical JSON of every member", () => {
    const events: fc.Arbitrary<AuditEvent> = fc
      .record(members)
      .map((generated) => JSON.parse(JSON.stringify(generated)));
    fc.assert(
      fc.property(events, (generated) => {
        fc.pre(JSON.stringify(generated).length < 8000);
        expect(encodeEvent(generated)).toBe(canonicalJson(generated));
      }),
      { numRuns: 300 },
    );
  });

  it("replaces lone surrogates, which have no canonical form", () => {
    const body = encodeEvent(
      event({ id: "1", reason: "a\uD800b", data: { "k\uDC00": ["\uD800"] }, input: "\\ud800 \uD800" }),
    );
    expect(body.isWellFormed()).toBe(true);
    expect(JSON.parse(body)).toMatchObject({
      reason: "a\uFFFDb",
      data: { "k\uFFFD": ["\uFFFD"] },
      input: "\\ud800 \uFFFD",
    });
  });

  it("leaves an input over 16 KiB out", () => {
    expect(
      JSON.parse(encodeEvent(event({ input: "x".repeat(16 * 1024), input_digest: "sha256:1" }))),
    ).not.toHaveProperty("input");
    expect(JSON.parse(encodeEvent(event({ input: "x".repeat(16 * 1024 - 2) })))).toHaveProperty("input");
  });

  it.each([{ data: { a: 1n } }, { data: { a: Number.NaN } }, { data: { a: "x".repeat(70_000) } }])(
    "refuses what is no small JSON",
    (change) => {
      expect(() => encodeEvent(event(change))).toThrow(expect.objectContaining({ code: "internal" }));
    },
  );
});
