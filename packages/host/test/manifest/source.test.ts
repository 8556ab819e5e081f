import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SallyportError } from "../../src/kernel/index.ts";
import { readManifest } from "../../src/manifest/index.ts";
import { minimal, read, readText, refusal } from "./support.ts";

const SIZE = 256 * 1024;
const fill = (text: string): string => text.repeat(Math.floor(SIZE / text.length));

describe("hostile YAML", () => {
  it.each([
    ["open brackets", fill("[")],
    ["open maps", fill("{a: ")],
    ["sequences in one line", fill("- ")],
    ["explicit keys", fill("? ")],
    ["twenty thousand brackets", `a: ${"[".repeat(20_000)}${"]".repeat(20_000)}`],
    ["nineteen thousand dashes", "- ".repeat(19_000)],
    ["a staircase", Array.from({ length: 700 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n")],
    ["sixty-six levels", `a: ${"[".repeat(66)}${"]".repeat(66)}`],
    [
      "many keys",
      Array.from({ length: 25_000 }, (_, index) => `k${index}: 1`)
        .join("\n")
        .slice(0, SIZE),
    ],
    ["many items", `[${fill("a,").slice(2)}]`],
    ["many documents", fill("---\n")],
    ["empty collections", fill("[]\n")],
    ["a long key", `? ${"k".repeat(200_000)}\n: 1`],
    ["too many bytes", `a: ${"x".repeat(SIZE)}`],
  ])("refuses %s as too large", (_, text) => {
    const { code, file } = refusal(() => readText(text));
    expect([code, file]).toEqual(["manifest_too_large", "plugin.yml"]);
  });

  it.each([
    ["a bomb of anchors", "a: &a [x]\nb: [*a, *a]\n", /anchor/],
    ["ninety thousand anchors", fill("&a "), /anchor/],
    ["an alias", "a: *b\n", /alias/],
    ["a tag", "a: !!js/function 'x'\n", /tag/],
    ["a core tag", "a: !!str x\n", /tag/],
    ["a directive", "%YAML 1.1\n---\na: yes\n", /directive/],
    ["two documents", "a: 1\n---\nb: 2\n", /more than one YAML document/],
    ["a duplicate key", "id: a\nid: b\n", /there twice/],
    ["a duplicate key in flow", 'a: {b: 1, "b": 2}\n', /there twice/],
    ["a number as key", "1: a\n", /not text/],
    ["a list as key", "? [a]\n: b\n", /not text/],
    ["a boolean as key", "true: a\n", /not text/],
    ["a number beyond all", "a: 1e400\n", /too large/],
    ["not a number", "a: .nan\n", /too large, or none/],
    ["tabs", "a:\n\tb: 1\n", /line 2/],
    ["a list", "- a\n", /not a map/],
    ["nothing", "", /not a map/],
    ["a prototype", "__proto__: {admin: true}\n", /refused/],
    ["a nested constructor", "a: {constructor: {prototype: {}}}\n", /refused/],
    ["a byte order mark", "\ufeffid: a\n", /byte order mark/],
  ])("refuses %s", (_, text, problem) => {
    const { code, message, fix } = refusal(() => readText(text));
    expect(code).toBe("manifest_invalid");
    expect(message).toMatch(problem);
    expect(fix).toBeTruthy();
  });

  it("reads merge keys as unknown keys", () => {
    expect(refusal(() => readText("<<: {id: a}\n")).paths).toContain('["<<"]');
  });

  it("refuses what is not UTF-8", () => {
    for (const bytes of [
      [0xff, 0xfe, 0x69, 0x00],
      [0x61, 0x3a, 0x20, 0xc0, 0xaf],
      [0x61, 0x3a, 0x20, 0xed, 0xa0, 0x80],
    ]) {
      expect(refusal(() => readManifest({ name: "plugin.yml", bytes: new Uint8Array(bytes) })).message).toMatch(
        /UTF-8/,
      );
    }
  });
});

describe("hostile JSON", () => {
  it.each([
    ["depth", "[".repeat(200_000), "manifest_too_large"],
    ["depth in objects", '{"a":'.repeat(40_000), "manifest_too_large"],
    ["too many values", `[${"0,".repeat(100_000)}0]`, "manifest_too_large"],
    ["a number beyond all", '{"a":1e400}', "manifest_invalid"],
    ["__proto__", '{"__proto__":{"admin":true}}', "manifest_invalid"],
    ["half a surrogate", '{"a":"\\ud800"}', "manifest_invalid"],
    ["a syntax error", '{"a":1,}', "manifest_invalid"],
    ["an endless string", '{"a":"', "manifest_invalid"],
    ["a long key", `{"${"k".repeat(200_000)}":1}`, "manifest_too_large"],
  ])("refuses %s", (_, text, code) => expect(refusal(() => readText(text, "plugin.json")).code).toBe(code));

  it.each(['{"id":"a","id":"b"}', '{"id":"a","\\u0069d":"b"}', '{"a":[{"b":1,"c":{"b":2},"b":3}]}'])(
    "refuses the duplicate key of %s",
    (text) => {
      expect(refusal(() => readText(text, "plugin.json")).message).toMatch(/is there twice/);
    },
  );

  it("takes equal keys of different objects, and quotes in keys, for what they are", () => {
    expect(
      refusal(() => readText('{"a":{"b":1},"c":{"b":1},"x\\"":1,"y":"x\\":"}', "plugin.json")).message,
    ).not.toMatch(/twice/);
  });
});

describe("what people cannot see", () => {
  const hidden = [
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200d",
    "\u00ad",
    "\u0000",
    "\u001b",
    "\u2028",
    "\ufeff",
    "\u{e0041}",
  ];
  const places: readonly [string, (text: string) => unknown][] = [
    ["name", (text) => minimal({ name: text })],
    ["description", (text) => minimal({ description: text })],
    [
      "contributes.tools[0].description",
      (text) => minimal({ contributes: { tools: [{ name: "a", description: text, input_schema: {} }] } }),
    ],
    [
      "contributes.tools[0].input_schema.properties.a.description",
      (text) =>
        minimal({
          contributes: {
            tools: [
              {
                name: "a",
                description: "a",
                input_schema: { type: "object", properties: { a: { description: text } } },
              },
            ],
          },
        }),
    ],
    [
      "permissions.network[0].reason",
      (text) => minimal({ permissions: { network: [{ host: "a.test", reason: text }] } }),
    ],
    [
      "config_schema.properties.a.enum[0]",
      (text) => minimal({ config_schema: { type: "object", properties: { a: { enum: [text] } } } }),
    ],
  ];
  it.each(places)("is refused in %s, with the path", (path, place) => {
    for (const char of hidden) {
      const refused = refusal(() => read(place(`a${char}b`)));
      expect([refused.code, refused.path]).toEqual(["manifest_invalid", path]);
      expect(refused.message).toMatch(/U\+/);
      expect(refused.message).not.toContain(char);
    }
  });

  it("is refused in keys too", () => {
    expect(refusal(() => read({ ...minimal(), "na\u200bme": 1 })).code).toBe("manifest_invalid");
  });
});

describe("whatever is given", () => {
  const json = fc.jsonValue({ maxDepth: 4 });
  const mutated = fc.record({
    key: fc.constantFrom(
      "id",
      "version",
      "entry",
      "contributes",
      "permissions",
      "config_schema",
      "limits",
      "engines",
      "capabilities",
      "required_permissions",
      "actions",
      "categories",
    ),
    value: json,
  });

  it("is read, or refused with code, path and file, and never anything else", () => {
    const attempt = (run: () => unknown): void => {
      try {
        run();
      } catch (error) {
        if (!(error instanceof SallyportError)) throw error;
        expect(["manifest_invalid", "manifest_too_large", "entry_invalid", "schema_unsupported"]).toContain(error.code);
        expect(error.data).toMatchObject({ path: expect.any(String), file: expect.any(String) });
      }
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom("plugin.yml", "plugin.json"), (bytes, name) =>
        attempt(() => readManifest({ name, bytes })),
      ),
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from("[]{}:-?#&*!|>'\"%@` \n\tab1.,<~")) }), (text) =>
        attempt(() => readText(text)),
      ),
      { numRuns: 1000 },
    );
    fc.assert(fc.property(json, (value) => attempt(() => read(value))));
    fc.assert(
      fc.property(mutated, ({ key, value }) => attempt(() => read(minimal({ [key]: value })))),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(json, (value) => attempt(() => read(minimal({ permissions: value })))),
      { numRuns: 500 },
    );
  });
});
