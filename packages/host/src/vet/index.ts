export {
  type Finding,
  type Preset,
  PRESETS,
  type Rule,
  RULES,
  type Severity,
  type VetOptions,
  type VetPorts,
} from "./types.ts";
export { findingsOf, passes, vetPlugin } from "./vet.ts";
