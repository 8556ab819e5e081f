export { createOperators, type OperatorsDeps, PASSPHRASE_SETTING, type SettingsPort } from "./operators.ts";
export { hashPassphrase, matchesPassphrase } from "./passphrase.ts";
