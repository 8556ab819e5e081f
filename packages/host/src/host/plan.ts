import type { Authority, Broker } from "../broker/index.ts";
import type { LoadPermit } from "../catalog/index.ts";
import { answersRequest, type Scope } from "../capability/index.ts";
import type { HostConfig } from "../config/index.ts";
import { LIMITS } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import { BUNDLE_PATH } from "../registry/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { LaunchPlan, ProcessLimits } from "../supervisor/index.ts";
import { configForPlugin } from "./configs.ts";
import { programPlan } from "./program.ts";
import { grantedHooks } from "./watchers.ts";

export interface PlanSources {
  readonly broker: Broker;
  readonly config: HostConfig;
  /** Where the verified files of exactly this digest are. */
  readonly root: string;
  readonly ceiling: readonly Scope[] | undefined;
  readonly space: string;
  readonly dataDir: string;
  readonly openRuntimePermissions: boolean;
}

/** What the launcher is told. Paths, limits and level are the host's; of the plugin's own text only `view` carries any. */
export function planLaunch(record: StoredPlugin, permit: LoadPermit, sources: PlanSources): LaunchPlan {
  const { config } = sources;
  const granted = permit.grant.scopes;
  const authority: Authority = {
    plugin: record.ref,
    declared: declaredScopes(record.manifest, granted),
    granted,
    space: sources.space,
    dataDir: sources.dataDir,
    level: permit.level,
    ...(sources.ceiling === undefined ? {} : { ceiling: sources.ceiling }),
  };
  const session = sources.broker.session(authority);
  const program = programPlan(record.manifest);
  return {
    view: {
      ref: record.ref,
      tools: record.manifest.tools.map((tool) => tool.name),
      hooks: [...new Set(grantedHooks(record.manifest, granted, sources.ceiling).map(({ handler }) => handler))],
      scopes: granted.map(asTold),
      config: configForPlugin(record.manifest, permit.config, session.secretsView),
      secrets: session.secretsView,
    },
    level: permit.level,
    root: sources.root,
    // Not what the record says: a row of the database must not choose what runs.
    bundle: record.manifest.interpreter === undefined ? BUNDLE_PATH : record.manifest.entry,
    limits: processLimits(record.manifest, config),
    broker: session,
    ...(program && { program }),
    ...(sources.openRuntimePermissions ? { openRuntimePermissions: true } : {}),
  };
}

/** Which file a command is on this machine is no plugin's business. */
function asTold(scope: Scope): Scope {
  if (scope.capability !== "exec") return scope;
  const { file: _file, ...told } = scope;
  return told;
}

/** What the manifest asks for, and what an operator filled in where it asked without a scope. */
function declaredScopes(manifest: Manifest, granted: readonly Scope[]): readonly Scope[] {
  const asked = manifest.permissions.flatMap((request) => (request.scope ? [request.scope] : []));
  const open = manifest.permissions.filter((request) => request.scope === null);
  return [...asked, ...granted.filter((scope) => open.some((request) => answersRequest(scope, request)))];
}

/** What the manifest asks for, which a gate has found to be within bounds, or else the usual, within the operator's. */
function processLimits({ limits: asked }: Manifest, { limits: own }: HostConfig): ProcessLimits {
  return {
    memoryMb: asked.memoryMb ?? Math.min(LIMITS.memoryMb, own.memoryMb ?? Infinity),
    concurrency: asked.concurrency ?? Math.min(LIMITS.concurrency, own.concurrency ?? Infinity),
    ...(own.tasks === undefined ? {} : { tasks: own.tasks }),
    ...(own.processors === undefined ? {} : { processors: own.processors }),
  };
}
