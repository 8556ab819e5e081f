import semver from "semver";
import { displayLine, SallyportError, toSallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { ResolvedSource } from "../registry/index.ts";
import { circular, type Dependant, listed, wishes } from "./dependencies.ts";
import type { PluginsDeps } from "./plugins-deps.ts";
import type { DependencyOffer } from "./resolve-source.ts";

/** A version that has to be installed first, and for whom. */
export interface Needed extends DependencyOffer {
  readonly wantedBy: readonly Dependant[];
}

export interface NeededPlan {
  /** What needs nothing comes first. */
  readonly needed: readonly Needed[];
  /** What is missing and is not looked for, in sentences with what to do. */
  readonly warnings: readonly string[];
}

/** Where what a plugin needs may come from: its own registry, those of this home for a folder, nowhere for a package of npm. */
type Place = { readonly registry: string } | "any" | "none";
type Wish = Dependant & { readonly place: Place };

/** Plugins that one install may bring along, and choices that are made for them. */
const MOST_NEEDED = 32;
const MOST_CHOICES = 200;
const MOST_RANGES = 64;

type Ports = Pick<PluginsDeps, "catalog" | "findOffer">;

/**
 * Chooses what a plugin needs and this home has not got, and what that needs: each the highest version that does for all that want
 * it. Only indexes are read. What is installed is left as it is.
 * @param lookFor false: nothing is looked for, what is missing is only told.
 * @throws {SallyportError} `dependency_missing`, `dependency_conflict`, and as the registries do.
 */
export async function planNeeded(
  deps: Ports,
  manifest: Manifest,
  record: ResolvedSource["record"],
  lookFor: boolean,
): Promise<NeededPlan> {
  const wanted = new Map<string, readonly Wish[]>();
  const chosen = new Map<string, DependencyOffer>();
  const open: string[] = [];
  const warnings: string[] = [];

  function want(who: Pick<Manifest, "id" | "version" | "dependencies">, place: Place): void {
    for (const [id, range] of Object.entries(who.dependencies)) {
      wanted.set(id, [...(wanted.get(id) ?? []), { id: who.id, version: who.version, range, place }]);
      open.push(id);
    }
  }

  /** What a version wanted that is not taken after all, and what was only there for it. */
  function forget(id: string): void {
    for (const [other, list] of wanted) {
      const rest = list.filter((wish) => wish.id !== id);
      wanted.set(other, rest);
      if (rest.length === 0 && list.length > 0 && chosen.delete(other)) forget(other);
    }
  }

  want(manifest, lookFor ? placeOf(record) : "none");
  for (let choices = 0; ;) {
    const id = open.shift();
    if (id === undefined) break;
    const asked = wanted.get(id) ?? [];
    // A circle is told when all are known, with the way around it.
    if (id === manifest.id || asked.length === 0 || deps.catalog.find(id)) continue;
    const before = chosen.get(id);
    if (before && asked.every(({ range }) => semver.satisfies(before.version, range))) continue;
    if (++choices > MOST_CHOICES) throw tooMany(manifest, "No versions that do for each other were found.");
    const offer = await choose(deps, id, asked);
    if (offer === undefined) continue;
    if (before) forget(id);
    chosen.set(id, offer);
    if (chosen.size > MOST_NEEDED) throw tooMany(manifest, `It needs more than ${MOST_NEEDED}.`);
    want(offer, { registry: offer.registry });
  }

  for (const [id, asked] of wanted) {
    if (id !== manifest.id && !chosen.has(id)) warnings.push(...asked.flatMap((wish) => lackOf(deps, id, wish)));
  }
  const needed = inOrder(manifest, chosen).map((offer) => ({ ...offer, wantedBy: dependantsIn(wanted, offer.id) }));
  return { needed, warnings };
}

function placeOf({ kind, registry }: ResolvedSource["record"]): Place {
  if (kind === "npm") return "none";
  return kind === "index" && registry !== undefined ? { registry } : "any";
}

function dependantsIn(wanted: ReadonlyMap<string, readonly Wish[]>, id: string): readonly Dependant[] {
  return (wanted.get(id) ?? []).map(({ id: who, version, range }) => ({ id: who, version, range }));
}

/** @returns undefined when it need not be there yet: it may come from a folder, too. */
async function choose({ findOffer }: Ports, id: string, asked: readonly Wish[]): Promise<DependencyOffer | undefined> {
  const registries = [...new Set(asked.flatMap(({ place }) => (typeof place === "object" ? [place.registry] : [])))];
  const [registry, another] = registries;
  if (another !== undefined) {
    throw new SallyportError("dependency_conflict", `Plugins of several registries need ${displayLine(id)}.`, {
      detail: `${wishes(id, asked)} Each means that of its own registry: ${registries.join(", ")}.`,
      fix: `Install the one that you mean first: sallyport plugin install ${registry}:${displayLine(id)}`,
      data: { plugin: id, registries },
    });
  }
  if (registry === undefined && !asked.some(({ place }) => place === "any")) return undefined;
  const range = rangeOfAll(id, asked);
  const offer = await findOffer(`${registry === undefined ? "" : `${registry}:`}${id}@${range}`).catch(
    (error: unknown) => {
      throw explained(id, asked, error);
    },
  );
  if (offer?.id === id) return offer;
  if (registry !== undefined) {
    throw new SallyportError("dependency_missing", `${registry} has no ${displayLine(id)}, which is needed.`, {
      detail: `${wishes(id, asked)} It is looked for nowhere else: another registry's ${displayLine(id)} is somebody else's.`,
      fix: `Install it first from where you trust it, or say --no-dependencies to go on without it.`,
      data: { plugin: id, registry, dependants: asked.map(({ id: who }) => who) },
    });
  }
  return undefined;
}

/** One range that is within each of them. @throws {SallyportError} `dependency_conflict` when there is none. */
function rangeOfAll(id: string, asked: readonly Wish[]): string {
  const [first, ...more] = [...new Set(asked.map(({ range }) => range))];
  if (first === undefined || more.length === 0) return first ?? "";
  let all: readonly string[] = alternatives(first);
  for (const range of more) {
    const both = all.flatMap((own) => alternatives(range).map((other) => `${own} ${other}`.trim()));
    all = both.filter((own) => semver.minVersion(own) !== null);
    if (all.length === 0 || all.length > MOST_RANGES) throw noneForAll(id, asked);
  }
  return all.join(" || ");
}

/** The ranges around `||`, as plain comparisons, so that they can stand beside others. */
function alternatives(range: string): readonly string[] {
  return new semver.Range(range).range.split("||").map((own) => own.trim());
}

function noneForAll(id: string, asked: readonly Dependant[], detail = ""): SallyportError {
  return new SallyportError("dependency_conflict", `No version of ${displayLine(id)} does for all that need it.`, {
    detail: `${wishes(id, asked)} ${detail}`.trim(),
    fix: `Install versions of ${listed(asked)} that accept the same ${displayLine(id)}: one version of a plugin is active at a time.`,
    data: { plugin: id, dependants: asked.map(({ id: who, range }) => ({ id: who, range })) },
  });
}

/** What a registry answered, with who wants it. */
function explained(id: string, asked: readonly Wish[], error: unknown): SallyportError {
  const { code, message, detail = "", fix, data } = toSallyportError(error);
  if (code === "no_version" && asked.length > 1) return noneForAll(id, asked, detail);
  return new SallyportError(code === "no_version" ? "dependency_missing" : code, message, {
    detail: `${wishes(id, asked)} ${detail}`.trim(),
    ...(fix !== undefined && { fix }),
    data: { ...data, plugin: id },
    cause: error,
  });
}

/** What is not there, or not as it is wanted. */
function lackOf({ catalog }: Ports, id: string, wish: Wish): readonly string[] {
  const there = catalog.find(id)?.ref.version;
  if (there !== undefined && semver.satisfies(there, wish.range)) return [];
  const needs = `${wish.id} ${displayLine(wish.version)} needs the plugin ${id} ${displayLine(wish.range)}`;
  if (there !== undefined)
    return [`${needs}, and ${there} is active. Before it can be loaded: sallyport plugin upgrade ${id}`];
  const nowhere = wish.place === "any" ? ", and no registry that was added here has it" : "";
  return [
    `${needs}, which is not installed${nowhere}. Before it can be loaded: sallyport plugin install '${id}@${displayLine(wish.range)}', or the folder or archive that has it: sallyport plugin install ./${id}`,
  ];
}

/** What needs nothing first. @throws {SallyportError} `dependency_conflict` for a circle. */
function inOrder(root: Manifest, chosen: ReadonlyMap<string, DependencyOffer>): readonly DependencyOffer[] {
  const order: DependencyOffer[] = [];
  const visit = (id: string, dependencies: Readonly<Record<string, string>>, path: readonly string[]): void => {
    for (const next of Object.keys(dependencies)) {
      const way = [...path, id];
      if (way.includes(next)) throw circular([...way.slice(way.indexOf(next)), next]);
      const offer = chosen.get(next);
      if (!offer || order.includes(offer)) continue;
      visit(next, offer.dependencies, way);
      order.push(offer);
    }
  };
  visit(root.id, root.dependencies, []);
  return order;
}

function tooMany({ id }: Manifest, detail: string): SallyportError {
  return new SallyportError("dependency_conflict", `What ${id} needs does not work out.`, {
    detail,
    fix: "Install what it needs one by one, or say --no-dependencies.",
  });
}
