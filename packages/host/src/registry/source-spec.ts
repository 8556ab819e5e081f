import semver from "semver";
import { displayLine, SallyportError } from "../kernel/index.ts";
import type { TrustEvidence } from "../trust/index.ts";
import type { OpenedSource } from "./opened.ts";

/** What an operator asked to install, parsed. Nothing was looked at yet. */
export type SourceSpec =
  /** A directory or an archive file; absolute. */
  | { readonly kind: "path"; readonly path: string }
  /** A version from a registry with a signed index; without a name, from the one registry that has the plugin. */
  | { readonly kind: "index"; readonly id: string; readonly range: string; readonly registry: string | undefined }
  /** A version from an npm registry. */
  | { readonly kind: "npm"; readonly name: string; readonly range: string; readonly registry: string };

/** Where the bytes came from: goes into the plugin's record, its audit events and the lock. */
export interface SourceRecord {
  readonly kind: "directory" | "archive" | "index" | "npm";
  /** As the operator wrote it: a path, `weather@^1.2`, `npm:@acme/weather@1.2.0`. */
  readonly spec: string;
  /** Name of the registry; undefined for a path. */
  readonly registry: string | undefined;
  /** The plugin's id in an index, the package's name at npm; undefined for a path. */
  readonly name: string | undefined;
  /** The exact version that was chosen; undefined for a path, whose manifest says it. */
  readonly version: string | undefined;
  /** `sha512-<base64>` over the archive's bytes, computed here; undefined for a directory. */
  readonly integrity: string | undefined;
  /** How that hash was learned, for the lock. */
  readonly learned: "directory" | "archive-read-here" | "signed-index" | "npm-metadata";
  /** When it was published, as the registry says; milliseconds since the epoch. */
  readonly publishedAt: number | undefined;
}

/** What a registry said of a version. The bytes must agree, else it is refused before anything is stored. */
export interface SourcePromise {
  readonly id: string | undefined;
  readonly version: string;
  readonly treeDigest: string | undefined;
  readonly dependencies: Readonly<Record<string, string>> | undefined;
}

/** A plugin's bytes, fetched, checked against what its registry promised, and in memory. Nothing of it has run. */
export interface ResolvedSource {
  readonly opened: OpenedSource;
  readonly record: SourceRecord;
  /** Provenance that came beside the archive, not yet verified. The signature is in `opened`. */
  readonly provenance: TrustEvidence["provenance"];
  readonly promise: SourcePromise | undefined;
  /** For people: a version that was not pinned, a source that nobody curates. */
  readonly warnings: readonly string[];
}

/** A registry's name in front, as in `acme:weather`. */
const PREFIX = /^([a-z][a-z0-9-]{0,59}):/;
const ID = /^[a-z][a-z0-9-]*(?:\/[a-z][a-z0-9-]*)?$/;
const NPM_NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;
const TAG = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
const MAX_TEXT = 4096;

/** The npm registry that is asked without any being added. */
export const DEFAULT_NPM = "npm";

/**
 * Reads what an operator wrote: `/a/path` (absolute), `ID[@RANGE]` in the one registry that has it, or with a registry's name in
 * front `acme:ID[@RANGE]`, `npm:NAME[@RANGE]`. An empty range is any release. A path that looks like an id has to be made absolute
 * by whoever knows the working directory.
 * @param kindOf what kind of registry has this name; undefined when none was added. `npm` is one of npm's always.
 * @throws {SallyportError} `usage`; `not_found` for a registry that was not added.
 */
export function parseSourceSpec(text: string, kindOf: (registry: string) => "index" | "npm" | undefined): SourceSpec {
  if (text.length > MAX_TEXT || text.includes("\0")) throw unreadable(text);
  if (text.startsWith("/")) return { kind: "path", path: text };
  const registry = PREFIX.exec(text)?.[1];
  const kind = registry === undefined ? "index" : (kindOf(registry) ?? (registry === DEFAULT_NPM ? "npm" : undefined));
  if (kind === undefined) throw unknownRegistry(registry ?? "");
  const rest = registry === undefined ? text : text.slice(registry.length + 1);
  const at = rest.indexOf("@", 1);
  const name = at === -1 ? rest : rest.slice(0, at);
  const range = at === -1 ? "" : rest.slice(at + 1).trim();
  const isNpm = kind === "npm";
  if (isNpm ? name.length > 214 || !NPM_NAME.test(name) : name.length > 130 || !ID.test(name)) throw unreadable(text);
  if (semver.validRange(range) === null && !(isNpm && TAG.test(range))) {
    throw new SallyportError("usage", `"${displayLine(range)}" is no version and no range of versions.`, {
      fix: "Write for example weather@1.2.0 or weather@^1.2.",
    });
  }
  return isNpm
    ? { kind: "npm", name, range, registry: registry ?? DEFAULT_NPM }
    : { kind: "index", id: name, range, registry };
}

/** Whether the range names exactly one version, as S2-65 prefers. */
export function isPinned(range: string): boolean {
  return semver.valid(range) !== null;
}

/**
 * A record in one line, as the plugin's row keeps it: `directory:/path`, `archive:/path`,
 * `index:REGISTRY/ID@VERSION#sha512-…`, `npm:REGISTRY/NAME@VERSION#sha512-…`.
 */
export function writeSourceRecord(record: SourceRecord): string {
  if (record.registry === undefined) return `${record.kind}:${record.spec}`;
  return `${record.kind}:${record.registry}/${record.name ?? ""}@${record.version ?? ""}#${record.integrity ?? ""}`;
}

function unknownRegistry(name: string): SallyportError {
  return new SallyportError("not_found", `There is no registry named ${displayLine(name)} here.`, {
    fix: "See them with: sallyport registry list. Add one with: sallyport registry add NAME URL --key KEY",
  });
}

function unreadable(text: string): SallyportError {
  return new SallyportError("usage", `"${displayLine(text, 200)}" names no plugin.`, {
    detail: "A source is a folder, an archive, [REGISTRY:]ID[@RANGE], or npm:NAME[@RANGE].",
    fix: "Write for example ./weather, weather-1.2.0.tgz, weather@^1.2 or npm:@acme/weather@1.2.0.",
  });
}
