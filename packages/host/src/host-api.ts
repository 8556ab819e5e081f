import type { AuditLog } from "./audit/index.ts";
import type { AgentsApi, TokensApi } from "./host-api/agents.ts";
import type { BackupAnswer, BackupRequest } from "./host-api/backup.ts";
import type { DatabasesApi } from "./host-api/databases.ts";
import type { InvokeAnswer, InvokeRequest, PluginNote, ToolsApi } from "./host-api/calls.ts";
import type { CommandsApi, RoutesApi } from "./host-api/entrances.ts";
import type { ApprovalsApi } from "./host-api/approvals.ts";
import type { DoctorReport, HostStats, Operator, OperatorsApi, SecretsApi } from "./host-api/operate.ts";
import type { PluginsApi } from "./host-api/plugins.ts";
import type { PolicyApi } from "./host-api/policy.ts";
import type { RegistriesApi } from "./host-api/registries.ts";
import type { KeysApi } from "./host-api/trust.ts";
import type { Caller } from "./kernel/index.ts";

/** The public API of a host: what the library exports, and all that the faces (REST, CLI, MCP) have. */
export interface Host {
  readonly plugins: PluginsApi;
  readonly tools: ToolsApi;
  readonly commands: CommandsApi;
  readonly routes: RoutesApi;
  readonly approvals: ApprovalsApi;
  readonly agents: AgentsApi;
  readonly tokens: TokensApi;
  readonly secrets: SecretsApi;
  readonly audit: AuditLog;
  readonly policy: PolicyApi;
  readonly operators: OperatorsApi;
  readonly keys: KeysApi;
  readonly databases: DatabasesApi;
  readonly registries: RegistriesApi;
  /** The one way in for agents. Never throws for a failed call: the answer says what happened. */
  invoke(caller: Caller, request: InvokeRequest): Promise<InvokeAnswer>;
  /** Writes the home into one new file. */
  backup(operator: Operator, request: BackupRequest): Promise<BackupAnswer>;
  doctor(): Promise<DoctorReport>;
  stats(): Promise<HostStats>;
  /** Called when the list of tools that an agent may see may have changed. Returns the way to stop. */
  onToolsChanged(listener: () => void): () => void;
  /** Called with each note that a plugin leaves for the operators: its own words, escaped. Returns the way to stop. */
  onNote(listener: (note: PluginNote) => void): () => void;
  /** Stops every plugin, flushes the audit, releases the home. */
  close(): Promise<void>;
}

export { OPERATOR_SCOPES } from "./host-api/agents.ts";
export type { AgentsApi, AgentView, OperatorScope, TokenRequest, TokensApi, TokenView } from "./host-api/agents.ts";
export type { DatabaseCheckView, DatabasesApi, DatabaseView } from "./host-api/databases.ts";
export type { ConfigField, ConfigForm } from "./host-api/config.ts";
export type { BackupAnswer, BackupRequest, RestoreAnswer, RestoreRequest } from "./host-api/backup.ts";
export type {
  ContentMark,
  InvokeAnswer,
  InvokeRequest,
  OutputChanges,
  PluginNote,
  ToolSummary,
  ToolsApi,
} from "./host-api/calls.ts";
export type { CommandRun, CommandsApi, CommandSummary, RouteCall, RoutesApi } from "./host-api/entrances.ts";
export type {
  ApprovalChange,
  ApprovalsApi,
  ApprovalView,
  ApproveCallOptions,
  PromptStats,
} from "./host-api/approvals.ts";
export type {
  DoctorReport,
  HostStats,
  Operator,
  OperatorsApi,
  SecretsApi,
  SecretView,
  VaultView,
} from "./host-api/operate.ts";
export type {
  ApproveRequest,
  InstallAnswer,
  InstallRequest,
  InstalledDependency,
  LogLine,
  PermissionView,
  PluginInfo,
  PluginSummary,
  PluginsApi,
  RevocationAnswer,
  RevocationMark,
  RevocationView,
  StopOptions,
  StoreCheckAnswer,
} from "./host-api/plugins.ts";
export type {
  CallExplanation,
  DecisionView,
  OverrideRequest,
  OverrideView,
  PolicyApi,
  PolicyCheck,
  PolicyExplanation,
  PolicyQuestion,
  PolicyView,
  Simulation,
  SimulationRequest,
} from "./host-api/policy.ts";
export type { LearnAnswer, LearnedPermission, LearnedRefusal, LearnRequest } from "./host-api/learn.ts";
export type { RefreshView, RegistriesApi, RegistryView, SearchHitView } from "./host-api/registries.ts";
export type { KeysApi, SignerView, TrustView, TrustedKeyView, VerifyAnswer } from "./host-api/trust.ts";
export type {
  LockView,
  UpgradeAnswer,
  UpgradeChange,
  UpgradeDifference,
  UpgradeRequest,
  UpgradeRow,
} from "./host-api/upgrade.ts";
