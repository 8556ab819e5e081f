export { type CheckOptions, checkSchema } from "./check.ts";
export { type CheckAnswer, type CompiledSchema, compileSchema, type ValueProblem } from "./compile.ts";
export { configSchema, validateConfig } from "./config.ts";
export { linearPattern, type LinearPattern } from "./patterns.ts";
export { MASK, maskConfig, type SensitiveKey, sensitiveKeys } from "./sensitive.ts";
