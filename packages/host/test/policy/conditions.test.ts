import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkConditions,
  compileConditions,
  type Condition,
  parseConditionArguments,
  readConditions,
} from "../../src/policy/index.ts";

/** "yes" and "no" are certain; "unclear" neither allows nor escapes a deny. */
function asked(condition: Condition, value: unknown): "yes" | "no" | "unclear" {
  const compiled = compileConditions({ value: condition });
  const input = value === undefined ? {} : { value };
  if (compiled.matches(input)) return "yes";
  return compiled.mayMatch(input) ? "unclear" : "no";
}

describe("conditions on arguments", () => {
  it.each<[string, Condition, unknown, string]>([
    ["equal text", { equals: "Bern" }, "Bern", "yes"],
    ["other text", { equals: "Bern" }, "Basel", "no"],
    ["text where a number is wanted", { equals: 5 }, "5", "unclear"],
    ["nothing there", { equals: "Bern" }, undefined, "unclear"],
    ["another composition of the same text", { equals: "Zu\u0308rich" }, "Z\u00fcrich", "yes"],
    ["an invisible character", { equals: "Bern" }, "Be\u200brn", "unclear"],
    ["either case when asked", { equals: "BERN", ignore_case: true }, "bern", "yes"],
    ["one of a set", { in: ["a", 1, null] }, 1, "yes"],
    ["none of a set", { in: ["a", 1, null] }, "b", "no"],
    ["a list where a text is wanted", { in: ["a"] }, ["a"], "unclear"],
    ["a prefix", { prefix: "ab" }, "abc", "yes"],
    ["no prefix", { prefix: "ab" }, "xab", "no"],
    ["a glob", { glob: "*@example.com" }, "a@example.com", "yes"],
    ["a glob that needs more", { glob: "a*b*c" }, "acb", "no"],
    ["a glob whose ends overlap", { glob: "ab*ba" }, "aba", "no"],
    ["a number in a range", { min: 1, max: 5 }, 5, "yes"],
    ["a number outside", { min: 1, max: 5 }, 5.01, "no"],
    ["a text for a range", { max: 5 }, "4", "unclear"],
    ["an absent argument that must be absent", { exists: false }, undefined, "yes"],
    ["a given argument that must be absent", { exists: false }, null, "no"],
    ["not", { not: { equals: "a" } }, "b", "yes"],
    ["not of what is missing", { not: { equals: "a" } }, undefined, "unclear"],
    ["optional, absent: no obstacle to an allow", { equals: "a", optional: true }, undefined, "yes"],
    ["optional, of another type", { equals: "a", optional: true }, 1, "unclear"],
  ])("knows %s", (_, condition, value, answer) => {
    expect(asked(condition, value)).toBe(answer);
  });

  it("never lets an optional argument that is absent match a deny", () => {
    expect(compileConditions({ value: { equals: "a", optional: true } }).mayMatch({})).toBe(false);
  });

  it.each([
    ["/data/a.txt", "yes"],
    ["/data//x/./a/", "yes"],
    ["/data", "yes"],
    ["/database", "no"],
    ["/other", "no"],
    ["/data/../etc/passwd", "unclear"],
    ["/other/../data/x", "unclear"],
    ["/data/%2e%2e/etc", "unclear"],
    ["/data\\..\\etc", "unclear"],
    ["data/x", "unclear"],
    ["", "unclear"],
    ["/data/a\0b", "unclear"],
    ["/data/a\nb", "unclear"],
  ])("compares the path %j as a file system would", (value, answer) => {
    expect(asked({ path: "/data/**" }, value)).toBe(answer);
  });

  it.each([
    ["https://api.example.com/v1/items", "yes"],
    ["HTTPS://API.example.COM:443/v1", "yes"],
    ["https://api.example.com./v1/items?x=1", "yes"],
    ["https://api.example.com/%76%31/items", "yes"],
    ["https://api.example.com/v2", "no"],
    ["http://api.example.com/v1", "no"],
    ["https://api.example.com:8443/v1", "no"],
    ["https://api.example.com.evil.test/v1", "no"],
    ["https://api.example.com/v1/../v2", "no"],
    ["https://api.example.com/v1/%2e%2e/v2", "no"],
    ["https://api.example.com/v1%2fx", "unclear"],
    ["https://api.example.com//v1", "unclear"],
    ["https://api.example.com@evil.test/v1", "unclear"],
    ["https:api.example.com/v1", "unclear"],
    ["https://api.exa\nmple.com/v1", "unclear"],
    ["api.example.com/v1", "unclear"],
    ["\\\\api.example.com", "unclear"],
  ])("compares the URL %j as the broker would", (value, answer) => {
    expect(asked({ url: "https://api.example.com/v1/**" }, value)).toBe(answer);
  });

  it.each([
    ["evil.test", "yes"],
    ["EVIL.test.:8080", "yes"],
    ["ftp://evil.test/x", "yes"],
    ["www.evil.test", "no"],
    ["https://user@evil.test", "unclear"],
    ["e vil.test", "unclear"],
  ])("finds the host in %j", (value, answer) => {
    expect(asked({ host: "evil.test" }, value)).toBe(answer);
  });

  it("asks every item of a list for an allow, and any for a deny", () => {
    const to = compileConditions({ "to[*].mail": { glob: "*@example.com" } });
    const answer = (...mails: unknown[]): [boolean, boolean] => {
      const input = { to: mails.map((mail) => (mail === undefined ? {} : { mail })) };
      return [to.matches(input), to.mayMatch(input)];
    };
    expect(answer("a@example.com", "b@example.com")).toEqual([true, true]);
    expect(answer("a@example.com", "b@evil.test")).toEqual([false, true]);
    expect(answer("b@evil.test")).toEqual([false, false]);
    expect(answer("b@evil.test", undefined)).toEqual([false, true]);
    expect(answer()).toEqual([false, false]);
    expect(to.mayMatch({ to: "a@example.com" })).toBe(true);
  });

  it("reads names with dots, items by number, and nothing that was inherited", () => {
    const input = { "a.b": [{ c: 1 }, { c: 2 }] };
    expect(compileConditions({ '["a.b"][1].c': { equals: 2 } }).matches(input)).toBe(true);
    expect(compileConditions({ "constructor.name": { exists: true } }).matches(input)).toBe(false);
    expect(compileConditions({ toString: { exists: false } }).matches(input)).toBe(true);
  });

  it.each<[string, unknown]>([
    ["no operator", { a: {} }],
    ["two operators", { a: { equals: 1, prefix: "x" } }],
    ["an unknown operator", { a: { regex: "x" } }],
    ["an empty range", { a: { min: 2, max: 1 } }],
    ["a path compared as text", { a: { prefix: "/etc" } }],
    ["a URL compared as text", { a: { glob: "https://x/*" } }],
    ["a relative path pattern", { a: { path: "etc/**" } }],
    ["** in the middle", { a: { path: "/a/**/b" } }],
    ["a URL pattern without a scheme", { a: { url: "api.example.com/**" } }],
    ["no argument path", { "": 1 }],
    ["a step that is none", { "a..b": 1 }],
    ["a list of the whole input", { "[*]": 1 }],
    ["the key that records drop", JSON.parse('{"__proto__": "x"}')],
    ["code", { a: { js: "true" } }],
    ["too many conditions", Object.fromEntries(Array.from({ length: 33 }, (__, n) => [`a${n}`, 1]))],
    ["no map", ["a"]],
  ])("refuses %s", (_, value) => {
    expect(() => readConditions(value)).toThrow(expect.objectContaining({ code: "usage" }));
  });

  it("takes time in proportion to a hostile text, whatever the pattern", () => {
    const glob = `*${"a".repeat(200)}b*${"a".repeat(200)}c*`;
    const steps = compileConditions({ value: { glob } });
    expect(steps.matches({ value: "a".repeat(1_000_000) })).toBe(false);
  });

  it("matches a glob as a plain search of its parts would", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 8 });
    const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 });
    fc.assert(
      fc.property(letters, text, (glob, value) => {
        fc.pre(glob.length > 0);
        const expected = new RegExp(`^${glob.replaceAll("*", ".*")}$`).test(value);
        expect(asked({ glob }, value)).toBe(expected ? "yes" : "no");
      }),
    );
  });

  it("never both allows by a condition and escapes a deny by the same", () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant(undefined), fc.array(fc.string()));
    const condition = fc.oneof(
      fc.record({ equals: fc.constantFrom<string | number>("a", 1) }),
      fc.record({ path: fc.constantFrom("/**", "/a/*") }),
      fc.record({ host: fc.constantFrom("a.test", "*.a.test") }),
      fc.record({ not: fc.record({ in: fc.constantFrom(["a"], ["b", "c"]) }) }),
    );
    fc.assert(
      fc.property(condition, value, (one, given) => {
        const compiled = compileConditions({ value: one });
        const input = given === undefined ? {} : { value: given };
        expect(compiled.matches(input) && !compiled.mayMatch(input)).toBe(false);
      }),
    );
  });
});

