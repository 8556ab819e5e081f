import type { IsolationLevel } from "../kernel/index.ts";
import { ISOLATION_LEVELS, toSallyportError } from "../kernel/index.ts";
import { type ControlGroupProbe, type ControlGroupReport, type ControlGroups, probeControlGroups } from "./cgroup.ts";
import { NOBODY } from "./namespace.ts";
import { planSandbox } from "./plan.ts";
import { spawnSandboxed } from "./spawn.ts";
import { findTool, type FoundTool } from "./tools.ts";
import type { EnginePaths, LevelReport, ProbeReport, SandboxTools } from "./types.ts";

export interface ProbeOptions {
  readonly engine: EnginePaths;
  readonly hostIsRoot: boolean;
  /** Where bubblewrap is looked for, instead of the system's folders. */
  readonly bwrapCandidates?: readonly string[];
}

export interface Probe {
  readonly report: ProbeReport;
  readonly tools: SandboxTools;
  /** Groups of the kernel's, where they can be made. */
  readonly groups: ControlGroups | null;
}

const PROBE_MEMORY_MB = 64;
const PROBE_TIMEOUT_MS = 15_000;
const PROBE_OUTPUT_CHARS = 4096;
const SEE_DOCS = "The kernel refused a step of the helper; docs/isolation.md says which kernels will do.";
const INSTALL_BWRAP = "Install bubblewrap 0.8 or newer: `apt install bubblewrap` or `dnf install bubblewrap`.";

