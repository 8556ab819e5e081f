import { join } from "node:path";
import { type AuditEvent, openAuditLog, type OpenAuditLogOptions, type OwnedAuditLog } from "../../src/audit/index.ts";
import { newId, systemClock } from "../../src/kernel/index.ts";
import { type Database, loadOrCreateSigningKey } from "../../src/store/index.ts";
import { temporaryHomes } from "../store/home.ts";

export interface LogHome {
  readonly directory: string;
  readonly database: Database;
  readonly audit: OwnedAuditLog;
}

/** Stores with a log in temporary directories. */
export function temporaryLogs() {
  const homes = temporaryHomes();
  const open = async (directory: string, options: Partial<OpenAuditLogOptions> = {}): Promise<LogHome> => {
    const database = await homes.open(directory);
    const signingKey = await loadOrCreateSigningKey(join(directory, "keys", "audit.pem"));
    return { directory, database, audit: await openAuditLog({ database, clock: systemClock, signingKey, ...options }) };
  };
  return {
    open,
    fresh: async (options: Partial<OpenAuditLogOptions> = {}): Promise<LogHome> =>
      open(await homes.directory(), options),
    directory: () => homes.directory(),
  };
}

/** The JSON object on a line, or in a body. */
export function parse(line: string | undefined): Record<string, unknown> {
  return JSON.parse(line ?? "");
}

export function event(change: Partial<AuditEvent> = {}): AuditEvent {
  return { v: 1, id: newId("evt"), time: 1000, type: "plugin_tool.invoked", actor: "agent:local", ...change };
}

/** `count` events in order, durable when it resolves. */
export async function fill(
  audit: OwnedAuditLog,
  count: number,
  change: (index: number) => Partial<AuditEvent> = () => ({}),
): Promise<void> {
  for (let index = 0; index < count; index++) audit.note(event({ time: 1000 + index, ...change(index) }));
  await audit.flush();
}
