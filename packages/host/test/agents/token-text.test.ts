import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isTokenText, newTokenText } from "../../src/host/token-text.ts";

describe("a token", () => {
  it("has a prefix by which scanners of leaked secrets know it, and is another one each time", () => {
    const made = Array.from({ length: 200 }, () => newTokenText("agent"));
    for (const token of made) expect(token).toMatch(/^sp_agent_[0-9A-Za-z]{49}$/);
    expect(newTokenText("operator")).toMatch(/^sp_op_[0-9A-Za-z]{49}$/);
    expect(new Set(made).size).toBe(made.length);
    expect(made.every(isTokenText)).toBe(true);
    // Every place of the secret takes many values: 256 bits are really in it.
    for (let at = 10; at < 9 + 43; at++) expect(new Set(made.map((token) => token[at])).size).toBeGreaterThan(30);
  });

  it("with one character changed, one missing or two swapped is seen to be none", () => {
    const token = newTokenText("agent");
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom("0", "a", "Z", "9", "_", "-", "é", "\n"), (at, char) => {
        const changed = token.slice(0, at) + char + token.slice(at + 1);
        expect(isTokenText(changed)).toBe(changed === token);
        expect(isTokenText(token.slice(0, at) + token.slice(at + 1))).toBe(false);
        const [a = "", b = ""] = token.slice(at, at + 2);
        const swapped = token.slice(0, at) + b + a + token.slice(at + 2);
        expect(isTokenText(swapped)).toBe(swapped === token);
      }),
    );
    for (const text of ["", "sp_agent_", "x".repeat(58), token.toUpperCase(), ` ${token}`, `${token}\n`])
      expect(isTokenText(text)).toBe(false);
  });
});
