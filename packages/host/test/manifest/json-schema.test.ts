import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkSchema, compileSchema, type JsonSchema } from "../../src/manifest/index.ts";
import { linearPattern } from "../../src/manifest/json-schema/index.ts";
import { refusal } from "./support.ts";

const accepts = (schema: JsonSchema, value: unknown): boolean => compileSchema(schema).check(value).ok;
const chain = (length: number, body: (next: string) => unknown): JsonSchema => ({
  $ref: "#/$defs/a0",
  $defs: Object.fromEntries(
    Array.from({ length }, (_, index) => [
      `a${index}`,
      index === length - 1 ? { type: "string" } : body(`#/$defs/a${index + 1}`),
    ]),
  ),
});

describe("checkSchema", () => {
  it.each<[string, unknown, string]>([
    ["an unknown keyword", { type: "object", widget: "x" }, "widget"],
    ["$id", { $id: "https://a.test/x" }, "$id"],
    ["a remote $ref", { $ref: "https://a.test/x" }, "$ref"],
    ["a $ref to itself", { properties: { a: { $ref: "#" } } }, "properties.a.$ref"],
    ["a $ref to nowhere", { $ref: "#/$defs/a" }, "$ref"],
    ["a $ref into a prototype", { $ref: "#/$defs/__proto__", $defs: {} }, "$ref"],
    ["$dynamicRef", { $dynamicRef: "#a" }, "$dynamicRef"],
    ["unevaluatedProperties", { unevaluatedProperties: false }, "unevaluatedProperties"],
    ["uniqueItems without maxItems", { type: "array", uniqueItems: true }, "uniqueItems"],
    ["uniqueItems with a large maxItems", { type: "array", uniqueItems: true, maxItems: 257 }, "uniqueItems"],
    ["a look-ahead", { pattern: "(?=a)" }, "pattern"],
    ["a back-reference", { pattern: "(a)\\1" }, "pattern"],
    ["a pattern that is none", { pattern: "(" }, "pattern"],
    ["a pattern of ten thousand states", { pattern: "((a{30}){30}){30}" }, "pattern"],
    ["a pattern of three thousand states", { pattern: "(?:a{0,500}b{0,500}c{0,400})d" }, "pattern"],
    ["a long pattern", { pattern: "a".repeat(300) }, "pattern"],
    ["an unknown format", { format: "regex" }, "format"],
    ["a property __proto__", JSON.parse('{"properties":{"__proto__":{}}}'), "properties.__proto__"],
    ["a property toString", { properties: { toString: {} } }, "properties.toString"],
    ["a required constructor", { required: ["constructor"] }, "required"],
    ["an unknown type", { type: "date" }, "type"],
    ["a tuple in items", { items: [{}] }, "items"],
    ["a schema that is text", { properties: { a: "string" } }, "properties.a"],
    ["a negative maxLength", { maxLength: -1 }, "maxLength"],
    ["another dialect", { $schema: "http://json-schema.org/draft-04/schema#" }, "$schema"],
    ["nested definitions", { properties: { a: { $defs: {} } } }, "properties.a.$defs"],
    [
      "x-sensitive outside of a configuration",
      { properties: { a: { type: "string", "x-sensitive": true } } },
      "properties.a.x-sensitive",
    ],
    ["too much text", { description: "x".repeat(70_000) }, ""],
    ["a list", [], ""],
    ["a number", 1, ""],
  ])("refuses %s, with the path", (_, schema, path) => {
    const refused = refusal(() => checkSchema(schema));
    expect([refused.code, refused.path]).toEqual(["schema_unsupported", path]);
    expect(refused.fix).toBeTruthy();
  });

  it("refuses references that go round, or grow without bound", () => {
    expect(
      refusal(() => checkSchema({ $ref: "#/$defs/a", $defs: { a: { properties: { b: { $ref: "#/$defs/a" } } } } }))
        .message,
    ).toMatch(/itself/);
    expect(
      refusal(() => checkSchema(chain(14, (next) => ({ allOf: [{ $ref: next }, { $ref: next }] })))).message,
    ).toMatch(/too large/);
    expect(
      refusal(() =>
        checkSchema(chain(9, (next) => ({ properties: { a: { $ref: next }, b: { $ref: next }, c: { $ref: next } } }))),
      ).message,
    ).toMatch(/too large/);
    expect(() =>
      checkSchema(chain(6, (next) => ({ properties: { a: { $ref: next }, b: { $ref: next } } }))),
    ).not.toThrow();
  });

  it("refuses depth and number of parts", () => {
    let deep: JsonSchema = { type: "string" };
    for (let depth = 0; depth < 40; depth++) deep = { items: deep };
    expect(refusal(() => checkSchema(deep)).message).toMatch(/nested deeper/);
    expect(refusal(() => checkSchema({ anyOf: Array.from({ length: 1_100 }, () => true) })).message).toMatch(
      /parts|too large/,
    );
  });

  it("answers any JSON at all with an error of ours or nothing", () => {
    const keyword = fc.constantFrom(
      "type",
      "properties",
      "items",
      "$ref",
      "$defs",
      "allOf",
      "pattern",
      "required",
      "enum",
      "uniqueItems",
      "maxItems",
      "if",
      "x-use",
    );
    fc.assert(
      fc.property(fc.dictionary(keyword, fc.jsonValue({ maxDepth: 3 })), (schema) => {
        try {
          checkSchema(schema);
        } catch (error) {
          expect(error).toMatchObject({ code: "schema_unsupported" });
          return;
        }
        expect(typeof compileSchema(schema).check(null).ok).toBe("boolean");
      }),
      { numRuns: 1000 },
    );
  });
});

