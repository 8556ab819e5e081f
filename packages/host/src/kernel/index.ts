export { canonicalJson, digestOf, type Json, sha256 } from "./canonical-json.ts";
export { type Clock, systemClock } from "./clock.ts";
export { createForwardClock } from "./forward-clock.ts";
export { displayLine, displayText, hasHiddenCharacters } from "./display.ts";
export { hidesSomething, visibleText } from "./visible.ts";
export {
  type ErrorCategory,
  type ErrorCode,
  ERROR_CODES,
  exitCodeOf,
  httpStatusOf,
  isErrorCode,
} from "./error-codes.ts";
export { type ErrorDetails, PolicyViolationError, SallyportError, toSallyportError } from "./errors.ts";
export { newId } from "./ids.ts";
export { type JsonLimits, parseBoundedJson } from "./bounded-json.ts";
export { LIMITS } from "./limits.ts";
export {
  CAPABILITIES,
  type CallOutcome,
  type Caller,
  type Capability,
  type Decision,
  type Effect,
  EFFECTS,
  HOST_RIGHTS,
  isContained,
  ISOLATION_LEVELS,
  type IsolationFloor,
  type IsolationLevel,
  levelInWords,
  PLUGIN_STATES,
  type PluginRef,
  type PluginState,
  type Risk,
  satisfiesFloor,
  strongestEffect,
  type Via,
} from "./words.ts";
