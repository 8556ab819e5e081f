export { decideTrust } from "./decide.ts";
export { codeDigest, type FileLeaf, isEvidence, treeDigest } from "./digest.ts";
export {
  type Envelope,
  type EnvelopeSignature,
  isSignedBy,
  preAuthEncoding,
  readEnvelope,
  readPayload,
  signEnvelope,
  writeEnvelope,
} from "./dsse.ts";
export {
  exportSigningKey,
  generateSigningKey,
  importSigningKey,
  isEncryptedKey,
  parseKeyId,
  type SigningKey,
} from "./keys.ts";
export { readRotation, type Rotation, writeRotation } from "./rotation.ts";
export { parseKeyScope, scopesName } from "./scopes.ts";
export { checkSeal, readSealKeys, type SealKind, sealOf, sealPlugin } from "./seal.ts";
export { readPluginSignature, type SignedFacts, signPlugin } from "./statement.ts";
export {
  CODE_FILE,
  type EvidenceItem,
  type EvidenceKind,
  type EvidenceState,
  type KeyId,
  type ProvenanceIdentity,
  type Requirement,
  type SealKeys,
  SIGNATURE_FILE,
  type Signer,
  type SourceKind,
  type TrustContext,
  type TrustDecision,
  type TrustedKey,
  type TrustEvidence,
  type TrustPolicy,
  type TrustSubject,
  type TrustVerdict,
} from "./types.ts";
