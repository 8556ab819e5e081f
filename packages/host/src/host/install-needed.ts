import type { InstallAnswer, InstalledDependency, InstallRequest, Operator } from "../host-api.ts";
import { canonicalJson, SallyportError } from "../kernel/index.ts";
import type { ResolvedSource } from "../registry/index.ts";
import { type Brought, noteBringing, unfinished } from "./bringing.ts";
import { installResolved, STEPS } from "./install.ts";
import { assertPromised } from "./install-checks.ts";
import { load } from "./load.ts";
import { type Needed, planNeeded } from "./needed.ts";
import type { PluginsDeps } from "./plugins-deps.ts";
import { uninstall } from "./retire.ts";
import { summaryOf } from "./views.ts";

/** Bytes of all that comes along with one plugin, since they are held at the same time. */
const MOST_BYTES = 256 * 1024 * 1024;

interface Fetched extends Needed {
  readonly source: ResolvedSource;
}

/**
 * Installs a plugin and before it what it needs and is not there. All of it is chosen, fetched and compared with its registry's
 * word before anything is stored; when one fails, none of them stays. Nothing of them runs, and each waits for its own answer.
 * @throws {SallyportError} as the sources, `planNeeded` and `installResolved`; with `load` as loading.
 */
export async function install(deps: PluginsDeps, operator: Operator, request: InstallRequest): Promise<InstallAnswer> {
  const { source, load: alsoLoad, dependencies = true, ...wanted } = request;
  request.onStep?.({ name: STEPS[0], index: 0, of: STEPS.length });
  const resolved = await deps.openSource(source);
  // Named by its exact version now; what the lock says of how it was named stays.
  const record = request.frozen ? { ...resolved.record, spec: request.frozen.spec } : resolved.record;
  // A lock pins what is installed: what it does not name does not come along.
  const plan = request.frozen
    ? { needed: [], warnings: [] }
    : await planNeeded(deps, deps.manifestOf(resolved.opened), record, dependencies);
  const all = await withNeeded(deps, operator, plan.needed, request.onStep, async (brought) => {
    const answer = await installResolved(deps, operator, { ...resolved, record }, wanted);
    return { ...answer, warnings: [...answer.warnings, ...plan.warnings], dependencies: brought };
  });
  if (alsoLoad !== true) return all;
  const { id, version } = all.plugin;
  await load(deps, operator, deps.catalog.get(id, version));
  const loaded = deps.catalog.get(id, version);
  return { ...all, plugin: summaryOf(deps.views, loaded), loaded: loaded.state === "running" };
}

/** Brings along what a plugin needs, then does the work that needs it; when that fails, what was new of it goes again. */
export async function withNeeded<Result>(
  deps: PluginsDeps,
  operator: Operator,
  all: readonly Needed[],
  onStep: InstallRequest["onStep"],
  work: (brought: readonly InstalledDependency[]) => Promise<Result>,
): Promise<Result> {
  if (all.length === 0) return work([]);
  const fetched = await fetchAll(deps, all);
  const added = all.filter(({ id }) => deps.catalog.versions(id).length === 0);
  const done = await noteBringing(deps.db, added);
  try {
    const brought: InstalledDependency[] = [];
    for (const { source, ...needed } of fetched) {
      const {
        dependencies: _none,
        loaded: _never,
        ...answer
      } = await installResolved(deps, operator, source, {
        expect: { id: needed.id, version: needed.version },
        ...(onStep && { onStep }),
      });
      brought.push({ ...answer, wantedBy: needed.wantedBy });
    }
    return await work(brought);
  } catch (error) {
    // The failure that is told is the first one; what could not be taken back waits for an answer like any other.
    for (const needed of added.toReversed()) await takeBack(deps, operator, needed).catch(() => undefined);
    throw error;
  } finally {
    await done();
  }
}

/** At the host's start: of installs that were cut off, what came along for a plugin that never came. */
export async function takeBackUnfinished(deps: PluginsDeps, operator: Operator): Promise<void> {
  for (const { brought, done } of await unfinished(deps.db)) {
    for (const needed of brought.toReversed()) await takeBack(deps, operator, needed);
    await done();
  }
}

async function fetchAll(deps: PluginsDeps, all: readonly Needed[]): Promise<readonly Fetched[]> {
  const fetched: Fetched[] = [];
  let bytes = 0;
  for (const needed of all) {
    const source = await deps.openSource(`${needed.registry}:${needed.id}@${needed.version}`);
    bytes += source.opened.files.reduce((sum, file) => sum + file.size, 0);
    if (bytes > MOST_BYTES) {
      throw new SallyportError(
        "source_too_large",
        "What the plugin needs is too large to be installed along with it.",
        {
          detail: `It has more than ${MOST_BYTES} bytes.`,
          fix: `Install them one by one: sallyport plugin install ${needed.registry}:${needed.id}`,
        },
      );
    }
    // What it pulls in is its publisher's word in the manifest, never the registry's: asked before anything is stored.
    const { dependencies } = deps.manifestOf(source.opened);
    assertPromised("list of dependencies", canonicalJson(needed.dependencies), canonicalJson(dependencies));
    fetched.push({ ...needed, source });
  }
  return fetched;
}

/** Of what was brought along for a plugin that did not come, nothing stays, unless somebody took it up meanwhile. */
async function takeBack(deps: PluginsDeps, operator: Operator, { id, version }: Brought): Promise<void> {
  const record = deps.catalog.versions(id).find((own) => own.ref.version === version);
  const wanted = deps.catalog.all().some(({ manifest }) => Object.hasOwn(manifest.dependencies, id));
  if (record?.state === "pending_approval" && !wanted) await uninstall(deps, operator, id, { version });
}
