import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { generateToolTypes } from "../../src/authoring/index.ts";
import { typeOfSchema } from "../../src/authoring/schema-types.ts";
import type { JsonSchema, ToolDefinition } from "../../src/manifest/index.ts";

function tool(inputSchema: JsonSchema, more: Partial<ToolDefinition> = {}): ToolDefinition {
  return {
    name: "forecast",
    description: "Forecast for a place.",
    effect: "read",
    timeoutMs: 1000,
    inputSchema,
    ...more,
  };
}

/** Type-checks files with the workspace's compiler; the problems, or "". */
function compile(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-types-"));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
    const names = Object.keys(files).map((name) => join(folder, name));
    const options = [
      "--noEmit",
      "--strict",
      "--target",
      "es2023",
      "--module",
      "nodenext",
      "--allowImportingTsExtensions",
      "--ignoreConfig",
    ];
    const done = spawnSync(process.execPath, [compiler, ...options, ...names], { encoding: "utf8", cwd: folder });
    return done.stdout + done.stderr;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("typeOfSchema", () => {
  it.each<[unknown, string]>([
    [true, "unknown"],
    [false, "never"],
    [{}, "unknown"],
    [{ type: "string", maxLength: 80 }, "string"],
    [{ type: "integer" }, "number"],
    [{ type: ["string", "null"] }, "(string | null)"],
    [{ enum: ["a", 1, null] }, '("a" | 1 | null)'],
    [{ const: "x" }, '"x"'],
    [
      {
        type: "object",
        properties: { a: { type: "string" }, b: { type: "number" } },
        required: ["a"],
        additionalProperties: false,
      },
      "{ a: string; b?: number }",
    ],
    [{ type: "object", properties: {}, additionalProperties: false }, "Record<string, never>"],
    [{ type: "object", properties: { a: { type: "string" } } }, "{ a?: string; [key: string]: unknown }"],
    [{ type: "object", additionalProperties: { type: "number" } }, "{ [key: string]: number }"],
    [{ type: "array", items: { type: "number" } }, "Array<number>"],
    [{ type: "array" }, "Array<unknown>"],
    [
      { type: "array", prefixItems: [{ type: "number" }, { type: "string" }], items: false, minItems: 1 },
      "[number, (string)?]",
    ],
    [{ anyOf: [{ type: "string" }, { type: "number" }] }, "(string | number)"],
    [{ oneOf: [{ const: 1 }, { const: 2 }] }, "(1 | 2)"],
    [
      {
        allOf: [
          { type: "object", required: ["a"] },
          { type: "object", properties: { b: { type: "number" } } },
        ],
      },
      "{ a: unknown; [key: string]: unknown } & { b?: number; [key: string]: unknown }",
    ],
    [{ $ref: "#/$defs/point", $defs: { point: { type: "string" } } }, "string"],
    [{ $ref: "#/$defs/missing" }, "unknown"],
    [
      { type: "object", properties: { "with space": {}, 'quote"': {} }, additionalProperties: false },
      '{ "with space"?: unknown; "quote\\""?: unknown }',
    ],
  ])("writes %j as %s", (schema, type) => {
    expect(typeOfSchema(schema)).toBe(type);
  });

  it("ends for a schema that refers to itself", () => {
    expect(
      typeOfSchema({ $ref: "#/$defs/a", $defs: { a: { type: "array", items: { $ref: "#/$defs/a" } } } }),
    ).toContain("unknown");
  });
});

describe("generateToolTypes", () => {
  it("writes one member for each tool, in the manifest's order, always the same", () => {
    const tools = [
      tool(
        { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
        { outputSchema: { type: "number" } },
      ),
      tool(true, { name: "a_b" }),
    ];
    expect(generateToolTypes({ tools })).toBe(generateToolTypes({ tools }));
    expect(generateToolTypes({ tools })).toMatchInlineSnapshot(`
      "// Written by "sallyport plugin types" from the manifest. Do not edit; run it again instead.

      export interface ToolTypes {
        /** Forecast for a place. */
        forecast: {
          input: { city: string };
          output: number;
        };

        /** Forecast for a place. */
        a_b: {
          input: unknown;
          output: unknown;
        };
      }
      "
    `);
  });

  it("lets no hostile text out of comments and literals", () => {
    const evil = '*/ } declare const stolen: 1; /* \u2028 \u202e " \\" ${x} ` \n // ';
    const tools = [
      tool(
        {
          type: "object",
          properties: { [evil]: { const: evil }, "a*/b": { enum: [evil, "*/"] } },
          required: [evil],
          additionalProperties: false,
        },
        { description: evil },
      ),
    ];
    const text = generateToolTypes({ tools });
    expect(text).not.toMatch(/[^\x20-\x7e\n…]/);
    // The description's text is only in the comment; the names and values only in literals, where TypeScript reads them back as they were.
    const check = `import type { ToolTypes } from "./types.ts";\nexport const input: ToolTypes["forecast"]["input"] = { [${JSON.stringify(evil)}]: ${JSON.stringify(evil)} };\nexport type Only = keyof ToolTypes extends "forecast" ? true : never;\nexport const only: Only = true;\n`;
    expect(
      compile({
        "types.ts": text,
        "check.ts": `${check}// @ts-expect-error no such thing was declared\nexport const nothing: typeof stolen = 1;\n`,
      }),
    ).toBe("");
  });

  it("is what the compiler holds authors to", () => {
    const types = generateToolTypes({
      tools: [
        tool(
          { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
          { outputSchema: { type: "object", properties: { celsius: { type: "number" } }, required: ["celsius"] } },
        ),
      ],
    });
    const good =
      'import type { ToolTypes } from "./types.ts";\nexport const f = ({ city }: ToolTypes["forecast"]["input"]): ToolTypes["forecast"]["output"] => ({ celsius: city.length });\n';
    const bad = good.replace("city.length", "city");
    expect(compile({ "types.ts": types, "good.ts": good })).toBe("");
    expect(compile({ "types.ts": types, "bad.ts": bad })).toContain("TS2322");
  });
});
