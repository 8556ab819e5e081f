import { existsSync, lstatSync, type Stats } from "node:fs";
import { join } from "node:path";
import { openHome } from "../../home/index.ts";
import { storeRoot } from "../../isolation/index.ts";
import { toSallyportError } from "../../kernel/index.ts";
import { socketPath } from "../socket-path.ts";

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly fix?: string | undefined;
}

interface Place {
  readonly name: string;
  readonly path: string;
  readonly kind: "folder" | "file";
  /** Bits that must not be there. */
  readonly never: number;
  /** Made when it is first needed. */
  readonly optional: boolean;
}

/** Owners and modes of all that a home consists of. Reads no content, and starts nothing. */
export function checkPlaces(home: string, env: NodeJS.ProcessEnv): readonly Check[] {
  let real: string;
  try {
    real = openHome(home);
  } catch (error) {
    const { message, detail, fix } = toSallyportError(error);
    return [{ name: "home", ok: false, detail: detail ?? message, fix }];
  }
  const hostIsRoot = process.getuid?.() === 0;
  const places: readonly Place[] = [
    { name: "config.yml", path: join(real, "config.yml"), kind: "file", never: 0o022, optional: false },
    { name: "keys", path: join(real, "keys"), kind: "folder", never: 0o077, optional: true },
    { name: "audit key", path: join(real, "keys", "audit.pem"), kind: "file", never: 0o077, optional: true },
    { name: "vault key", path: join(real, "keys", "vault.key"), kind: "file", never: 0o077, optional: true },
    { name: "vault", path: join(real, "vault"), kind: "file", never: 0o077, optional: true },
    { name: "database", path: join(real, "state.db"), kind: "file", never: 0o077, optional: true },
    // A host that runs as root keeps it where plugins' user can read it.
    {
      name: "content store",
      path: storeRoot(real, { hostIsRoot }),
      kind: "folder",
      never: hostIsRoot ? 0o022 : 0o077,
      optional: true,
    },
    { name: "data of plugins", path: join(real, "data"), kind: "folder", never: 0o077, optional: true },
    { name: "log of the owner", path: join(real, "owner.log"), kind: "file", never: 0o077, optional: true },
  ];
  return [
    { name: "home", ok: true, detail: "a folder of this user alone, outside of any repository" },
    ...places.map(checkPlace),
    checkRuntimeFolder(real, env),
  ];
}

function checkPlace({ name, path, kind, never, optional }: Place): Check {
  const info = lstatSync(path, { throwIfNoEntry: false });
  if (info === undefined) {
    if (optional) return { name, ok: true, detail: "not there yet; made when it is needed" };
    return { name, ok: false, detail: `${path} does not exist`, fix: "Run: sallyport init" };
  }
  const problem = problemOf(info, kind, never);
  if (problem === null) return { name, ok: true, detail: `mode ${modeOf(info)}, of this user` };
  const fix = problem.includes("mode")
    ? `Run: chmod ${kind === "folder" ? "700" : "600"} '${path}'`
    : `Look at ${path}.`;
  return { name, ok: false, detail: `${path}: ${problem}`, fix };
}

function problemOf(info: Stats, kind: Place["kind"], never: number): string | null {
  if (kind === "folder" ? !info.isDirectory() : !info.isFile()) return `no ${kind}`;
  if (process.getuid && info.uid !== process.getuid()) return "belongs to another user";
  return (info.mode & never) === 0 ? null : `mode ${modeOf(info)} lets others in`;
}

const modeOf = (info: Stats): string => `0${(info.mode & 0o777).toString(8)}`;

function checkRuntimeFolder(home: string, env: NodeJS.ProcessEnv): Check {
  const name = "runtime folder";
  try {
    const socket = socketPath(home, env);
    const folder = join(socket, "..");
    if (!existsSync(folder)) return { name, ok: true, detail: "not there yet; made when it is needed" };
    const problem = problemOf(lstatSync(folder), "folder", 0o077);
    if (problem === null) return { name, ok: true, detail: "a folder of this user alone" };
    return { name, ok: false, detail: `${folder}: ${problem}`, fix: `Run: chmod 700 '${folder}'` };
  } catch (error) {
    const { message, detail, fix } = toSallyportError(error);
    return { name, ok: false, detail: detail ?? message, fix };
  }
}
