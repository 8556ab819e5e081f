import { describe, expect, it } from "vitest";
import { parseConfig, starterConfig } from "../../src/config/index.ts";

const refusal = (text: string): unknown => {
  try {
    return parseConfig(text);
  } catch (error) {
    return error;
  }
};

describe("config.yml", () => {
  it("turns plugins off and denies every tool when it is empty", () => {
    const config = parseConfig("");
    expect(config.plugins).toEqual({ enabled: false, allowList: [] });
    expect(config.policy).toEqual({ defaults: {}, layer: { name: "config.yml", rules: [] } });
    expect(config.isolation.minimum).toBe("kernel");
  });

  it("reads plugins.enabled and plugins.allowed_plugins [S0-32]", () => {
    const digest = `sha256:${"0".repeat(64)}`;
    const config = parseConfig(
      `plugins: { enabled: true, allowed_plugins: [weather, { id: geo, version: ^1, digest: "${digest}" }] }`,
    );
    expect(config.plugins).toEqual({
      enabled: true,
      allowList: [{ id: "weather" }, { id: "geo", version: "^1", digest }],
    });
  });

  it("accepts what init writes", () => {
    const config = parseConfig(starterConfig({ pluginsEnabled: true }));
    expect(config.plugins.enabled).toBe(true);
    expect(config.policy.defaults).toEqual({
      read: "allow",
      write: "require_approval",
      external: "require_approval",
      destructive: "deny",
    });
  });

  it.each([
    ["an unknown key", "plugin: { enabled: true }", "plugin"],
    ["a nested unknown key", "plugins: { enable: true }", "plugins"],
    ["a wrong type", "plugins: { enabled: yes please }", "plugins.enabled"],
    ["an unknown decision", "policy: { rules: [{ tool: a__b, decision: maybe }] }", "policy.rules.0.decision"],
    [
      "a pattern that only looks like one",
      "policy: { rules: [{ tool: '*__b', decision: allow }] }",
      "policy.rules.0.tool",
    ],
  ])("refuses %s and names it", (_what, text, path) => {
    const error = refusal(text);
    expect(error).toMatchObject({ code: "config_invalid" });
    expect(String(error)).toContain(path);
  });

  it("names the line of a YAML error, and refuses duplicate keys", () => {
    expect(refusal("mode: production\nmode: development")).toMatchObject({ code: "config_invalid", data: { line: 2 } });
  });

  it("refuses aliases, which turn a small file into a large one", () => {
    expect(refusal("a: &a [1]\nb: *a")).toMatchObject({ code: "config_invalid" });
  });
});
