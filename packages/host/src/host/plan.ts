import type { Authority, Broker } from "../broker/index.ts";
import type { LoadPermit } from "../catalog/index.ts";
import { answersRequest, type Scope } from "../capability/index.ts";
import type { HostConfig } from "../config/index.ts";
import { LIMITS } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { LaunchPlan } from "../supervisor/index.ts";

export interface PlanSources {
  readonly broker: Broker;
  readonly config: HostConfig;
  readonly ceiling: readonly Scope[] | undefined;
  readonly dataDir: string;
  readonly openRuntimePermissions: boolean;
}

const MEMORY_MB = { usual: LIMITS.memoryMb, most: 1024 };
const CONCURRENCY = { usual: LIMITS.concurrency, most: 256 };

/** What the launcher is told. Paths, limits and level are the host's; of the plugin's own text only `view` carries any. */
export function planLaunch(record: StoredPlugin, permit: LoadPermit, sources: PlanSources): LaunchPlan {
  const { config } = sources;
  const granted = permit.grant.scopes;
  const authority: Authority = {
    plugin: record.ref,
    declared: declaredScopes(record.manifest, granted),
    granted,
    dataDir: sources.dataDir,
    ...(sources.ceiling === undefined ? {} : { ceiling: sources.ceiling }),
  };
  const session = sources.broker.session(authority);
  return {
    view: {
      ref: record.ref,
      tools: record.manifest.tools.map((tool) => tool.name),
      scopes: granted,
      config: permit.config,
      secrets: session.secretsView,
    },
    level: permit.level,
    root: record.root,
    bundle: record.bundle,
    limits: {
      memoryMb: within(record.manifest.limits.memoryMb, config.limits.memoryMb, MEMORY_MB),
      concurrency: within(record.manifest.limits.concurrency, config.limits.concurrency, CONCURRENCY),
    },
    broker: session,
    ...(sources.openRuntimePermissions ? { openRuntimePermissions: true } : {}),
  };
}

/** What the manifest asks for, and what an operator filled in where it asked without a scope. */
function declaredScopes(manifest: Manifest, granted: readonly Scope[]): readonly Scope[] {
  const asked = manifest.permissions.flatMap((request) => (request.scope ? [request.scope] : []));
  const open = manifest.permissions.filter((request) => request.scope === null);
  return [...asked, ...granted.filter((scope) => open.some((request) => answersRequest(scope, request)))];
}

/** The plugin's wish, up to the operator's limit or, without one, the host's. */
function within(
  asked: number | undefined,
  operators: number | undefined,
  bounds: { usual: number; most: number },
): number {
  return Math.min(asked ?? bounds.usual, operators ?? bounds.most);
}

/** What a manifest asks for beyond the bounds here, in words: it runs with less than its author counts on. */
export function cutLimits({ limits }: Manifest, { limits: own }: HostConfig): readonly string[] {
  return [
    ...cutLimit("memory_mb", limits.memoryMb, own.memoryMb ?? MEMORY_MB.most),
    ...cutLimit("concurrency", limits.concurrency, own.concurrency ?? CONCURRENCY.most),
  ];
}

function cutLimit(name: string, asked: number | undefined, most: number): readonly string[] {
  return asked !== undefined && asked > most
    ? [`limits.${name} asks for ${asked}; it gets ${most}, the most that this host gives.`]
    : [];
}
