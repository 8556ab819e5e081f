import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import type { Scope } from "../../src/capability/index.ts";
import { bench, codeOf } from "./support.ts";

const FACETS = ["hostname", "platform", "arch", "release", "cpus", "load", "memory", "uptime", "timezone", "locale"];
const facet = (name: string): Scope => ({ capability: "system", facet: name });

describe("system.get", () => {
  it("tells each fact that was granted, and no other [S3-76]", async () => {
    for (const name of FACETS) {
      const { ask, actions } = bench({ granted: [facet(name)] });
      const { value } = await ask("system.get", { facet: name });
      expect(JSON.stringify(value).length).toBeLessThan(300);
      expect(actions).toMatchObject([
        { capability: "system", target: name, method: "get", outcome: "succeeded", callId: "call_1" },
      ]);
      for (const other of FACETS.filter((each) => each !== name))
        expect(await codeOf(ask("system.get", { facet: other }))).toBe("permission_denied");
    }
    expect(await bench({ granted: [facet("hostname")] }).ask("system.get", { facet: "hostname" })).toEqual({
      value: hostname(),
    });
  });

  it("knows no fact that it has no word for, whatever a grant says", async () => {
    for (const name of ["users", "environment", "__proto__", "constructor", "HOSTNAME", "", "x".repeat(65)]) {
      const { ask } = bench({ granted: [facet(name)] });
      expect(await codeOf(ask("system.get", { facet: name }))).toMatch(/permission_denied|usage/);
    }
  });

  it("is served within a call only, and needs manifest, grant and ceiling to agree", async () => {
    const { session, context } = bench({ granted: [facet("load")] });
    const outside = session.handle("system.get", { call: null, facet: "load" }, null, context.signal);
    expect(await codeOf(outside)).toBe("permission_denied");
    for (const other of [{ declared: [] }, { ceiling: [] }, { ceiling: [facet("cpus")] }])
      expect(await codeOf(bench({ granted: [facet("load")], ...other }).ask("system.get", { facet: "load" }))).toBe(
        "permission_denied",
      );
  });
});
