import { describe, expect, it } from "vitest";
import { requireLevel } from "../../src/isolation/index.ts";
import { PolicyViolationError } from "../../src/kernel/index.ts";

describe("requireLevel", () => {
  it("takes the strongest level that is there", () => {
    expect(requireLevel({ floor: "runtime", operatorFloor: "runtime", available: ["namespace", "runtime"] })).toBe(
      "namespace",
    );
    expect(requireLevel({ floor: "kernel", operatorFloor: "kernel", available: ["landlock", "runtime"] })).toBe(
      "landlock",
    );
    expect(requireLevel({ floor: "runtime", operatorFloor: "runtime", available: ["runtime"] })).toBe("runtime");
  });

  it.each([
    ["the plugin", { floor: "kernel", operatorFloor: "runtime" }],
    ["the operator", { floor: "runtime", operatorFloor: "kernel" }],
    ["both", { floor: "kernel", operatorFloor: "kernel" }],
  ] as const)("refuses instead of taking less than %s requires, and says how to get more", (_who, floors) => {
    const refused = (): unknown => requireLevel({ ...floors, available: ["runtime"] });
    expect(refused).toThrow(PolicyViolationError);
    expect(refused).toThrow(
      expect.objectContaining({ code: "isolation_unavailable", fix: expect.stringContaining("bubblewrap") }),
    );
  });

  it("takes the driver that the operator names, also a weaker one, and nothing else", () => {
    const kernel = { floor: "runtime", operatorFloor: "kernel" } as const;
    const both = ["namespace", "landlock", "runtime"] as const;
    expect(requireLevel({ ...kernel, driver: "landlock", available: both })).toBe("landlock");
    expect(requireLevel({ ...kernel, driver: "namespace", available: both })).toBe("namespace");
    expect(requireLevel({ ...kernel, driver: "auto", available: both })).toBe("namespace");
    for (const operatorFloor of ["kernel", "runtime"] as const) {
      const refused = (): unknown =>
        requireLevel({ floor: "runtime", operatorFloor, driver: "landlock", available: ["namespace", "runtime"] });
      expect(refused).toThrow(PolicyViolationError);
      expect(refused).toThrow(
        expect.objectContaining({ code: "isolation_unavailable", fix: expect.stringContaining("isolation.driver") }),
      );
    }
  });

  it("refuses when there is no level at all, and never falls back to the host's own process", () => {
    for (const available of [[], ["in-process"]] as const) {
      expect(() => requireLevel({ floor: "runtime", operatorFloor: "runtime", available })).toThrow(
        expect.objectContaining({ code: "isolation_unavailable" }),
      );
    }
  });
});
