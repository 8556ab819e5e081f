export {
  compileConditions,
  type CompiledConditions,
  type Condition,
  type Conditions,
  type Scalar,
} from "./conditions.ts";
export { checkConditions, type ConditionProblem } from "./conditions-check.ts";
export { conditionsSchema, parseConditionArguments, readConditions } from "./conditions-shape.ts";
export { compilePolicy } from "./policy.ts";
export type { Policy, PolicyDecision, PolicyDefaults, PolicyLayer, PolicyQuery, PolicyRule } from "./types.ts";
