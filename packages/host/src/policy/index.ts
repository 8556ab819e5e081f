export { compilePolicy } from "./policy.ts";
export type { Policy, PolicyDecision, PolicyDefaults, PolicyQuery, PolicyRule } from "./types.ts";
