import type { HostConfig } from "../config/index.ts";
import { type Clock, displayLine, SallyportError, toSallyportError } from "../kernel/index.ts";
import {
  chooseVersion,
  fetchNpmArchive,
  fetchProvenance,
  type IndexEntry,
  isPinned,
  type NpmRegistry,
  openArchive,
  parseSourceSpec,
  PUBLIC_NPM,
  rangeOfTag,
  readNpmPackage,
  type ResolvedSource,
  type SourceSpec,
  type VersionOffer,
  type VersionWish,
  type WebPorts,
} from "../registry/index.ts";
import { type Database, listRevocations, type StoredRegistry } from "../store/index.ts";
import type { Registries } from "./registries.ts";

/** What choosing a version works with. */
export interface ChooseDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly registries: Registries;
  readonly hostVersion: string;
  config(): HostConfig;
}

export interface ResolveDeps extends ChooseDeps {
  readonly web: WebPorts;
  openPath(path: string): Promise<ResolvedSource>;
}

/**
 * Opens what an operator named: a path, a version of a registry, an npm package. Chooses the version, fetches its archive, checks it
 * against what its registry promised. Nothing is stored and nothing of it runs.
 * @throws {SallyportError} `usage`, `not_found`, `no_version`, `conflict` when several registries have it, `registry_untrusted`,
 * `network_failed`, `address_refused`, `revoked`, and as `openArchive`.
 */
export async function resolveSource(deps: ResolveDeps, text: string): Promise<ResolvedSource> {
  const spec = parseSourceSpec(text, deps.registries.kindOf);
  switch (spec.kind) {
    case "path":
      return deps.openPath(spec.path);
    case "index":
      return fromIndex(deps, spec, text);
    case "npm":
      return fromNpm(deps, spec, text);
  }
}

