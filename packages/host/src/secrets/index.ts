export { secretForms } from "./forms.ts";
export { createRedactor, type KnownSecret, redactionMark, type Redactor } from "./redactor.ts";
export { createStripper, type Stripper } from "./stripper.ts";
export {
  openVault,
  type SecretEntry,
  type SecretListing,
  type SecretSource,
  type Vault,
  type VaultOptions,
} from "./vault.ts";
