export { chainHash, GENESIS_HASH } from "./chain.ts";
export {
  applyRestore,
  assertNoRestore,
  commitRestore,
  copyInto,
  removeStaging,
  stagingFolder,
} from "./backup-apply.ts";
export { type BackupManifest, invalid as invalidBackup, publicHalf } from "./backup-format.ts";
export { type ChainRelation, forgetCheckpoints, mergeNewer } from "./backup-merge.ts";
export { readBackup } from "./backup-read.ts";
export { type BackupFacts, writeBackup } from "./backup-write.ts";
export { openDatabase, type OpenDatabaseOptions } from "./open.ts";
export { loadOrCreateSigningKey } from "./signing-key.ts";
export { deleteAgent, listAgents, saveAgent } from "./repositories/agents.ts";
export { deleteAllowed, listAllowed, saveAllowed } from "./repositories/allow-list.ts";
export { APPROVAL_EDGES, type ApprovalState } from "./repositories/approval-states.ts";
export {
  type ApprovalDecision,
  type ApprovalEnd,
  type ApprovalFilter,
  approvalsForCall,
  type ApprovalSubject,
  closeApprovalsOf,
  consumeApproval,
  countApprovals,
  decideApproval,
  dueApprovals,
  endApproval,
  findApproval,
  insertApproval,
  lastApprovedCall,
  listApprovals,
  pendingOf,
  withdrawCallsOf,
} from "./repositories/approvals.ts";
export { deleteCeiling, listCeilings, saveCeiling } from "./repositories/ceilings.ts";
export {
  findGrant,
  insertGrant,
  listGrants,
  sealGrant,
  withdrawGrant,
  withdrawGrantsOf,
} from "./repositories/grants.ts";
export { disableTools, enableTool, listEnabledTools } from "./repositories/enabled-tools.ts";
export { claimDataSpace, listDataSpaces, purgeDataSpace, releaseDataSpace } from "./repositories/data-spaces.ts";
export { createKvStore, type KvStore } from "./repositories/kv.ts";
export { countPrompts, listPromptCounts, type PromptCount } from "./repositories/prompt-counts.ts";
export { deleteOverride, listOverrides, saveOverride } from "./repositories/policy-overrides.ts";
export { findConfig, saveConfig } from "./repositories/plugin-config.ts";
export {
  activatePlugin,
  amendPlugin,
  countExecutions,
  deletePlugin,
  findPlugin,
  insertPlugin,
  listPlugins,
  movePlugin,
  movePluginRoot,
} from "./repositories/plugins.ts";
export {
  advanceRegistry,
  deleteRegistry,
  insertRegistry,
  listRegistries,
  type StoredRegistry,
} from "./repositories/registries.ts";
export { findRevocation, insertRevocation, listRevocations, type RevocableMarks } from "./repositories/revocations.ts";
export {
  createSettings,
  deleteSetting,
  listSettings,
  saveSetting,
  type SettingsStore,
} from "./repositories/settings.ts";
export { endToken, forgetToken, insertToken, listTokens, useToken } from "./repositories/tokens.ts";
export { deleteTrustedKey, listTrustedKeys, saveTrustedKey } from "./repositories/trusted-keys.ts";
export { deleteToolRule, deleteToolRulesOf, listToolRules, saveToolRule } from "./repositories/tool-rules.ts";
export { forgetVerifiedTree, listVerifiedTrees, saveVerifiedTree } from "./repositories/verified-trees.ts";
export type { Schema } from "./schema.ts";
export type {
  AllowListEntry,
  Appended,
  ApprovalFacts,
  ApprovalScope,
  Ceiling,
  ChainFilter,
  ChainHead,
  ChainReport,
  ChainRow,
  ChainStore,
  Checkpoint,
  Database,
  DataSpace,
  PluginOrigin,
  Revocation,
  RevocationKind,
  Statement,
  StoredAgent,
  StoredApproval,
  StoredConfig,
  StoredKey,
  StoredOverride,
  StoredPlugin,
  StoredToken,
  ToolRule,
  VerifiedTree,
} from "./types.ts";
