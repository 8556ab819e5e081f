import type { AuditEvent, AuditLog } from "../audit/index.ts";
import type { Catalog, Turns } from "../catalog/index.ts";
import type { HostConfig } from "../config/index.ts";
import type { LogLine, Operator, StoreCheckAnswer } from "../host-api.ts";
import { type Clock, newId, type PluginRef, SallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { InstalledSource, InstallStep, OpenedSource, PreparedPlugin, ResolvedSource } from "../registry/index.ts";
import {
  type Database,
  listApprovals,
  type Statement,
  type StoredApproval,
  type StoredPlugin,
  withdrawCallsOf,
  withdrawGrantsOf,
} from "../store/index.ts";
import type { PluginConfigs } from "./configs.ts";
import type { DataSpaces } from "./data-spaces.ts";
import type { GrantablePlaces } from "./grantable.ts";
import type { Holds } from "./holds.ts";
import type { HomeLock } from "./lock.ts";
import type { DependencyOffer } from "./resolve-source.ts";
import type { Runtime } from "./runtime.ts";
import type { TrustState } from "./trust.ts";
import type { PassOptions } from "./verify-store.ts";
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
  readonly places: GrantablePlaces;
  readonly trust: TrustState;
  /** Changes of which versions of an id are installed, one after the other. */
  readonly inTurn: Turns;
  config(): HostConfig;
  readonly lock: Pick<HomeLock, "view" | "restore">;
  readonly holds: Holds;
  /** Fetches what an operator named: a path, `ID@RANGE` of a registry, `npm:NAME@RANGE`. Keeps nothing. */
  openSource(spec: string): Promise<ResolvedSource>;
  /** Chooses a version of a registry, `[REGISTRY:]ID@RANGE`, and fetches nothing of it. Undefined when none has the plugin. */
  findOffer(spec: string): Promise<DependencyOffer | undefined>;
  manifestOf(opened: OpenedSource): Manifest;
  /** Manifest, code and digests of a source, as installing makes them. Keeps nothing. */
  prepare(opened: OpenedSource, inspect?: (manifest: Manifest) => void): Promise<PreparedPlugin<Manifest>>;
  /** Stores a source's verified bytes; `inspect` and `admit` may refuse before anything is kept. */
  installSource(
    opened: OpenedSource,
    ports: {
      readonly inspect: (manifest: Manifest) => void;
      readonly admit: (prepared: PreparedPlugin<Manifest>) => Promise<void>;
    },
    onStep: (step: InstallStep) => void,
  ): Promise<InstalledSource<Manifest>>;
  /** Removes from the store what nobody names. Answers the digests. */
  collect(): Promise<readonly string[]>;
  /** Reads every stored byte again. @throws {SallyportError} `not_found`, `digest_mismatch`. */
  verifyStored(digest: string): Promise<void>;
  removeStored(digest: string): Promise<void>;
  readonly spaces: DataSpaces;
  /** Whether anybody's plugin of this id left data, keys or configuration. */
  hasKept(pluginId: string): Promise<boolean>;
  /** Removes the files of a data space. */
  removeData(space: string): Promise<void>;
  /** Whether there is anything in a data space: files, keys or the operator's values. */
  holdsData(space: string): Promise<boolean>;
  /** Reads grants, rules and ceilings again after a change. */
  refresh(): Promise<void>;
  logsOf(pluginId: string): readonly LogLine[];
  forgetLogs(pluginId: string): void;
  forgetCounts(plugin: PluginRef): void;
  /** Checks what is stored of every installed version, and stops what is not what was approved. */
  verifyAll(actor: string, options: PassOptions): Promise<StoreCheckAnswer>;
  /** Revokes a publisher's key, known or not, and stops what needs it. */
  revokeKey(operator: Operator, key: string, reason: string): Promise<unknown>;
}

/**
 * The version that an operator's answer is about: the one named, else the one that waits for an answer, else the active one.
 * @throws {SallyportError} `not_found`; `conflict` when several wait, so that no yes goes to another than was meant.
 */
export function answerable(deps: PluginsDeps, id: string, version?: string): StoredPlugin {
  if (version !== undefined) return deps.catalog.get(id, version);
  const waiting = deps.catalog.versions(id).filter((record) => record.state === "pending_approval");
  const [first = deps.catalog.get(id), ...more] = waiting;
  if (more.length === 0) return first;
  const versions = waiting.map((record) => record.ref.version);
  throw new SallyportError("conflict", `Several versions of ${id} wait for an answer: ${versions.join(", ")}.`, {
    fix: "Say which version you mean, or answer its request: sallyport approval list",
    data: { versions },
  });
}

export async function pendingApproval(deps: PluginsDeps, record: StoredPlugin): Promise<StoredApproval | undefined> {
  const pending = await listApprovals(deps.db, { kind: "plugin", state: "pending", pluginId: record.ref.id });
  return pending.find((approval) => approval.plugin.digest === record.ref.digest);
}

/** What takes a version's grant away, and says so. */
export function withdrawal(
  deps: PluginsDeps,
  record: StoredPlugin,
  operator: Operator,
): { readonly statements: readonly Statement[]; readonly events: readonly AuditEvent[] } {
  const grant = deps.views.grantOf(record);
  const facts = { plugin: record.ref, ...(grant ? { data: { grant: grant.id } } : {}) };
  return {
    statements: [
      withdrawGrantsOf(record.ref, operator.name, deps.clock.now()),
      // What was said yes to under this grant ends with it.
      withdrawCallsOf(record.ref, actorOf(operator), deps.clock.now(), "grant"),
    ],
    events: grant ? [eventOf(deps.clock, "grant.withdrawn", actorOf(operator), facts)] : [],
  };
}

export function actorOf(operator: Operator): string {
  return `operator:${operator.name}`;
}

export function eventOf(clock: Clock, type: AuditEvent["type"], actor: string, facts: Partial<AuditEvent>): AuditEvent {
  return { v: 1, id: newId("evt"), time: clock.now(), type, actor, ...facts };
}
