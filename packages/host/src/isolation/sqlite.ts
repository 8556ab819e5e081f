import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { CLOSED, RUNTIME_ENVIRONMENT } from "./deno-command.ts";
import { jailOrders } from "./jail.ts";
import { LEAST_ABI } from "./landlock.ts";
import { librariesFor, loaderOf } from "./libraries.ts";
import { resourceLimits, TASKS } from "./limits.ts";
import { devices, WALLS } from "./namespace.ts";
import type { AllowedPath } from "./orders.ts";
import type { EnginePaths, SandboxPlan, SandboxTools } from "./types.ts";

/** A process that opens one SQLite database. */
export interface SqliteSpec {
  readonly level: "namespace" | "landlock";
  readonly engine: EnginePaths;
  readonly tools: SandboxTools;
  /** Text of the module that runs; ours, with nothing of a plugin's. */
  readonly module: string;
  /** The argument that the module gets, given where its files are. */
  readonly argument: (paths: { readonly database: string; readonly companions: readonly string[] }) => string;
  /** Absolute paths without links and commas: the database, and those of its `-wal`, `-shm` and `-journal` that are there. */
  readonly database: string;
  readonly companions: readonly string[];
  readonly write: boolean;
  /** Set when the host is root: the file's owner, so that what is made belongs to whoever owns the database. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly memoryMb: number;
}

const DENO = "/rt/deno";
const JAIL = "/rt/jail";
const PLACE = "/db/main";

/**
 * The walls of a plugin, with a database's own files in place of a plugin's, each file by itself. Locks are real here, and files
 * may grow as the disk allows.
 * @throws {PolicyViolationError} `isolation_unavailable` at `landlock` when the file belongs to root.
 */
export async function planSqlite(spec: SqliteSpec): Promise<SandboxPlan> {
  if (spec.level === "landlock") return withLandlock(spec);
  if (spec.tools.bwrap === null) throw new SallyportError("isolation_unavailable", "bubblewrap is not installed.");
  const libraries = await librariesFor([spec.engine.deno]);
  const mounts: [string, string][] = [
    ...libraries.map((path): [string, string] => [path, path]),
    [spec.engine.deno, DENO],
    [spec.engine.jail, JAIL],
  ];
  const places = spec.companions.map((path) => `${PLACE}${path.slice(spec.database.length)}`);
  const files = [[spec.database, PLACE], ...spec.companions.map((path, index) => [path, places[index] ?? PLACE])];
  return {
    level: "namespace",
    command: spec.tools.bwrap,
    args: [
      ...WALLS,
      ...mounts.flatMap(([from, to]) => ["--ro-bind", from, to]),
      ...files.flatMap((pair) => [spec.write ? "--bind" : "--ro-bind", ...pair]),
      ...devices(DENO),
      "--dir",
      "/tmp",
      "--chdir",
      "/tmp",
      ...Object.entries(RUNTIME_ENVIRONMENT).flatMap(([name, value]) => ["--setenv", name, value]),
      "--remount-ro",
      "/",
      "--",
      JAIL,
      DENO,
      DENO,
      ...denoArguments(spec, PLACE, places),
    ],
    env: {},
    ...spec.owner,
    orders: jailOrders({ ownPids: true, limits: limits(spec, TASKS), landlock: null, locks: true }),
    rootUrl: "file:///db/",
  };
}

async function withLandlock(spec: SqliteSpec): Promise<SandboxPlan> {
  const { deno, jail } = spec.engine;
  if (spec.owner?.uid === 0) {
    throw new PolicyViolationError(
      "isolation_unavailable",
      "At the level `landlock` a database may not belong to root.",
      {
        detail: "Its process runs as the owner of the file, and there root would keep root's rights.",
        fix: "Give the file to an ordinary user, or make the level `namespace` available (`sallyport doctor` says how).",
      },
    );
  }
  const [libraries, loader] = await Promise.all([librariesFor([deno]), loaderOf(deno)]);
  const paths: AllowedPath[] = [
    { path: deno, rights: "execute" },
    { path: loader, rights: "execute" },
    ...libraries.filter((path) => path !== loader).map((path): AllowedPath => ({ path, rights: "read" })),
    { path: "/dev/null", rights: "write" },
    { path: "/dev/urandom", rights: "read" },
    ...[spec.database, ...spec.companions].map((path): AllowedPath => ({
      path,
      rights: spec.write ? "change" : "read",
    })),
  ];
  return {
    level: "landlock",
    command: jail,
    args: [deno, deno, ...denoArguments(spec, spec.database, spec.companions)],
    env: RUNTIME_ENVIRONMENT,
    ...spec.owner,
    orders: jailOrders({
      ownPids: false,
      limits: limits(spec, null),
      landlock: { leastAbi: LEAST_ABI, paths },
      locks: true,
    }),
    rootUrl: "file:///nonexistent/",
  };
}

/** A database may be larger than anything that a plugin may write. */
function limits({ memoryMb }: SqliteSpec, tasks: number | null) {
  return resourceLimits(memoryMb, tasks).filter(([name]) => name !== "fsize");
}

function denoArguments(spec: SqliteSpec, database: string, companions: readonly string[]): string[] {
  const files = [database, ...companions].join(",");
  return [
    "run",
    ...CLOSED,
    "--no-code-cache",
    `--v8-flags=--max-old-space-size=${spec.memoryMb}`,
    "--deny-import",
    `--allow-read=${files}`,
    ...(spec.write ? [`--allow-write=${files}`] : []),
    `data:text/javascript,${encodeURIComponent(spec.module)}`,
    spec.argument({ database, companions }),
  ];
}
