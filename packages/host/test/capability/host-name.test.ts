import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalHost, canonicalHostPattern, hostMatches } from "../../src/capability/index.ts";

describe("canonicalHost", () => {
  it.each([
    ["API.Example.COM", "api.example.com"],
    ["api.example.com.", "api.example.com"],
    ["münchen.example", "xn--mnchen-3ya.example"],
    ["ｅxample.com", "example.com"],
    ["homeassistant.local", "homeassistant.local"],
    ["192.0.2.1", "192.0.2.1"],
    ["[2001:DB8:0::1]", "[2001:db8::1]"],
  ])("reads %s as %s", (text, host) => expect(canonicalHost(text)).toBe(host));

  it.each([
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "127.1",
    "0177.0.0.1",
    "192.168.010.1",
    "１２７.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "::1",
    "[::1",
    "[fe80::1%eth0]",
    "",
    ".",
    "a..b",
    "example.com..",
    "a b",
    "a\tb",
    "exa\u0000mple.com",
    "example.com\u0000.evil.com",
    "exa%6dple.com",
    "user@host",
    "host:80",
    "host/path",
    "host\\x",
    "host?q",
    "host#f",
    "*.example.com",
    "exam\u00adple.com",
    "exam\u200bple.com",
    "-a.com",
    "a-.com",
    `${"a".repeat(64)}.com`,
    `${"a.".repeat(130)}com`,
    "\ud800.com",
  ])("refuses %j [S0-17]", (text) => expect(() => canonicalHost(text)).toThrow(/is not a host name/));

  it("is the hostname of the URL parser, and idempotent, for everything that it accepts", () => {
    const pieces = fc.constantFrom(
      "a",
      "B",
      "example",
      "ü",
      "1",
      "0x7f",
      "127",
      ".",
      "-",
      "_",
      "com",
      ":",
      "[",
      "]",
      "%41",
      "@",
      "/",
      "ß",
      "。",
      "xn--",
      "İ",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join("")),
          fc.domain(),
          fc.ipV4(),
          fc.string({ unit: "binary" }),
        ),
        (text) => {
          let host: string;
          try {
            host = canonicalHost(text);
          } catch {
            return;
          }
          expect(new URL(`http://${text}/`).hostname.replace(/\.$/, "")).toBe(host);
          expect(canonicalHost(host)).toBe(host);
          expect(host).toMatch(/^(?:[a-z0-9_.-]+|\[[0-9a-f:]+\])$/);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("host patterns", () => {
  it("*.example.com admits subdomains only, by whole labels", () => {
    const pattern = canonicalHostPattern("*.Example.com");
    expect(hostMatches(pattern, "a.example.com")).toBe(true);
    expect(hostMatches(pattern, "a.b.example.com")).toBe(true);
    for (const host of [
      "example.com",
      "evilexample.com",
      ".example.com",
      "*.example.com",
      "a.example.com.evil.com",
      "[::1]",
    ])
      expect(hostMatches(pattern, host)).toBe(false);
  });

  it.each(["*", "*.com", "a.*.com", "*a.example.com", "**.example.com", "*.10.0.0.1", "*.*.example.com"])(
    "refuses the pattern %s",
    (text) => {
      expect(() => canonicalHostPattern(text)).toThrow(/is not a host name/);
    },
  );
});
