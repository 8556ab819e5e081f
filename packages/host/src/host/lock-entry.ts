import { digestOf, PolicyViolationError } from "../kernel/index.ts";
import type { Manifest, ToolDefinition } from "../manifest/index.ts";
import { LOCK_FILE, type LockDifference, lockDifferences, type LockEntry, lockKey } from "../registry/index.ts";
import type { PluginOrigin, StoredPlugin } from "../store/index.ts";

/** Digest of a tool's whole definition, which is what an approval of a call and a lock are about. */
export function definitionDigest(pluginId: string, tool: ToolDefinition): string {
  return digestOf("sallyport-tool-v1", { plugin: pluginId, ...tool });
}

type Lockable = Pick<
  StoredPlugin,
  "ref" | "manifest" | "manifestDigest" | "codeDigest" | "source" | "origin" | "publisherKey"
>;

/** Digests of definitions are the same for the life of a manifest, which a record keeps through all its states. */
const definitions = new WeakMap<Manifest, Readonly<Record<string, string>>>();

export function lockEntryOf(record: Lockable): LockEntry {
  const { ref, manifest, origin } = record;
  return {
    id: ref.id,
    version: ref.version,
    source: record.source,
    spec: origin?.spec ?? record.source.slice(record.source.indexOf(":") + 1),
    registry: origin?.registry ?? null,
    integrity: ref.digest,
    manifest: record.manifestDigest,
    code: record.codeDigest,
    archive: origin?.integrity ?? null,
    learned: learnedOf(origin, record.publisherKey),
    signer: record.publisherKey ?? null,
    permissions: manifest.permissions.map(({ key }) => key).toSorted(),
    tools: definitionsOf(manifest),
    dependencies: { ...manifest.dependencies },
  };
}

export function definitionsOf(manifest: Manifest): Readonly<Record<string, string>> & Record<string, string> {
  let known = definitions.get(manifest);
  if (!known) {
    known = Object.fromEntries(manifest.tools.map((tool) => [tool.name, definitionDigest(manifest.id, tool)]));
    definitions.set(manifest, known);
  }
  return { ...known };
}

function learnedOf(origin: PluginOrigin | undefined, signer: string | undefined): Record<string, string> {
  const here = "computed here over every file that is stored, the bundle included";
  const signed = signer === undefined ? here : `${here}; a signature by ${signer} states the same`;
  const archive = archiveLearned(origin);
  return {
    integrity: origin === undefined ? `${here}, before there was a lock` : signed,
    manifest: "computed here over the manifest's content",
    code: "computed here over what runs",
    ...(archive === undefined ? {} : { archive }),
  };
}

function archiveLearned(origin: PluginOrigin | undefined): string | undefined {
  switch (origin?.learned) {
    case "archive-read-here":
      return "computed here over the archive's bytes; nobody announced it";
    case "signed-index":
      return `announced by the signed index of ${origin.registry ?? "a registry"}, and computed here over the bytes that came`;
    case "npm-metadata":
      return `announced by the npm registry ${origin.registry ?? ""}, and computed here over the bytes that came`;
    case "directory":
    case undefined:
      return undefined;
  }
}

/** @throws {PolicyViolationError} `lock_mismatch` when what came is not exactly what the lock pins. */
export function assertFrozen(pinned: LockEntry | undefined, actual: LockEntry): void {
  const [first] = pinned ? lockDifferences(pinned, actual) : [];
  if (pinned && first)
    throw lockMismatch(pinned, first, "Install what the lock names, or lock the new one without --frozen.");
}

/** One difference, told as file, expected, actual and what to do. */
export function lockMismatch(
  plugin: { readonly id: string; readonly version: string },
  { field, expected, actual }: LockDifference,
  fix: string,
): PolicyViolationError {
  return new PolicyViolationError(
    "lock_mismatch",
    `${plugin.id} ${plugin.version} is not what ${LOCK_FILE} pins: its ${field} differs.`,
    {
      detail: `Expected ${expected}, found ${actual}.`,
      fix,
      data: { file: LOCK_FILE, plugin: lockKey(plugin), field, expected, actual },
    },
  );
}
