import { describe, expect, it } from "vitest";
import { assertLegalEdge, isLegalEdge } from "../../src/catalog/index.ts";
import { PLUGIN_STATES, type PluginState } from "../../src/kernel/index.ts";

/** The table of docs/lifecycle.md, written out a second time: a change of either side must be meant. */
const LEGAL: Record<PluginState, readonly PluginState[]> = {
  discovered: ["validated", "invalid", "revoked"],
  validated: ["pending_approval", "revoked"],
  invalid: [],
  pending_approval: ["approved", "denied", "revoked"],
  approved: ["starting", "validated", "disabled", "revoked"],
  denied: ["pending_approval", "validated", "revoked"],
  starting: ["running", "failed", "stopped", "validated", "disabled", "revoked"],
  running: ["idle", "unhealthy", "stopped", "disabled", "validated", "revoked"],
  idle: ["starting", "stopped", "disabled", "validated", "revoked"],
  unhealthy: ["starting", "running", "failed", "stopped", "disabled", "validated", "revoked"],
  failed: ["starting", "disabled", "validated", "revoked"],
  stopped: ["starting", "disabled", "validated", "revoked"],
  disabled: ["stopped", "validated", "revoked"],
  revoked: [],
};

describe("lifecycle", () => {
  it("has exactly the edges of its table, and refuses every other [S1-25]", () => {
    for (const from of PLUGIN_STATES) {
      for (const to of PLUGIN_STATES) {
        expect(isLegalEdge(from, to), `${from} → ${to}`).toBe(LEGAL[from].includes(to));
      }
    }
  });

  it("says where a plugin can go when an edge is refused", () => {
    expect(() => assertLegalEdge("weather", "revoked", "running")).toThrowError(
      expect.objectContaining({ code: "illegal_transition", fix: "Revocation is permanent; install another plugin." }),
    );
  });

  it("lets nothing leave revoked [S1-34]", () => {
    expect(PLUGIN_STATES.filter((to) => isLegalEdge("revoked", to))).toEqual([]);
  });
});