/** A version of a registry, chosen and not fetched: what its signed index says of it. */
export interface DependencyOffer {
  readonly registry: string;
  readonly id: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/**
 * Chooses a version of a plugin that another one needs, as `resolveSource` would. Undefined when no registry has it.
 * @throws {SallyportError} `no_version`, `conflict`, and as the registries do.
 */
export async function findOffer(deps: ChooseDeps, text: string): Promise<DependencyOffer | undefined> {
  const spec = parseSourceSpec(text, deps.registries.kindOf);
  if (spec.kind !== "index") return undefined;
  try {
    const { registry, entry } = await choose(deps, spec);
    return { registry: registry.name, id: entry.id, version: entry.version, dependencies: entry.dependencies };
  } catch (error) {
    if (toSallyportError(error).code === "not_found") return undefined;
    throw error;
  }
}

async function choose(deps: ChooseDeps, spec: SourceSpec & { readonly kind: "index" }) {
  const { registry, entries, warnings } = await findIn(deps, spec);
  const refusals = await refusalsOf(deps.db);
  const offers = entries.map((entry) => ({ ...offerOf(entry), refused: refusals(entry), entry }));
  const { entry } = chooseVersion(offers, wishFor(deps, `${spec.id} in ${registry.name}`, spec.range));
  return { registry, entry, warnings };
}

async function fromIndex(
  deps: ResolveDeps,
  spec: SourceSpec & { readonly kind: "index" },
  text: string,
): Promise<ResolvedSource> {
  const { registry, entry, warnings } = await choose(deps, spec);
  const bytes = await deps.registries.archive(registry, entry);
  const opened = { ...(await openArchive(bytes)), kind: "index" } as const;
  return {
    opened,
    record: {
      kind: "index",
      spec: text,
      registry: registry.name,
      name: entry.id,
      version: entry.version,
      integrity: opened.integrity,
      learned: "signed-index",
      publishedAt: entry.published_at,
    },
    provenance: undefined,
    promise: {
      id: entry.id,
      version: entry.version,
      treeDigest: entry.tree_digest,
      dependencies: entry.dependencies,
    },
    warnings: [
      ...warnings,
      ...unpinned(spec.range, `${registry.name}:${entry.id}@${entry.version}`),
      ...(entry.yanked === null ? [] : [`Its publisher took this version back: ${displayLine(entry.yanked, 300)}`]),
    ],
  };
}

/**
 * The one registry that has the plugin. When several have it, or one cannot be asked, the operator has to say which: a stranger who
 * publishes the same id elsewhere gains nothing, nor does who keeps a registry from answering.
 */
async function findIn(deps: ChooseDeps, { id, registry: name }: SourceSpec & { readonly kind: "index" }) {
  const asked = deps.registries.indexes().filter((registry) => name === undefined || registry.name === name);
  if (asked.length === 0) {
    throw new SallyportError("not_found", "There is no registry here to look for plugins in.", {
      fix: "Add one: sallyport registry add NAME URL --key KEY. For a folder or an archive write its path: ./NAME",
    });
  }
  const answers = await Promise.allSettled(asked.map((registry) => deps.registries.current(registry)));
  const found: { registry: StoredRegistry; entries: readonly IndexEntry[]; warnings: readonly string[] }[] = [];
  for (const [position, answer] of answers.entries()) {
    const registry = asked[position];
    if (!registry) continue;
    if (answer.status === "rejected") throw named(registry, answer.reason, asked.length > 1);
    const entries = answer.value.index.entries.filter((entry) => entry.id === id);
    if (entries.length > 0) found.push({ registry, entries, warnings: answer.value.warnings });
  }
  const [only, ...more] = found;
  const names = found.map(({ registry }) => registry.name);
  if (only && more.length === 0) return only;
  if (only) {
    throw new SallyportError("conflict", `Several registries have ${id}: ${names.join(", ")}.`, {
      detail: "They may be by different people.",
      fix: `Say which you mean: ${only.registry.name}:${id}`,
      data: { registries: names },
    });
  }
  const where = asked.map((registry) => registry.name);
  throw new SallyportError("not_found", `${where.join(" and ")} ${where.length === 1 ? "has" : "have"} no ${id}.`, {
    fix: `Look for it: sallyport plugin search ${id}. For a folder or an archive write its path: ./${id}`,
    data: { registries: where },
  });
}

function named(registry: StoredRegistry, reason: unknown, several: boolean): SallyportError {
  const { code, message, detail, fix, data } = toSallyportError(reason);
  const other = several ? `To leave it out, say which registry you mean: NAME:ID. ` : "";
  return new SallyportError(code, `${registry.name}: ${message}`, {
    ...(detail === undefined ? {} : { detail }),
    fix: `${other}${fix ?? ""}`.trim(),
    data,
    cause: reason,
  });
}

function offerOf(entry: IndexEntry): Omit<VersionOffer, "refused"> {
  return { version: entry.version, publishedAt: entry.published_at, yanked: entry.yanked, engine: entry.engine };
}

/** What was revoked here is not chosen, so that an older version may be. The bytes are looked at again when they are there. */
async function refusalsOf(db: Database): Promise<(entry: IndexEntry) => string | undefined> {
  const revoked = new Set((await listRevocations(db)).map(({ kind, value }) => `${kind} ${value}`));
  return (entry) => {
    if (revoked.has(`id ${entry.id}`)) return "was revoked here, with all of its versions";
    if (revoked.has(`tree_digest ${entry.tree_digest}`)) return "was revoked here";
    return entry.signed_by.some((key) => revoked.has(`publisher_key ${key}`))
      ? "is signed by a key that was revoked here"
      : undefined;
  };
}

function wishFor({ clock, config, hostVersion }: ChooseDeps, what: string, range: string): VersionWish {
  return { what, range, now: clock.now(), minimumAgeMs: config().minimumAgeMs, hostVersion };
}

function unpinned(range: string, exact: string): readonly string[] {
  if (isPinned(range)) return [];
  const asked = range === "" ? "no version" : displayLine(range);
  return [`The version was not pinned: you asked for ${asked}. To get the same again, write ${exact}`];
}

async function fromNpm(
  deps: ResolveDeps,
  spec: SourceSpec & { readonly kind: "npm" },
  text: string,
): Promise<ResolvedSource> {
  const registry = npmRegistry(deps.registries.npm(spec.registry));
  const { name } = spec;
  const pkg = await readNpmPackage(registry, name, deps.web);
  const offers = pkg.versions.map((own) => ({ ...own, yanked: null, engine: null, refused: undefined }));
  const version = chooseVersion(
    offers,
    wishFor(deps, `${name} in ${registry.name}`, rangeOfTag(pkg, name, spec.range)),
  );
  const bytes = await fetchNpmArchive(registry, name, version, deps.web);
  const bundle = await fetchProvenance(registry, version, deps.web);
  const opened = { ...(await openArchive(bytes)), kind: "npm" } as const;
  return {
    opened,
    record: {
      kind: "npm",
      spec: text,
      registry: registry.name,
      name,
      version: version.version,
      integrity: version.integrity,
      learned: "npm-metadata",
      publishedAt: version.publishedAt,
    },
    provenance: bundle === undefined ? undefined : { bundle, integrity: version.integrity },
    promise: { id: undefined, version: version.version, treeDigest: undefined, dependencies: undefined },
    warnings: [
      `${registry.name} is not curated: anybody can publish there. Only its signature or provenance says whose it is.`,
      ...unpinned(spec.range, `${spec.registry}:${name}@${version.version}`),
      ...(version.deprecated === undefined
        ? []
        : [`Its publisher marks this version as deprecated: ${displayLine(version.deprecated, 300)}`]),
    ],
  };
}

function npmRegistry(stored: StoredRegistry | undefined): NpmRegistry {
  return stored ? { name: stored.name, url: new URL(stored.place), private: stored.private } : PUBLIC_NPM;
}
