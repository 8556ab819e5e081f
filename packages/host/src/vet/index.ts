export { isSecret, SECRET_FORMATS, type SecretFormat } from "./secret-formats.ts";
export type { Finding, Preset, Rule, Severity, VetOptions, VetPorts } from "./types.ts";
export { findingsOf, passes, vetPlugin } from "./vet.ts";
