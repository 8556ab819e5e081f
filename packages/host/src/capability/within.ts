import { execWithin } from "./command.ts";
import { hostWithin } from "./host-name.ts";
import { pathContains } from "./file-path.ts";
import { nameWithin, sameUse } from "./patterns.ts";
import type { AgentScope, HookMark, HooksScope, NetworkScope, PermissionRequest, Scope, SecretScope } from "./types.ts";
import { patternWithin } from "./url-path.ts";

/**
 * Whether `inner` allows nothing that `outer` does not. Sound, not complete: two scopes that cover a third only together
 * are not tried.
 */
export function withinScope(inner: Scope, outer: Scope): boolean {
  switch (inner.capability) {
    case "network":
      return outer.capability === "network" && networkWithin(inner, outer);
    case "filesystem":
      return (
        outer.capability === "filesystem" && pathContains(outer.path, inner.path) && modeWithin(inner.mode, outer.mode)
      );
    case "secrets":
      return outer.capability === "secrets" && secretWithin(inner, outer);
    case "exec":
      return outer.capability === "exec" && execWithin(inner, outer);
    case "database":
      return (
        outer.capability === "database" && inner.connection === outer.connection && modeWithin(inner.mode, outer.mode)
      );
    case "agent":
      return outer.capability === "agent" && agentWithin(inner, outer);
    case "events":
      return (
        outer.capability === "events" &&
        inner.direction === outer.direction &&
        (inner.background !== true || outer.background === true) &&
        nameWithin(inner.topic, outer.topic)
      );
    case "hooks":
      return outer.capability === "hooks" && hooksWithin(inner, outer);
    case "system":
      return outer.capability === "system" && inner.facet === outer.facet;
    case "tools":
      return outer.capability === "tools";
  }
}

/** Whether `scope` allows something that no single one of `held` allows. */
export function widerThan(scope: Scope, held: readonly Scope[]): boolean {
  return !held.some((outer) => withinScope(scope, outer));
}

/**
 * Whether an operator's scope may answer a request: of its kind, and no wider than what was asked. Only the operator can
 * admit local addresses (`private`, `loopback`) and interpreters, so these are not compared.
 */
export function answersRequest(scope: Scope, request: PermissionRequest): boolean {
  if (scope.capability !== request.capability) return false;
  if (request.scope === null) {
    if (scope.capability === "filesystem" || scope.capability === "database")
      return modeWithin(scope.mode, request.mode ?? "r");
    if (scope.capability === "secrets") return scope.expose !== true;
    if (scope.capability === "events") return request.direction === undefined || scope.direction === request.direction;
    return true;
  }
  if (scope.capability === "exec" && request.scope.capability === "exec")
    return execWithin(scope, { ...request.scope, interpreter: true });
  if (scope.capability !== "network" || request.scope.capability !== "network")
    return withinScope(scope, request.scope);
  return networkWithin(scope, { ...request.scope, private: true, loopback: true });
}

function networkWithin(inner: NetworkScope, outer: NetworkScope): boolean {
  return (
    inner.port === outer.port &&
    inner.scheme === outer.scheme &&
    hostWithin(inner.host, outer.host) &&
    (inner.private !== true || outer.private === true) &&
    (inner.loopback !== true || outer.loopback === true) &&
    (outer.methods.includes("*") || inner.methods.every((method) => outer.methods.includes(method))) &&
    inner.paths.every((path) => outer.paths.some((pattern) => patternWithin(path, pattern)))
  );
}

function secretWithin(inner: SecretScope, outer: SecretScope): boolean {
  if (inner.name !== outer.name || (inner.expose === true && outer.expose !== true)) return false;
  return inner.use === undefined || sameUse(inner.use, outer.use);
}

function agentWithin(inner: AgentScope, outer: AgentScope): boolean {
  if (inner.notify === true && outer.notify !== true) return false;
  return inner.tools.every((tool) => outer.tools.some((pattern) => nameWithin(tool, pattern)));
}

function hooksWithin(inner: HooksScope, outer: HooksScope): boolean {
  if (inner.event !== outer.event || (inner.payload === true && outer.payload !== true)) return false;
  if (inner.background === true && outer.background !== true) return false;
  if (inner.mark !== undefined && !sameMark(inner.mark, outer.mark)) return false;
  if (inner.tools.length === 0 || outer.tools.length === 0) return inner.tools.length === outer.tools.length;
  return inner.tools.every((tool) => outer.tools.some((pattern) => nameWithin(tool, pattern)));
}

function sameMark(a: HookMark, b: HookMark | undefined): boolean {
  return a.pointer === b?.pointer && a.value === b.value;
}

function modeWithin(inner: "r" | "rw", outer: "r" | "rw"): boolean {
  return inner === outer || outer === "rw";
}
