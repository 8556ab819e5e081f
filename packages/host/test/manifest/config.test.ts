import { describe, expect, it } from "vitest";
import { MASK, maskConfig, sensitiveKeys, validateConfig } from "../../src/manifest/index.ts";
import { minimal, read, refusal } from "./support.ts";

const schema = {
  type: "object",
  properties: {
    units: { enum: ["metric", "imperial"], default: "metric" },
    retries: { type: "integer", minimum: 0 },
    token: { type: "string", "x-sensitive": true, "x-use": { origin: "https://a.test", in: "basic" } },
  },
};

describe("configuration", () => {
  it("is checked with config_schema before anything starts [S2-26] [S4-19] [S4-24]", () => {
    expect(validateConfig(schema, { retries: 3 })).toEqual({ units: "metric", retries: 3 });
    for (const values of [{ retries: -1 }, { retries: "3" }, { units: "kelvin" }])
      expect(refusal(() => validateConfig(schema, values)).code).toBe("plugin_config_invalid");
    expect(refusal(() => validateConfig(schema, { retries: -1 })).path).toBe("retries");
  });

  it("has no unknown keys, unless the schema allows them in so many words [S2-27] [S4-21]", () => {
    expect(refusal(() => validateConfig(schema, { colour: "red" })).message).toMatch(/unknown property "colour"/);
    expect(refusal(() => validateConfig({}, { a: 1 })).code).toBe("plugin_config_invalid");
    expect(validateConfig({ ...schema, additionalProperties: true }, { colour: "red" })).toEqual({
      units: "metric",
      colour: "red",
    });
    expect(validateConfig(true, { a: 1 })).toEqual({ a: 1 });
    expect(refusal(() => validateConfig(false, { a: 1 })).code).toBe("plugin_config_invalid");
  });

  it("fills defaults of the top level into a copy, and checks those too [S2-25]", () => {
    const values = {};
    expect(validateConfig(schema, values)).toEqual({ units: "metric" });
    expect(values).toEqual({});
    expect(refusal(() => validateConfig({ properties: { a: { type: "integer", default: "x" } } }, {})).path).toBe("a");
  });

  it("refuses __proto__, depth and size", () => {
    expect(
      refusal(() => validateConfig({ additionalProperties: false }, JSON.parse('{"__proto__":{"a":1}}'))).code,
    ).toBe("plugin_config_invalid");
    expect(refusal(() => validateConfig(true, { a: "x".repeat(70_000) })).code).toBe("plugin_config_invalid");
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    expect(refusal(() => validateConfig(true, circle)).code).toBe("plugin_config_invalid");
  });

  it("labels sensitive values, masks them, and never says them [S4-23]", () => {
    expect(sensitiveKeys(schema)).toEqual([
      { key: "token", use: { origin: "https://a.test", in: "basic", format: "{}" } },
    ]);
    expect(maskConfig(schema, { token: "hunter2", retries: 1 })).toEqual({ token: MASK, retries: 1 });
    const refused = refusal(() =>
      validateConfig(
        { properties: { token: { type: "string", maxLength: 3, "x-sensitive": true } } },
        { token: "hunter2" },
      ),
    );
    expect(JSON.stringify(refused)).not.toContain("hunter2");
  });

  it.each([
    [{ properties: { a: { type: "integer", "x-sensitive": true } } }],
    [{ properties: { a: { type: "string", "x-sensitive": true, default: "hunter2" } } }],
    [{ properties: { a: { type: "string", "x-use": { origin: "https://a.test", in: "basic" } } } }],
    [{ properties: { a: { type: "string", "x-sensitive": true, "x-use": { origin: "a.test", in: "basic" } } } }],
    [{ properties: { a: { type: "object", properties: { b: { type: "string", "x-sensitive": true } } } } }],
    [{ type: "array" }],
  ])("refuses the config_schema %j [S4-18]", (config_schema) => {
    const refused = refusal(() => read(minimal({ config_schema })));
    expect([refused.code, String(refused.path).startsWith("config_schema")]).toEqual(["schema_unsupported", true]);
  });
});
