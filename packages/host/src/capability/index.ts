export type {
  AgentScope,
  DatabaseScope,
  EventsScope,
  ExecScope,
  FilesystemScope,
  Grant,
  HookMark,
  HooksScope,
  NetworkScope,
  PermissionRequest,
  Scope,
  SecretScope,
  SecretUse,
  SystemScope,
  ToolsScope,
  Wish,
} from "./types.ts";
export {
  canonicalOrigin,
  networkFromText,
  type NetworkParts,
  networkScope,
  originOf,
  secretUse,
  splitPort,
} from "./build.ts";
export { canonicalArguments } from "./arguments.ts";
export { canonicalCommand, commandMatches } from "./command.ts";
export { coveredBy, covers } from "./covers.ts";
export { canonicalFacet, isSystemFacet, type SystemFacet } from "./facets.ts";
export { canonicalFilePath, DATA_ROOT, pathContains } from "./file-path.ts";
export { canonicalHost, canonicalHostPattern, hostMatches } from "./host-name.ts";
export { scopeKey } from "./key.ts";
export { computeEffect, effectFloor, type EffectOfTool, riskOf } from "./risk.ts";
export { parseScopeArgument } from "./scope-argument.ts";
export { scopeArguments } from "./scope-text.ts";
export { commandLine, sentenceOf } from "./sentence.ts";
export { HOOK_EVENTS, type HookEvent, isTopic, isTopicPattern, markPath } from "./topics.ts";
export { nameMatches } from "./patterns.ts";
export { canonicalPathPattern, pathMatches } from "./url-path.ts";
export { answersRequest, widerThan, withinScope } from "./within.ts";