describe("compileSchema", () => {
  it.each<[JsonSchema, unknown, boolean]>([
    [
      {
        type: "object",
        properties: { a: { type: "string", maxLength: 2 } },
        required: ["a"],
        additionalProperties: false,
      },
      { a: "x" },
      true,
    ],
    [{ type: "object", properties: { a: { type: "string" } }, additionalProperties: false }, { a: "x", b: 1 }, false],
    [
      { type: "object", properties: { a: { type: "string" } }, additionalProperties: false },
      JSON.parse('{"__proto__":{"a":1}}'),
      false,
    ],
    [{ type: "object", required: ["a"] }, {}, false],
    [{ type: "integer" }, "1", false],
    [{ type: "number" }, Number.NaN, false],
    [
      { type: "array", uniqueItems: true, maxItems: 3 },
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
      false,
    ],
    [{ type: "array", uniqueItems: true, maxItems: 3 }, [1, "1", true], true],
    [{ $schema: "https://json-schema.org/draft/2020-12/schema", type: "string" }, "x", true],
    [{ $schema: "http://json-schema.org/draft-07/schema#", type: "string" }, 1, false],
    [{ $ref: "#/$defs/p", $defs: { p: { type: "integer", minimum: 3 } } }, 2, false],
    [{ properties: { a: { $ref: "#/definitions/p" } }, definitions: { p: { type: "integer" } } }, { a: 1 }, true],
    [{ prefixItems: [{ type: "string" }], items: { type: "integer" } }, ["a", 1, 2], true],
    [{ prefixItems: [{ type: "string" }], items: { type: "integer" } }, ["a", "b"], false],
    [{ patternProperties: { "^x-": { type: "integer" } }, additionalProperties: false }, { "x-a": 1 }, true],
    [{ patternProperties: { "^x-": { type: "integer" } }, additionalProperties: false }, { y: 1 }, false],
    [{ if: { properties: { k: { const: "a" } } }, then: { required: ["v"] } }, { k: "a" }, false],
    [{ dependentRequired: { a: ["b"] } }, { a: 1 }, false],
    [true, 1, true],
    [false, 1, false],
  ])("%j checks %j: %s", (schema, value, ok) => expect(accepts(schema, value)).toBe(ok));

  it("says where and what, without the value", () => {
    const schema: JsonSchema = {
      type: "object",
      properties: {
        list: {
          type: "array",
          items: { type: "object", properties: { "a b": { type: "string" } }, additionalProperties: false },
        },
      },
    };
    const answer = compileSchema(schema).check({ list: [{}, { "a b": 1_234_567 }] });
    expect(answer).toEqual({ ok: false, problems: [{ path: 'list[1]["a b"]', problem: "must be string" }] });
    const unknown = compileSchema(schema).check({ list: [{ "evil\u202e": "hunter2" }] });
    expect(unknown).toEqual({
      ok: false,
      problems: [{ path: "list[0]", problem: 'has the unknown property "evil\\\\u{202e}"' }],
    });
  });

  it("bounds the problems that it lists", () => {
    const schema: JsonSchema = { anyOf: Array.from({ length: 100 }, (_, index) => ({ const: index })) };
    const answer = compileSchema(schema).check("x");
    expect(answer.ok ? [] : answer.problems.length).toBe(10);
  });

  it("changes nothing: no defaults, no coercion", () => {
    const value = { n: "1" };
    expect(accepts({ type: "object", properties: { n: { type: "integer" }, d: { default: 1 } } }, value)).toBe(false);
    expect(value).toEqual({ n: "1" });
  });

  it("compiles the same schema once, and never a schema that was changed behind its back", () => {
    const schema = { type: "object", properties: { a: { type: "string" } } };
    const first = compileSchema(schema);
    expect(compileSchema(structuredClone(schema))).toBe(first);
    schema.properties.a.type = "integer";
    expect(compileSchema(schema)).not.toBe(first);
    expect(accepts(schema, { a: 1 })).toBe(true);
    expect(first.check({ a: "x" }).ok).toBe(true);
  });

  it.each<[string, unknown[], unknown[]]>([
    ["date", ["2024-02-29", "1999-12-31"], ["2023-02-29", "2024-13-01", "24-01-01", "2024-01-01T00:00:00Z"]],
    ["time", ["10:00:00Z", "10:00:00.5+02:00"], ["10:00:00", "25:00:00Z", "10:00"]],
    ["date-time", ["2024-01-01T00:00:00Z"], ["2024-01-01 00:00:00Z", "2024-01-01", "2024-01-01T00:00:00"]],
    ["duration", ["P1D", "PT5M", "P2W"], ["P", "PT", "1D", "P1D2W"]],
    ["email", ["a.b@example.com"], ["a", "a@", "@b", "a..b@example.com", "a b@example.com"]],
    ["hostname", ["example.com"], ["exa mple.com", "-a.com", ""]],
    ["ipv4", ["192.0.2.1"], ["192.0.2", "256.0.0.1", "01.0.0.1"]],
    ["ipv6", ["2001:db8::1"], ["2001:db8", "192.0.2.1", "::1%eth0"]],
    ["uri", ["https://a.test/x?y#z", "urn:a:b"], ["a.test", "https://a b", "/x"]],
    ["uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567", "g23e4567-e89b-12d3-a456-426614174000"]],
    ["json-pointer", ["", "/a/b~1c"], ["a", "/~2"]],
    ["base64", ["", "YQ=="], ["YQ=", "Y Q=", "é==="]],
  ])("knows the format %s", (format, good, bad) => {
    for (const text of good) expect([text, accepts({ format }, text)]).toEqual([text, true]);
    for (const text of bad) expect([text, accepts({ format }, text)]).toEqual([text, false]);
    expect(accepts({ format }, `${"a".repeat(1_000_000)}!`)).toBe(false);
  });
});