describe("conditions of a command line", () => {
  it("reads values, patterns and ranges", () => {
    expect(parseConditionArguments(["city=Be*", "file=/data/**", "n>=1", "n<=5", "to=a", "k=7"])).toEqual({
      city: { glob: "Be*" },
      file: { path: "/data/**" },
      n: { min: 1, max: 5 },
      to: { equals: "a" },
      k: { in: ["7", 7] },
    });
    expect(parseConditionArguments(["u=https://a.test/**"])).toEqual({ u: { url: "https://a.test/**" } });
  });

  it.each([["city"], ["n<=x"], ["a=1", "a=2"], ["n<=1", "n<=2"], ["f=/a/**/b"]])("refuses %j", (...texts) => {
    expect(() => parseConditionArguments(texts)).toThrow(expect.objectContaining({ code: "usage" }));
  });
});

describe("conditions against an input schema", () => {
  const schema = {
    type: "object",
    properties: {
      city: { type: "string" },
      units: { enum: ["metric", "imperial"] },
      days: { type: "integer" },
      to: { type: "array", items: { $ref: "#/$defs/person" } },
      any: { anyOf: [{ type: "string" }, { type: "number" }] },
    },
    additionalProperties: false,
    $defs: { person: { type: "object", properties: { mail: { type: "string" } }, additionalProperties: false } },
  };

  it.each<[string, Condition]>([
    ["town", { equals: "x" }],
    ["city", { min: 1 }],
    ["city", { equals: 5 }],
    ["units", { in: ["metric", "kelvin"] }],
    ["to[*].name", { equals: "x" }],
    ["to.mail", { equals: "x" }],
    ["to[*].mail", { not: { max: 3 } }],
    ["city.name", { equals: "x" }],
  ])("says that %s can never meet %j", (argument, condition) => {
    expect(checkConditions({ [argument]: condition }, schema)).toHaveLength(1);
  });

  it("says nothing of what may be met, or is left open", () => {
    const fine = {
      city: { glob: "B*" },
      units: { equals: "metric" },
      days: { max: 3 },
      "to[*].mail": { prefix: "a" },
      any: { equals: 3 },
      "any.more": { equals: 1 },
    };
    expect(checkConditions(fine, schema)).toEqual([]);
    expect(checkConditions({ town: { equals: 1 } }, true)).toEqual([]);
  });
});
