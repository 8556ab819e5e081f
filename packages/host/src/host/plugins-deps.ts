import type { AuditEvent, AuditLog } from "../audit/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { HostConfig } from "../config/index.ts";
import type { LogLine } from "../host-api.ts";
import { type Clock, newId } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { InstalledSource, InstallStep } from "../registry/index.ts";
import { type Database, listApprovals, type StoredApproval, type StoredPlugin } from "../store/index.ts";
import type { PluginConfigs } from "./configs.ts";
import type { Runtime } from "./runtime.ts";
import type { ViewSources } from "./views.ts";

/** What the operator's verbs on plugins work with. */
export interface PluginsDeps {
  readonly db: Database;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly runtime: Runtime;
  readonly configs: PluginConfigs;
  readonly views: ViewSources;
  config(): HostConfig;
  /** Stores a directory's verified bytes; `inspect` may refuse before anything is kept. */
  installSource(
    path: string,
    inspect: (manifest: Manifest) => void,
    onStep: (step: InstallStep) => void,
  ): Promise<InstalledSource<Manifest>>;
  removeStored(digest: string): Promise<void>;
  removeData(pluginId: string): Promise<void>;
  /** Reads grants, rules and ceilings again after a change. */
  refresh(): Promise<void>;
  logsOf(pluginId: string): readonly LogLine[];
}

export function pendingOf(deps: PluginsDeps, id: string): StoredPlugin | undefined {
  return deps.catalog.versions(id).find((record) => record.state === "pending_approval");
}

export async function pendingApproval(deps: PluginsDeps, record: StoredPlugin): Promise<StoredApproval | undefined> {
  const pending = await listApprovals(deps.db, { kind: "plugin", state: "pending", pluginId: record.ref.id });
  return pending.find((approval) => approval.plugin.digest === record.ref.digest);
}

export function eventOf(clock: Clock, type: AuditEvent["type"], actor: string, facts: Partial<AuditEvent>): AuditEvent {
  return { v: 1, id: newId("evt"), time: clock.now(), type, actor, ...facts };
}
