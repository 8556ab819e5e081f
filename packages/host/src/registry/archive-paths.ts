import { archiveTooLarge, badArchive } from "./archive-errors.ts";
import type { SourceLimits } from "./limits.ts";
import { collisionKey, nameProblem } from "./names.ts";

/** npm puts everything that it packs into this folder. */
const NPM_PREFIX = "package";

type Kind = "file" | "folder";

/** Judges the names of an archive's entries, each as it comes, and remembers them: two entries never become one file. */
export interface PathBook {
  /**
   * The entry's path below the plugin's root, "" for the root itself.
   * @throws {SallyportError} `source_unsafe`, `source_too_large`.
   */
  take(raw: string, kind: Kind): string;
}

interface Known {
  readonly path: string;
  readonly kind: Kind;
  /** False for a folder that so far only stood in the paths of others. */
  readonly entry: boolean;
}

export function createPathBook(limits: SourceLimits): PathBook {
  const known = new Map<string, Known>();
  let prefixed: boolean | undefined;

  function remember(path: string, kind: Kind, entry: boolean, raw: string): void {
    const key = collisionKey(path);
    const twin = known.get(key);
    if (twin !== undefined) {
      if (twin.path !== path) throw badArchive(raw, `has the same name as "${twin.path}" on some systems`);
      if (twin.kind !== kind) throw badArchive(raw, "is a file and a folder at once");
      if (twin.entry && entry) throw badArchive(raw, "is there twice");
    }
    known.set(key, { path, kind, entry: entry || twin?.entry === true });
  }

  return {
    take(raw, kind) {
      const segments = segmentsOf(raw, kind);
      if (segments.length === 0) return "";
      const inside = segments[0] === NPM_PREFIX;
      prefixed ??= inside;
      if (inside !== prefixed)
        throw badArchive(raw, `is not in the one folder that holds the others, or is the only one in "${NPM_PREFIX}/"`);
      const own = inside ? segments.slice(1) : segments;
      const path = own.join("/");
      if (path === "" && kind === "file") throw badArchive(raw, "is a file where the plugin's root should be");
      if (Buffer.byteLength(path) > limits.pathBytes) throw archiveTooLarge(raw, "bytes in one path", limits.pathBytes);
      if (own.length - (kind === "file" ? 1 : 0) > limits.depth)
        throw archiveTooLarge(raw, "folders below one another", limits.depth);
      for (let length = 1; length < segments.length; length++)
        remember(segments.slice(0, length).join("/"), "folder", false, raw);
      remember(segments.join("/"), kind, true, raw);
      return path;
    },
  };
}

/** The names in a path, each checked; a leading `./` is left out, and so is a folder's last `/`. */
function segmentsOf(raw: string, kind: Kind): readonly string[] {
  if (raw.startsWith("/")) throw badArchive(raw, "has an absolute path");
  if (raw.startsWith("\\")) throw badArchive(raw, "has a path on another machine");
  if (/^[A-Za-z]:/.test(raw)) throw badArchive(raw, "has the path of a drive");
  const relative = raw.replace(/^\.\//, "");
  const plain = kind === "folder" ? relative.replace(/\/$/, "") : relative;
  if (kind === "folder" && (plain === "" || plain === ".")) return [];
  const segments = plain.split("/");
  for (const segment of segments) {
    if (segment === "..") throw badArchive(raw, "leads out of the plugin's root (..)");
    const problem = nameProblem(segment);
    if (problem !== undefined) throw badArchive(raw, problem);
  }
  return segments;
}
