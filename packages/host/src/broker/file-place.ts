import { lstatSync, realpathSync } from "node:fs";
import { mkdir, realpath } from "node:fs/promises";
import { canonicalFilePath, DATA_ROOT, type Scope } from "../capability/index.ts";
import { PolicyViolationError } from "../kernel/index.ts";
import { isNeverGrantable } from "./forbidden.ts";
import { narrowReach, type Reach } from "./reach.ts";
import { type Node, openRoot, walk } from "./walk.ts";

/** A path that a plugin named, in canonical form: below the root of the file system, or below the plugin's own directory. */
export interface Place {
  readonly path: string;
  readonly inData: boolean;
  readonly names: readonly string[];
}

export interface Places {
  /** @throws {SallyportError} `usage`. @throws {PolicyViolationError} `permission_denied` when no grant covers it. */
  find(path: string, mode: "r" | "w"): Place;
  /** Whether a grant covers it and nothing cuts it out. */
  allows(path: string, mode: "r" | "w"): boolean;
  /** The same places, as far as a call reaches that was limited to less. */
  within(scopes: readonly Scope[] | undefined): Places;
  /** Opens what the names lead to; with `create`, missing directories are made. The caller closes it. */
  open(place: Place, names: readonly string[], create?: () => Promise<void>): Promise<Node>;
  /** The plugin's own directory, made if it is not there. */
  dataRoot(): Promise<string>;
}

export interface PlacesDeps {
  readonly reach: Reach;
  readonly dataDir: string;
  readonly forbidden: readonly string[];
}

export function createPlaces(deps: PlacesDeps): Places {
  // A home that is reached over a link is cut out under its real name, and as a directory under any name.
  const forbidden = [...new Set(deps.forbidden.flatMap((path) => [path, realPathOf(path)]))];
  const forbiddenNodes = new Set(forbidden.map(nodeKeyOf));
  forbiddenNodes.delete(undefined);

  const isCut = (path: string): boolean => !isData(path) && isNeverGrantable(path, forbidden);
  const allows = (path: string, mode: "r" | "w"): boolean =>
    deps.reach.allows({ capability: "filesystem", path, mode }) && !isCut(path);

  const dataRoot = async (): Promise<string> => {
    await mkdir(deps.dataDir, { recursive: true, mode: 0o700 });
    return realpath(deps.dataDir);
  };

  const places: Places = {
    allows,
    dataRoot,
    within: (scopes) =>
      scopes === undefined ? places : createPlaces({ ...deps, reach: narrowReach(deps.reach, scopes) }),
    find(text, mode) {
      const path = canonicalFilePath(text);
      if (!allows(path, mode)) {
        throw new PolicyViolationError(
          "permission_denied",
          `The plugin may not ${mode === "r" ? "read" : "write"} ${path}.`,
          {
            detail: isCut(path) ? "This path is never granted." : "No grant covers it.",
            ...(isCut(path) ? {} : { fix: "Declare it under permissions.filesystem and have an operator approve it." }),
            data: { capability: "filesystem" },
          },
        );
      }
      const inData = isData(path);
      const rest = inData ? path.slice(DATA_ROOT.length) : path;
      return { path, inData, names: rest.split("/").filter((name) => name !== "") };
    },
    async open(place, names, create) {
      const root = await openRoot(place.inData ? await dataRoot() : "/");
      return walk(root, names, {
        create,
        check(node) {
          if (!place.inData && forbiddenNodes.has(nodeKey(node.stat))) {
            throw new PolicyViolationError(
              "permission_denied",
              "The path leads into a directory that is never granted.",
            );
          }
        },
      });
    },
  };
  return places;
}

function isData(path: string): boolean {
  return path === DATA_ROOT || path.startsWith(`${DATA_ROOT}/`);
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function nodeKeyOf(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : nodeKey(stat);
}

function nodeKey({ dev, ino }: { dev: number; ino: number }): string {
  return `${dev}:${ino}`;
}
