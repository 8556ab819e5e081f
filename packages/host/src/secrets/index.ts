export { secretForms } from "./forms.ts";
export { openSystemKeyring } from "./keyring.ts";
export { createMatcher, type Matcher } from "./matcher.ts";
export { createRedactor, type KnownSecret, redactionMark, type Redactor } from "./redactor.ts";
export { createStripper, type Stripper } from "./stripper.ts";
export {
  KEY_SOURCES,
  keyInEnvironment,
  keyInFile,
  keyInKeyring,
  type KeyPlace,
  type Keyring,
  type KeySource,
} from "./vault-key.ts";
export {
  closedVault,
  type ConfigValue,
  openVault,
  type SecretEntry,
  type SecretListing,
  type SecretSource,
  type Vault,
  type VaultOptions,
  type VaultState,
} from "./vault.ts";