describe("patterns", () => {
  it("reads them as ECMAScript does", () => {
    const atom = fc.constantFrom(
      "a",
      "b",
      ".",
      "\\d",
      "\\w",
      "\\s",
      "\\S",
      "[ab]",
      "[^a]",
      "[\\s\\d]",
      "[a&&b]",
      "[[a]",
      "\\u0061",
      "\\x62",
      "\\u{63}",
      "\\n",
      "\\/",
      "\\.",
      "\\b",
      "^",
      "$",
      "(?:a|b)",
      "(a)",
      "(?<n>b)",
      "é",
      "\\p{L}",
      "|",
      "\\v",
    );
    const times = fc.constantFrom("", "", "*", "+", "?", "{2}", "{1,2}", "*?");
    const pattern = fc
      .array(
        fc.tuple(atom, times).map(([one, many]) => one + (/^(?:\^|\$|\||\\b)$/.test(one) ? "" : many)),
        { maxLength: 5 },
      )
      .map((parts) => parts.join(""));
    const text = fc.string({
      unit: fc.constantFrom(
        "a",
        "b",
        "c",
        "&",
        "[",
        "1",
        " ",
        "\n",
        "\r",
        "\u00a0",
        "\u2028",
        "\ufeff",
        "\v",
        "é",
        "😀",
        "/",
        ".",
      ),
      maxLength: 6,
    });
    let compared = 0;
    fc.assert(
      fc.property(pattern, fc.array(text, { minLength: 5, maxLength: 10 }), (source, texts) => {
        let native: RegExp;
        try {
          native = new RegExp(source, "u");
        } catch {
          expect(() => linearPattern(source)).toThrow();
          return;
        }
        const linear = linearPattern(source);
        for (const one of texts) {
          compared++;
          expect([source, one, linear.test(one)]).toEqual([source, one, native.test(one)]);
        }
      }),
      { numRuns: 800 },
    );
    expect(compared).toBeGreaterThan(2_000);
  });

  it("keeps the patterns of one schema, and of two, apart", () => {
    const schema: JsonSchema = { properties: { a: { pattern: "^a$" }, b: { pattern: "^b$" } } };
    expect([accepts(schema, { a: "a", b: "b" }), accepts(schema, { a: "b" }), accepts(schema, { b: "a" })]).toEqual([
      true,
      false,
      false,
    ]);
    expect([accepts({ pattern: "^c$" }, "c"), accepts({ pattern: "^c$" }, "a")]).toEqual([true, false]);
  });

  it.each([
    "(?i)a",
    "a(?-s:.)",
    "(?<=a)b",
    "(?<!a)b",
    "(?!a)",
    "\\1",
    "[]",
    "[^]",
    "\\cA",
    "\\0",
    "\\pL",
    "\\Qa\\E",
    "\\A",
    "\\z",
    "[[:alpha:]",
    "[[:alpha:][a]",
    "\\ud800",
    "a++",
    "\\p{Script=Greek}",
  ])("refuses %s or reads it as ECMAScript", (source) => {
    let linear;
    try {
      linear = linearPattern(source);
    } catch (error) {
      expect(error).toMatchObject({ code: "schema_unsupported" });
      return;
    }
    for (const text of ["a", ":a", "ba", ":", "l", "[", "x", "1", ""])
      expect(linear.test(text)).toBe(new RegExp(source, "u").test(text));
  });
});

