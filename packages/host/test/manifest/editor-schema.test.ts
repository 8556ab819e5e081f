import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { manifestEditorSchema } from "../../src/manifest/index.ts";
import { minimal } from "./support.ts";

const file = new URL("../../../sdk/schemas/manifest.schema.json", import.meta.url);

describe("the published JSON Schema of the manifest", () => {
  it("is what the host reads with; else run npm run docs", () => {
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(JSON.parse(JSON.stringify(manifestEditorSchema())));
  });

  it("accepts a manifest, and marks unknown keys", () => {
    const validate = new Ajv2020({ strict: false }).compile(manifestEditorSchema());
    expect(validate(minimal())).toBe(true);
    expect(validate(minimal({ extra: 1 }))).toBe(false);
    expect(validate(minimal({ entry: undefined }))).toBe(false);
  });
});
