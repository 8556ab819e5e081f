/**
 * Rows as they lie in the store. Times are milliseconds since the epoch, yes and no are 1 and 0, JSON is text.
 * Nothing outside `store/` reads these: repositories answer with records.
 */
export interface Schema {
  plugins: PluginsTable;
  plugin_config: PluginConfigTable;
  grants: GrantsTable;
  allow_list: AllowListTable;
  ceilings: CeilingsTable;
  tool_rules: ToolRulesTable;
  policy_overrides: PolicyOverridesTable;
  revocations: RevocationsTable;
  approvals: ApprovalsTable;
  prompt_counts: PromptCountsTable;
  kv: KvTable;
  data_spaces: DataSpacesTable;
  settings: SettingsTable;
  verified_trees: VerifiedTreesTable;
  trusted_keys: TrustedKeysTable;
  registries: RegistriesTable;
  agents: AgentsTable;
  tokens: TokensTable;
  enabled_tools: EnabledToolsTable;
  audit_events: AuditEventsTable;
  audit_index: AuditIndexTable;
  audit_checkpoints: AuditCheckpointsTable;
}

export interface PluginsTable {
  id: string;
  version: string;
  tree_digest: string;
  manifest_digest: string;
  code_digest: string;
  publisher_key: string | null;
  signature: string | null;
  provenance: string | null;
  seal: string | null;
  origin: string | null;
  manifest: string;
  source: string;
  root: string;
  bundle: string;
  defaults: string;
  state: string;
  active: number;
  installed_at: number;
  updated_at: number;
  last_error: string | null;
  execution_count: number;
  error_count: number;
}

export interface PluginConfigTable {
  space: string;
  config: string;
  updated_by: string;
  updated_at: number;
}

export interface GrantsTable {
  id: string;
  plugin_id: string;
  version: string;
  manifest_digest: string;
  tree_digest: string;
  scopes: string;
  granted_by: string;
  granted_at: number;
  expires_at: number | null;
  withdrawn_at: number | null;
  withdrawn_by: string | null;
  seal: string | null;
  in_process: number;
}

export interface AllowListTable {
  plugin_id: string;
  version_range: string | null;
  tree_digest: string | null;
  publisher: string | null;
  added_by: string;
  added_at: number;
}

export interface CeilingsTable {
  plugin_id: string;
  scopes: string;
  set_by: string;
  set_at: number;
}

export interface ToolRulesTable {
  tool: string;
  /** Empty for every agent: a primary key has no NULL. */
  agent: string;
  decision: string;
  set_by: string;
  set_at: number;
}

export interface PolicyOverridesTable {
  id: string;
  rule: string;
  ends_at: number;
  set_by: string;
  set_at: number;
}

export interface RevocationsTable {
  kind: string;
  value: string;
  plugin_id: string;
  reason: string;
  revoked_by: string;
  revoked_at: number;
}

export interface ApprovalsTable {
  id: string;
  kind: string;
  state: string;
  created_at: number;
  expires_at: number | null;
  decided_at: number | null;
  decided_by: string | null;
  reason: string | null;
  plugin_id: string;
  plugin_version: string;
  plugin_digest: string;
  tool: string | null;
  agent: string | null;
  operator: string | null;
  token: string | null;
  via: string | null;
  input_digest: string | null;
  definition_digest: string | null;
  policy_snapshot: string | null;
  rule: string | null;
  input: string | null;
  facts: string | null;
  scope: string | null;
  wide: number;
  uses_left: number | null;
  uses: number;
  ended_at: number | null;
  ended_by: string | null;
  ended_reason: string | null;
  sentence: string;
}

export interface PromptCountsTable {
  agent: string;
  calls: number;
  prompts: number;
}

export interface DataSpacesTable {
  plugin_id: string;
  owner: string;
  space: string;
  claimed_at: number;
}

export interface KvTable {
  space: string;
  key: string;
  value: string;
  bytes: number;
}

export interface TrustedKeysTable {
  id: string;
  name: string;
  scopes: string;
  expires_at: number | null;
  replaces: string | null;
  added_by: string;
  added_at: number;
  seal: string | null;
}

export interface RegistriesTable {
  name: string;
  kind: string;
  place: string;
  public_key: string | null;
  private: number;
  index_name: string | null;
  counter: number | null;
  issued_at: number | null;
  index_digest: string | null;
  refreshed_at: number | null;
  added_by: string;
  added_at: number;
  seal: string | null;
}

export interface VerifiedTreesTable {
  tree_digest: string;
  stamp: string;
  verified_at: number;
  seal: string | null;
}

export interface SettingsTable {
  key: string;
  value: string;
}

export interface AuditEventsTable {
  seq: number;
  hash: string;
  body: string;
}

export interface AuditIndexTable {
  seq: number;
  time: number;
  type: string;
  plugin_id: string | null;
  agent: string | null;
  tool: string | null;
  call_id: string | null;
  outcome: string | null;
}

export interface AuditCheckpointsTable {
  seq: number;
  hash: string;
  signature: string;
  at: number;
}

export interface AgentsTable {
  name: string;
  profile: string;
  set_by: string;
  set_at: number;
}

export interface TokensTable {
  id: string;
  hash: string;
  kind: string;
  name: string;
  scopes: string;
  guarded: number;
  created_by: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  ended_at: number | null;
  ended_by: string | null;
}

export interface EnabledToolsTable {
  tool: string;
  set_by: string;
  set_at: number;
}
