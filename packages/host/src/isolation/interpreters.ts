import { execFile } from "node:child_process";
import { lstat, readdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type IsolationLevel, SallyportError, satisfiesFloor, toSallyportError } from "../kernel/index.ts";
import { librariesFor, loaderOf, sharedObjectLibraries } from "./libraries.ts";
import { findTool } from "./tools.ts";
import type { Interpreter } from "./types.ts";

const run = promisify(execFile);

type Kind = Interpreter["kind"];

/** What programs are called on this machine. A plugin names a kind, never a command. */
export interface Interpreters {
  /**
   * The interpreter of a kind, looked for once.
   * @throws {SallyportError} `isolation_unavailable` with a reason and what to do.
   */
  find(kind: Kind): Promise<Interpreter>;
}

export interface InterpreterOptions {
  /** The file that the operator named in config.yml, as it is now; absolute. */
  named(kind: Kind): string | undefined;
  /** Where to look instead of the system's folders. */
  readonly candidates?: readonly string[];
}

/** What this machine has for one value of a manifest's `interpreter`. */
export type InterpreterReport = { readonly kind: Kind | "none" } & (
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly fix: string }
);

/** Looks for each kind. @param levels those that are available. */
export async function lookAtInterpreters(
  { find }: Interpreters,
  levels: readonly IsolationLevel[],
): Promise<readonly InterpreterReport[]> {
  const found = KINDS.map((kind) =>
    find(kind).then(
      ({ path }): InterpreterReport => ({ kind, available: true, detail: path }),
      (thrown: unknown): InterpreterReport => {
        const { message, detail, fix = "" } = toSallyportError(thrown);
        return { kind, available: false, reason: detail ?? message, fix };
      },
    ),
  );
  return [...(await Promise.all(found)), executables(levels)];
}

function executables(levels: readonly IsolationLevel[]): InterpreterReport {
  const kernel = levels.filter((level) => satisfiesFloor(level, "kernel"));
  if (kernel.length > 0) return { kind: "none", available: true, detail: `executables run at ${kernel.join(", ")}` };
  return {
    kind: "none",
    available: false,
    reason: "no program of any kind runs without a kernel level.",
    fix: "Make the level `namespace` or `landlock` available; its own line says how.",
  };
}

const KINDS: readonly Kind[] = ["python", "node"];
const NAMES: Readonly<Record<Kind, string>> = { python: "python3", node: "node" };

export function createInterpreters(options: InterpreterOptions): Interpreters {
  const found = new Map<string, Promise<Interpreter>>();
  return {
    find(kind) {
      const named = options.named(kind);
      const key = `${kind} ${named ?? ""}`;
      const known = found.get(key) ?? look(kind, named, options.candidates);
      found.set(key, known);
      // The operator may install it while the host runs.
      known.catch(() => found.delete(key));
      return known;
    },
  };
}

async function look(
  kind: Kind,
  named: string | undefined,
  candidates: readonly string[] | undefined,
): Promise<Interpreter> {
  const path = named === undefined ? await probed(kind, candidates) : await operatorsOwn(kind, named);
  return kind === "python" ? python(path) : node(path);
}

async function probed(kind: Kind, candidates: readonly string[] | undefined): Promise<string> {
  const tool = await findTool(NAMES[kind], candidates);
  if ("path" in tool) return tool.path;
  throw absent(kind, tool.missing);
}

/** What the operator names may be the operator's own: a file that only they and root can change. */
async function operatorsOwn(kind: Kind, named: string): Promise<string> {
  const path = await realpath(named).catch(() => null);
  if (path === null) throw absent(kind, `${named} is not there.`);
  for (let at = path; ; at = dirname(at)) {
    const info = await lstat(at);
    const own = info.uid === 0 || info.uid === process.getuid?.();
    const sticky = info.isDirectory() && (info.mode & 0o1000) !== 0;
    if (!own || ((info.mode & 0o022) !== 0 && !sticky)) throw absent(kind, `${at} can be changed by others than you.`);
    if (at === "/") return path;
  }
}

function absent(kind: Kind, reason: string): SallyportError {
  return new SallyportError("isolation_unavailable", `There is no ${NAMES[kind]} here that programs may be run with.`, {
    detail: reason,
    fix: `Install ${NAMES[kind]} from your distribution, or name it in config.yml under programs.interpreters.${kind}.`,
  });
}

/** No site packages, no user's folder, no environment: what the plugin brings lies beside its entry. */
const ASK_PYTHON = `
import json, os, sys, sysconfig
folders = sorted({os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")})
print(json.dumps({"version": sys.version_info[:2], "folders": folders}))
`;

async function python(path: string): Promise<Interpreter> {
  const { stdout } = await run(path, ["-E", "-s", "-S", "-B", "-c", ASK_PYTHON], {
    env: {},
    cwd: "/",
    timeout: 10_000,
  }).catch(() => {
    throw absent("python", `${path} did not start.`);
  });
  const folders = readFolders(stdout);
  const modules = (await Promise.all(folders.map(nativeModules))).flat();
  const loader = await loaderOf(path);
  const libraries = [await librariesFor([path]), await sharedObjectLibraries(loader, modules)].flat();
  return {
    kind: "python",
    path,
    folders,
    hidden: await existing(
      folders.flatMap((folder) => ["site-packages", "dist-packages"].map((name) => join(folder, name))),
    ),
    libraries: [...new Set(libraries)].toSorted(),
  };
}

function readFolders(text: string): readonly string[] {
  const answer: unknown = JSON.parse(text);
  const folders = typeof answer === "object" && answer !== null && "folders" in answer ? answer.folders : undefined;
  if (Array.isArray(folders) && folders.every((folder) => typeof folder === "string" && folder.startsWith("/")))
    return folders;
  throw absent("python", "It does not say where its own files are.");
}

async function nativeModules(folder: string): Promise<readonly string[]> {
  const dynload = join(folder, "lib-dynload");
  const names = await readdir(dynload).catch(() => []);
  return names.filter((name) => name.endsWith(".so")).map((name) => join(dynload, name));
}

async function existing(paths: readonly string[]): Promise<readonly string[]> {
  const kept = await Promise.all(
    paths.map((path) =>
      lstat(path).then(
        () => [path],
        () => [],
      ),
    ),
  );
  return kept.flat();
}

async function node(path: string): Promise<Interpreter> {
  return { kind: "node", path, folders: [], hidden: [], libraries: await librariesFor([path]) };
}
