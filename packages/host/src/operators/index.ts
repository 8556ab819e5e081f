export { createOperators, type OperatorsDeps, PASSPHRASE_SETTING, type SettingsPort } from "./operators.ts";
export { hashPassphrase, matchesPassphrase, PASSPHRASE_LENGTH } from "./passphrase.ts";
