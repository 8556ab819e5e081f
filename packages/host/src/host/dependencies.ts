import semver from "semver";
import { isLive } from "../catalog/index.ts";
import type { Operator } from "../host-api.ts";
import { displayLine, SallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { actorOf, type PluginsDeps } from "./plugins-deps.ts";
import { start } from "./switch.ts";

/** Who wants which versions of a plugin. */
export interface Dependant {
  readonly id: string;
  readonly version: string;
  readonly range: string;
}

/** Installed versions that count on `id`: each active one, live or ready to be loaded. */
export function dependantsOf({ catalog }: Pick<PluginsDeps, "catalog">, id: string): readonly StoredPlugin[] {
  const ready = ["approved", "stopped", "failed"];
  return catalog
    .all()
    .filter(
      (record) =>
        record.active &&
        record.ref.id !== id &&
        Object.hasOwn(record.manifest.dependencies, id) &&
        (isLive(record.state) || ready.includes(record.state)),
    );
}

/** @throws {SallyportError} `dependency_conflict` when `version` of `id` would not do for a plugin that counts on it. */
export function assertSuitsDependants(deps: Pick<PluginsDeps, "catalog">, id: string, version: string): void {
  const unhappy = dependantsOf(deps, id)
    .map((record) => ({ ...record.ref, range: record.manifest.dependencies[id] ?? "" }))
    .filter(({ range }) => !semver.satisfies(version, range));
  if (unhappy.length === 0) return;
  throw new SallyportError("dependency_conflict", `${id} ${displayLine(version)} does not do for what depends on it.`, {
    detail: wishes(id, unhappy),
    fix: `Upgrade ${listed(unhappy)} first, or choose a version of ${id} that all of them accept.`,
    data: { plugin: id, version, dependants: unhappy.map(({ id: who, range }) => ({ id: who, range })) },
  });
}

/**
 * Looks at the dependencies of a plugin that is about to be installed: no circle, and nothing that no version can satisfy.
 * What is only not there yet may come later; the gate of a load asks again.
 * @throws {SallyportError} `dependency_conflict` with who wants what.
 */
export function assertDependenciesFit(deps: Pick<PluginsDeps, "catalog">, manifest: Manifest): void {
  const circle = circleFrom(deps, manifest);
  if (circle) throw circular(circle);
  for (const [id, range] of Object.entries(manifest.dependencies)) {
    const others = dependantsOf(deps, id)
      .filter((record) => record.ref.id !== manifest.id)
      .map((record) => ({ ...record.ref, range: record.manifest.dependencies[id] ?? "" }));
    const against = others.find((other) => !semver.intersects(other.range, range));
    if (!against) continue;
    const both = [against, { id: manifest.id, version: manifest.version, range }];
    throw new SallyportError("dependency_conflict", `No version of ${id} does for all that depend on it.`, {
      detail: wishes(id, both),
      fix: `Install versions of ${listed(both)} that accept the same ${id}: one version of a plugin is active at a time.`,
      data: { plugin: id, dependants: both.map(({ id: who, range: wanted }) => ({ id: who, range: wanted })) },
    });
  }
}

export function circular(circle: readonly string[]): SallyportError {
  return new SallyportError(
    "dependency_conflict",
    "Plugins that depend on each other in a circle can never be loaded.",
    {
      detail: circle.map((id) => displayLine(id)).join(" needs "),
      fix: "Install a version of one of them that does not close the circle.",
      data: { circle },
    },
  );
}

/** The way from a plugin back to itself, over the active versions of what it needs. */
function circleFrom({ catalog }: Pick<PluginsDeps, "catalog">, manifest: Manifest): readonly string[] | undefined {
  const seen = new Set<string>();
  const walk = (id: string, path: readonly string[]): readonly string[] | undefined => {
    if (id === manifest.id) return [...path, id];
    if (seen.has(id)) return undefined;
    seen.add(id);
    for (const next of Object.keys(catalog.find(id)?.manifest.dependencies ?? {})) {
      const found = walk(next, [...path, id]);
      if (found) return found;
    }
    return undefined;
  };
  for (const id of Object.keys(manifest.dependencies)) {
    const found = walk(id, [manifest.id]);
    if (found) return found;
  }
  return undefined;
}

/** Starts what a plugin needs and does not run yet, first what those need. The gates say what is missing. */
export async function loadDependencies(
  deps: PluginsDeps,
  operator: Operator,
  record: StoredPlugin,
  path: readonly string[] = [record.ref.id],
): Promise<void> {
  for (const id of Object.keys(record.manifest.dependencies)) {
    const dependency = deps.catalog.find(id);
    if (!dependency?.active || isLive(dependency.state) || path.includes(id)) continue;
    if (!["approved", "stopped", "failed"].includes(dependency.state)) continue;
    await loadDependencies(deps, operator, dependency, [...path, id]);
    await start(deps, actorOf(operator), dependency);
  }
}

/** What to do about plugins that count on the one that goes. */
export interface DependantsChoice {
  /** Goes on, and leaves them without it. */
  readonly force?: boolean;
  /** Stops them first. */
  readonly withDependants?: boolean;
}

/**
 * Before a plugin is stopped, disabled or uninstalled: those that count on it are named, or stopped first.
 * @throws {SallyportError} `dependency_conflict` when there are any and nothing was said about them.
 */
export async function settleDependants(
  deps: PluginsDeps,
  operator: Operator,
  id: string,
  { force = false, withDependants = false }: DependantsChoice,
  drainMs: number,
): Promise<void> {
  if (force) return;
  const live = dependantsOf(deps, id).filter(({ state }) => isLive(state));
  if (live.length === 0) return;
  if (!withDependants) {
    throw new SallyportError(
      "dependency_conflict",
      `Plugins that run depend on ${id}: ${listed(live.map(({ ref }) => ref))}.`,
      {
        detail: wishes(
          id,
          live.map(({ ref, manifest }) => ({ ...ref, range: manifest.dependencies[id] ?? "" })),
        ),
        fix: "Unload them first, or say --with-dependants to stop them too, or --force to leave them without it.",
        data: { plugin: id, dependants: live.map(({ ref }) => ref.id) },
      },
    );
  }
  for (const dependant of live) {
    await settleDependants(deps, operator, dependant.ref.id, { withDependants }, drainMs);
    const now = deps.catalog.current(dependant.ref);
    if (!now || !isLive(now.state)) continue;
    await deps.runtime.stop(now, "stopped", { actor: actorOf(operator), reason: "dependency_stopped" }, drainMs);
  }
}

/** Who wants which versions of it, in sentences. */
export function wishes(id: string, dependants: readonly Dependant[]): string {
  return dependants
    .map(({ id: who, version, range }) => `${who} ${displayLine(version)} wants ${id} ${displayLine(range)}.`)
    .join(" ");
}

export function listed(plugins: readonly { readonly id: string }[]): string {
  return [...new Set(plugins.map(({ id }) => id))].join(", ");
}
