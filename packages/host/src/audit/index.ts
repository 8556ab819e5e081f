export type { AuditEvent, AuditEventType, AuditFilter, AuditLog, AuditVerification, StoredAuditEvent } from "./types.ts";
