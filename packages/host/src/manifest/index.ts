export type {
  CommandDefinition,
  Category,
  HookDefinition,
  JsonSchema,
  Manifest,
  McpServerDefinition,
  ProgramInterpreter,
  RouteDefinition,
  ToolDefinition,
} from "./types.ts";
export { CATEGORIES, PROGRAM_INTERPRETERS } from "./types.ts";
export { inputFromTexts, propertiesOf, requiredOf, wordsOf } from "./arguments.ts";
export { manifestEditorSchema } from "./editor-schema.ts";
export { checkPluginId, foldId, fullToolName, idSkeleton } from "./ids.ts";
export {
  type CheckAnswer,
  checkSchema,
  type CompiledSchema,
  compileSchema,
  MASK,
  maskConfig,
  type SensitiveKey,
  sensitiveKeys,
  validateConfig,
  type ValueProblem,
} from "./json-schema/index.ts";
export type { ManifestProblem } from "./problems.ts";
export { findManifest, type ManifestFile, type ReadManifest, readManifest } from "./read.ts";
export { compareVersions, versionSatisfies } from "./versions.ts";
