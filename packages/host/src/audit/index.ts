export { encodeEvent } from "./encode.ts";
export { verifyExport } from "./export.ts";
export { openAuditLog, type OpenAuditLogOptions } from "./log.ts";
export type {
  AuditEvent,
  AuditEventType,
  AuditFilter,
  AuditLog,
  AuditVerification,
  OwnedAuditLog,
  StoredAuditEvent,
} from "./types.ts";
