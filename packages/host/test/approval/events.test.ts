import { expect, it } from "vitest";
import type { CallBinding } from "../../src/approval/binding.ts";
import { usedEvent } from "../../src/approval/events.ts";
import { canonicalJson, sha256 } from "../../src/kernel/index.ts";

it("has a digest of what it keeps, and none of an input from which a secret was taken out", () => {
  const sent = { pin: "4711" };
  const event = (kept: unknown) => {
    const binding: Partial<CallBinding> = {
      caller: { kind: "agent", agent: "one" },
      tool: "demo__open",
      input: kept,
      inputDigest: sha256(canonicalJson(sent)),
    };
    return usedEvent("apr_1", binding as CallBinding, { callId: "call_1", time: 0 });
  };
  expect(event(sent).input_digest).toBe(sha256(canonicalJson(sent)));
  expect(event({ pin: "[secret PIN]" }).input_digest).toBeUndefined();
});