/** Runs inside the walls and says which of three forbidden things worked. */
const PROBE_MODULE = `data:text/javascript,${encodeURIComponent(`
const did = [];
const attempt = (name, action) => { try { action(); did.push(name); } catch {} };
attempt("read a file of the host", () => Deno.readTextFileSync("/etc/passwd"));
attempt("open a socket", () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
attempt("start a process", () => new Deno.Command(Deno.execPath(), { args: ["--version"] }).outputSync());
console.log(JSON.stringify(did));
`)}`;

/**
 * Which levels hold on this machine, found out by starting a process at each, with the same arguments that plugins get
 * (at `namespace` with Deno's own permissions open, so that only the kernel's walls are counted).
 */
export async function probeIsolation(options: ProbeOptions): Promise<Probe> {
  if (process.platform !== "linux") {
    return { report: notLinux(), tools: { bwrap: null }, groups: null };
  }
  const bwrap = await findTool("bwrap", options.bwrapCandidates);
  const tools = { bwrap: pathOf(bwrap) };
  const { groups, report: groupReport } = await findGroups(options);
  const [namespace, landlock, runtime] = await Promise.all([
    "missing" in bwrap
      ? { available: false as const, reason: bwrap.missing, fix: INSTALL_BWRAP }
      : tryLevel("namespace", tools, options),
    tryLevel("landlock", tools, options),
    tryLevel("runtime", tools, options),
  ]);
  return { report: { ...reportOf(namespace, landlock, runtime), groups: groupReport }, tools, groups };
}

async function findGroups({ hostIsRoot }: ProbeOptions): Promise<ControlGroupProbe> {
  const cat = await findTool("cat");
  if ("path" in cat) return probeControlGroups({ hostIsRoot, nobody: NOBODY, waiting: cat.path });
  return { groups: null, report: { available: false, reason: cat.missing, fix: "Install coreutils." } };
}

function pathOf(tool: FoundTool): string | null {
  return "path" in tool ? tool.path : null;
}

type TriedLevel = Exclude<IsolationLevel, "in-process">;

const DETAIL: Readonly<Record<TriedLevel, string>> = {
  namespace: "bubblewrap: own namespaces, read-only root, no network, seccomp filter, resource limits",
  landlock: "Landlock: opens the plugin's files and the runtime's only, no network, seccomp filter, resource limits",
  runtime: "Deno's permissions, seccomp filter (no network, no programs) and resource limits; no wall before files",
};

async function tryLevel(
  level: TriedLevel,
  tools: SandboxTools,
  { engine, hostIsRoot }: ProbeOptions,
): Promise<LevelReport> {
  try {
    const plan = await planSandbox({
      level,
      engine,
      tools,
      hostIsRoot,
      root: null,
      memoryMb: PROBE_MEMORY_MB,
      mainModule: PROBE_MODULE,
      openRuntimePermissions: level !== "runtime",
    });
    const { code, output, problem } = await runToEnd(plan);
    return judge(level, code, output, problem);
  } catch (error) {
    const { message, detail } = toSallyportError(error);
    return { available: false, reason: detail ?? message, fix: "Run `sallyport doctor` for the details." };
  }
}

function judge(level: TriedLevel, code: number | null, output: string, problem: string): LevelReport {
  if (code === 0 && output.trim() === "[]") return { available: true, detail: DETAIL[level] };
  if (code === 0) {
    return {
      available: false,
      reason: `From inside, a test could do: ${output.trim()}.`,
      fix: level === "namespace" ? INSTALL_BWRAP : SEE_DOCS,
    };
  }
  const reason = problem.trim().split("\n").at(-1) ?? "";
  return {
    available: false,
    reason: `A test process did not start: ${reason || `exit code ${code}`}`,
    fix: fixFor(level, reason),
  };
}

function fixFor(level: TriedLevel, reason: string): string {
  if (/landlock is not there/.test(reason)) {
    return "Use Linux 5.13 or newer with Landlock switched on (`lsm=landlock,…` on the kernel's command line; `CONFIG_LSM`), in a container one whose seccomp profile allows the landlock calls.";
  }
  if (/sallyport-jail:/.test(reason)) return SEE_DOCS;
  if (/disable-userns/.test(reason)) return INSTALL_BWRAP;
  if (level === "namespace" && /namespace|uid map|Operation not permitted|Permission denied/i.test(reason)) {
    return "Allow unprivileged user namespaces for bwrap (Ubuntu: an AppArmor profile with `userns`; Docker: `--security-opt seccomp=unconfined`), or run on a machine that has them.";
  }
  return SEE_DOCS;
}

async function runToEnd(
  plan: Parameters<typeof spawnSandboxed>[0],
): Promise<{ code: number | null; output: string; problem: string }> {
  const child = await spawnSandboxed(plan);
  const timer = setTimeout(() => child.kill(), PROBE_TIMEOUT_MS);
  let output = "";
  let problem = "";
  child.stdin.on("error", () => undefined).end();
  child.stdout.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(0, PROBE_OUTPUT_CHARS)));
  child.stderr.on("data", (chunk: Buffer) => (problem = (problem + chunk.toString()).slice(-PROBE_OUTPUT_CHARS)));
  const { code } = await child.gone;
  clearTimeout(timer);
  return { code, output, problem };
}

const NO_GROUPS: ControlGroupReport = { available: false, reason: "This is not Linux.", fix: "Use Linux." };

function reportOf(namespace: LevelReport, landlock: LevelReport, runtime: LevelReport): ProbeReport {
  const levels = {
    namespace,
    landlock,
    runtime,
    "in-process": {
      available: false,
      reason: "It is no wall: a plugin in the host's process has the host's rights, so it is never chosen by itself.",
      fix: "Nothing is missing; docs/isolation.md says what it takes to run one there.",
    },
  } as const satisfies Record<IsolationLevel, LevelReport>;
  return { groups: NO_GROUPS, levels, available: ISOLATION_LEVELS.filter((level) => levels[level].available) };
}

function notLinux(): ProbeReport {
  const missing: LevelReport = {
    available: false,
    reason: `Levels are only tested on Linux so far, and this is ${process.platform}.`,
    fix: "Use a Linux virtual machine, or WSL2 on Windows.",
  };
  return reportOf(missing, missing, missing);
}