/* Each of these took seconds to hours elsewhere; here the test's own time limit would end it. */
describe("what was slow elsewhere", () => {
  it.each([
    ["^(a+)+$", `${"a".repeat(50_000)}!`],
    ["(x+x+)+y", "x".repeat(60_000)],
    ["^(a|a)*$", `${"a".repeat(60_000)}b`],
    ["(.*)(.*)(.*)(.*)(.*)x$", "a".repeat(60_000)],
    ["[ab]*a[ab]{80}c", `${"ab".repeat(30_000)}cab`],
  ])("is linear with %s", (pattern, text) => {
    const schema = compileSchema({ type: "string", pattern });
    for (let round = 0; round < 3; round++) expect(schema.check(text).ok).toBe(false);
  });

  it("does not match a pattern with endless text", () => {
    expect(accepts({ pattern: "^a*$" }, "a".repeat(64 * 1024))).toBe(true);
    expect(accepts({ pattern: "^a*$" }, "a".repeat(64 * 1024 + 1))).toBe(false);
  });

  it("compares unique items in one pass", () => {
    const items = Array.from({ length: 256 }, (_, index) =>
      Array.from({ length: 2_000 }, (_item, at) => (at === 1_999 ? index : 1)),
    );
    const schema = compileSchema({ type: "array", maxItems: 256, uniqueItems: true });
    expect(schema.check(items).ok).toBe(true);
    expect(schema.check([...items.slice(0, 255), items[0]]).ok).toBe(false);
  });

  it("does work in proportion to its input: reads of it are counted", () => {
    const schema: JsonSchema = {
      type: "array",
      items: { allOf: [{ $ref: "#/$defs/a" }, { $ref: "#/$defs/a" }] },
      $defs: {
        a: {
          anyOf: [
            { type: "string" },
            { type: "object", properties: { k: { type: "integer" } }, additionalProperties: false },
          ],
        },
      },
    };
    const compiled = compileSchema(schema);
    const readsFor = (length: number): number => {
      let reads = 0;
      const counted = <T extends object>(target: T): T =>
        new Proxy(target, {
          get: (object, key, receiver) => (reads++, Reflect.get(object, key, receiver)),
          ownKeys: (object) => (reads++, Reflect.ownKeys(object)),
        });
      expect(compiled.check(counted(Array.from({ length }, (_, k) => counted({ k })))).ok).toBe(true);
      return reads;
    };
    const [small, large] = [readsFor(100), readsFor(1_600)];
    expect(large / small).toBeLessThan(16.5);
  });
});
