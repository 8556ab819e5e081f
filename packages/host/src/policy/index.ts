export { EVERY, parseArgumentPath, type Segment } from "./argument-path.ts";
export {
  compileConditions,
  type CompiledConditions,
  type Condition,
  type Conditions,
  type Scalar,
} from "./conditions.ts";
export { analysePolicy, type KnownTool, type PolicyFinding } from "./analyse.ts";
export { checkConditions, type ConditionProblem } from "./conditions-check.ts";
export { parseConditionArguments, readConditions } from "./conditions-shape.ts";
export type { FlowCondition, FlowLabel, FlowMemory } from "./flow.ts";
export { createFlowMemory, type FlowLimits, type FlowRecord } from "./flow-memory.ts";
export { askingRules, compilePolicy, denyEverything, fixedPolicy } from "./policy.ts";
export {
  durationShape,
  momentShape,
  type PolicyFile,
  policyShape,
  type RuleFile,
  ruleShape,
  toLayer,
  toRule,
} from "./rule-shape.ts";
export { createPolicyClock, type PolicyClock, type PolicyTime, type TimeWindow } from "./time.ts";
export type {
  CallFacts,
  Names,
  Policy,
  PolicyDecision,
  PolicyDefaults,
  PolicyLayer,
  PolicyQuery,
  PolicyRule,
  RuleExplanation,
  ToolPolicy,
} from "./types.ts";
