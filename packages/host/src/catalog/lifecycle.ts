import { SallyportError, PLUGIN_STATES, type PluginState } from "../kernel/index.ts";

/** States with a process, or one that a call may start at any time. */
export const LIVE_STATES: readonly PluginState[] = ["starting", "running", "idle", "unhealthy"];

/** States that no edge leaves. */
export const TERMINAL_STATES: readonly PluginState[] = ["invalid", "revoked"];

const FORWARD: Readonly<Record<PluginState, readonly PluginState[]>> = {
  discovered: ["validated", "invalid"],
  validated: ["pending_approval"],
  invalid: [],
  pending_approval: ["approved", "denied"],
  approved: ["starting", "disabled"],
  denied: ["pending_approval"],
  starting: ["running", "failed", "stopped", "disabled"],
  running: ["idle", "unhealthy", "stopped", "disabled"],
  idle: ["starting", "stopped", "disabled"],
  unhealthy: ["starting", "running", "failed", "stopped", "disabled"],
  failed: ["starting", "disabled"],
  stopped: ["starting", "disabled"],
  disabled: ["stopped"],
  revoked: [],
};

/** States from which a lost grant or a changed digest leads back to `validated`. */
const LOSES_GRANT: readonly PluginState[] = [
  "approved",
  "denied",
  "starting",
  "running",
  "idle",
  "unhealthy",
  "failed",
  "stopped",
  "disabled",
];

export function isLegalEdge(from: PluginState, to: PluginState): boolean {
  if (to === "revoked") return !TERMINAL_STATES.includes(from);
  if (to === "validated" && LOSES_GRANT.includes(from)) return true;
  return FORWARD[from].includes(to);
}

/** @throws {SallyportError} `illegal_transition` for an edge that the lifecycle does not have. */
export function assertLegalEdge(id: string, from: PluginState, to: PluginState): void {
  if (isLegalEdge(from, to)) return;
  throw new SallyportError("illegal_transition", `Plugin ${id} cannot go from ${from} to ${to}.`, {
    detail: `From ${from} it can go to ${legalTargets(from).join(", ") || "nowhere"}.`,
    fix: from === "revoked" ? "Revocation is permanent; install another plugin." : `Run: sallyport plugin info ${id}`,
  });
}

export function isLive(state: PluginState): boolean {
  return LIVE_STATES.includes(state);
}

function legalTargets(from: PluginState): readonly PluginState[] {
  return PLUGIN_STATES.filter((to) => isLegalEdge(from, to));
}
