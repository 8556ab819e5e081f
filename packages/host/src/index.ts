export { createHost, type CreateHostOptions } from "./host.ts";
export type {
  ApprovalsApi,
  ApprovalView,
  ApproveRequest,
  DoctorReport,
  Host,
  HostStats,
  InstallAnswer,
  InstallRequest,
  InvokeAnswer,
  InvokeRequest,
  LogLine,
  Operator,
  OperatorsApi,
  PermissionView,
  PluginInfo,
  PluginsApi,
  PluginSummary,
  PolicyApi,
  SecretsApi,
  ToolsApi,
  ToolSummary,
} from "./host-api.ts";
export type { AuditEvent, AuditFilter, AuditLog, AuditVerification, StoredAuditEvent } from "./audit/index.ts";
export { type Caller, type ErrorCode, type PluginState, PolicyViolationError, SallyportError } from "./kernel/index.ts";
export { createApi } from "./api/index.ts";
