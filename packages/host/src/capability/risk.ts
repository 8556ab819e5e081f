import { type Effect, type Risk, strongestEffect } from "../kernel/index.ts";
import type { PermissionRequest, Scope } from "./types.ts";

/** How much is lost if the plugin is hostile. A request without a scope counts as the widest that may be filled in. */
export function riskOf(subject: Scope | PermissionRequest): Risk {
  if ("key" in subject) return subject.scope === null ? riskOfUnscoped(subject) : riskOf(subject.scope);
  switch (subject.capability) {
    case "tools":
      return "low";
    case "hooks":
      return subject.tools.length === 0 ? "low" : "critical";
    case "events":
      return "medium";
    case "database":
      return subject.mode === "r" ? "medium" : "high";
    case "secrets":
      return subject.expose === true ? "critical" : "high";
    case "network":
    case "filesystem":
    case "agent":
      return "high";
    case "exec":
    case "system":
      return "critical";
  }
}

function riskOfUnscoped(request: PermissionRequest): Risk {
  switch (request.capability) {
    case "tools":
      return "low";
    case "events":
      return "medium";
    case "database":
      return request.mode === "r" ? "medium" : "high";
    case "network":
    case "filesystem":
    case "secrets":
    case "agent":
      return "high";
    case "hooks":
    case "exec":
    case "system":
      return "critical";
  }
}

/** The effect of a tool as `<plugin>__<tool>`; unknown is `destructive`. */
export type EffectOfTool = (tool: string) => Effect;

/**
 * The mildest effect that a tool with these scopes can have. A tool that calls other tools has theirs: say which with
 * `effectOfTool`; a pattern, or no such function, counts as `destructive`.
 */
export function effectFloor(scopes: readonly Scope[], effectOfTool: EffectOfTool = () => "destructive"): Effect {
  return scopes.reduce<Effect>((floor, scope) => strongestEffect(floor, floorOf(scope, effectOfTool)), "read");
}

/** The effect that counts: the stronger of what the manifest declares and what the grants make possible. */
export function computeEffect(declared: Effect, scopes: readonly Scope[], effectOfTool?: EffectOfTool): Effect {
  return strongestEffect(declared, effectFloor(scopes, effectOfTool));
}

function floorOf(scope: Scope, effectOfTool: EffectOfTool): Effect {
  switch (scope.capability) {
    case "network":
      return "external";
    case "secrets":
      return scope.expose === true ? "external" : "read";
    case "filesystem":
    case "database":
      return scope.mode === "rw" ? "write" : "read";
    case "exec":
    case "system":
      return "destructive";
    case "agent":
      return scope.tools.reduce<Effect>(
        (floor, tool) => strongestEffect(floor, tool.includes("*") ? "destructive" : effectOfTool(tool)),
        scope.notify === true ? "external" : "read",
      );
    case "events":
      return scope.direction === "publish" ? "write" : "read";
    case "hooks":
    case "tools":
      return "read";
  }
}
