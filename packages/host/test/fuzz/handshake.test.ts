import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createChallenge } from "../../src/supervisor/handshake.ts";
import { type Count, feed, tally } from "./campaign.ts";
import { smallJson } from "./lines.ts";

/** The right answer by docs/protocol.md, not by the code that checks it. */
function rightAnswer(
  { token, nonce }: { token: string; nonce: string },
  own = "ab".repeat(16),
): Record<string, unknown> {
  const transcript = `sallyport-handshake-v1\n1\n${nonce}\n${own}`;
  const mac = createHmac("sha256", Buffer.from(token, "hex")).update(transcript).digest("hex");
  return { protocol: 1, token, nonce: own, mac };
}

type Change =
  | { readonly do: "set"; readonly key: string; readonly value: unknown }
  | { readonly do: "drop"; readonly key: string }
  | { readonly do: "flip"; readonly key: "token" | "nonce" | "mac"; readonly at: number; readonly by: number }
  | { readonly do: "cut" | "pad" | "upper" | "swap"; readonly key: "token" | "nonce" | "mac" }
  | { readonly do: "replay" }
  | { readonly do: "whole"; readonly value: unknown };

const field = fc.constantFrom("token" as const, "nonce" as const, "mac" as const);
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    do: fc.constant("set" as const),
    key: fc.constantFrom("protocol", "token", "nonce", "mac", "extra", "constructor"),
    value: fc.oneof(smallJson, fc.constantFrom<unknown>("1", 2, [1], "", "0".repeat(64), "ab".repeat(16), 1)),
  }),
  fc.record({ do: fc.constant("drop" as const), key: fc.constantFrom("protocol", "token", "nonce", "mac") }),
  fc.record({ do: fc.constant("flip" as const), key: field, at: fc.nat(63), by: fc.integer({ min: 1, max: 15 }) }),
  fc.record({ do: fc.constantFrom("cut" as const, "pad" as const, "upper" as const, "swap" as const), key: field }),
  fc.constant({ do: "replay" as const }),
  fc.record({ do: fc.constant("whole" as const), value: smallJson }),
);

function apply(answer: unknown, step: Change, other: Record<string, unknown>): unknown {
  if (step.do === "whole") return step.value;
  if (step.do === "replay") return other;
  if (typeof answer !== "object" || answer === null) return answer;
  const changed = new Map<string, unknown>(Object.entries(answer));
  const given = changed.get(step.key);
  const text = typeof given === "string" ? given : "";
  if (step.do === "set") changed.set(step.key, step.value);
  if (step.do === "drop") changed.delete(step.key);
  if (step.do === "cut") changed.set(step.key, text.slice(0, -1));
  if (step.do === "pad") changed.set(step.key, `${text}0`);
  if (step.do === "upper") changed.set(step.key, text.toUpperCase());
  if (step.do === "swap") changed.set(step.key, other[step.key]);
  if (step.do === "flip") {
    const at = step.at % Math.max(1, text.length);
    const digit = (Number.parseInt(text[at] ?? "0", 16) ^ step.by).toString(16);
    changed.set(step.key, text.slice(0, at) + digit + text.slice(at + 1));
  }
  return Object.fromEntries(changed);
}

/** Whether two JSON values say the same. */
function same(a: unknown, b: unknown): boolean {
  try {
    assert.deepStrictEqual(a, b);
    return true;
  } catch {
    return false;
  }
}

const accepts = (challenge: ReturnType<typeof createChallenge>, answer: unknown): boolean => {
  try {
    challenge.check(answer);
    return true;
  } catch (error) {
    assert.equal(Reflect.get(Object(error), "code"), "handshake_failed");
    return false;
  }
};

function play({ changes, second }: { changes: readonly Change[]; second: boolean }, count: Count): void {
  const challenge = createChallenge();
  const right = rightAnswer(challenge.params);
  const other = rightAnswer(createChallenge().params, "cd".repeat(16));
  const answer = changes.reduce<unknown>((each, step) => apply(each, step, other), right);
  const isRight = same(answer, right);
  tally(count, isRight ? "right" : "wrong");
  assert.equal(accepts(challenge, answer), isRight);
  if (!second) return;
  tally(count, "second");
  assert.equal(accepts(challenge, right), false);
}

describe("the handshake, answered by a stranger", () => {
  it("takes the one right answer, once, and nothing that differs from it in anything [S1-9]", async () => {
    const answers = fc.record({ changes: fc.array(change, { maxLength: 3 }), second: fc.boolean() });
    const count = await feed("handshake", { short: 3000, share: 0.2 }, answers, play);
    expect(count.kinds.get("right")).toBeGreaterThan(50);
    expect(count.kinds.get("wrong")).toBeGreaterThan(500);
  });

  it("gives each launch a token and a nonce of its own", () => {
    const all = Array.from({ length: 500 }, () => createChallenge().params);
    expect(new Set(all.flatMap(({ token, nonce }) => [token, nonce])).size).toBe(1000);
    for (const { token, nonce } of all) expect([token, nonce].join()).toMatch(/^[0-9a-f]{64},[0-9a-f]{32}$/);
  });
});
