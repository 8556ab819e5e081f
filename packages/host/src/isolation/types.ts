import type { Readable, Writable } from "node:stream";
import type { IsolationFloor, IsolationLevel } from "../kernel/index.ts";
import type { ControlGroupReport } from "./cgroup.ts";
import type { GroupCounts } from "./cgroup-group.ts";

/** The trusted files of a plugin's process, placed where its user can read them. */
export interface EnginePaths {
  readonly deno: string;
  readonly runner: string;
  /** The helper that puts the walls up; native/jail.c. */
  readonly jail: string;
  /** The helper through which a program reaches the proxy; native/forward.c. Absent: programs have no network. */
  readonly forward?: string;
}

/** A program that runs instead of the engine. */
export interface ProgramSpec {
  /** What runs it; null for an executable. */
  readonly interpreter: Interpreter | null;
  /** Below the plugin's root. */
  readonly entry: string;
  /** The plugin's text, as arguments of its own program only. */
  readonly args: readonly string[];
  /** The proxy's socket, alone in its folder; null without a network grant. */
  readonly proxySocket: string | null;
}

/** An interpreter of this machine, with all that it reads. */
export interface Interpreter {
  readonly kind: "python" | "node";
  /** Absolute, without links. */
  readonly path: string;
  /** Folders that it reads, absolute. */
  readonly folders: readonly string[];
  /** Folders inside those that nobody promised to the plugin. */
  readonly hidden: readonly string[];
  /** Libraries and the loader, absolute. */
  readonly libraries: readonly string[];
}

/** System programs that build the walls, by absolute path. */
export interface SandboxTools {
  readonly bwrap: string | null;
}

/** What one sandboxed process needs. Written by the host; nothing here is a plugin's text. */
export interface SandboxSpec {
  readonly level: IsolationLevel;
  readonly engine: EnginePaths;
  readonly tools: SandboxTools;
  /** The plugin's verified files, read-only for it; null in the probe. */
  readonly root: string | null;
  readonly memoryMb: number;
  /** Processes and threads; where the kernel counts them for this process alone. Absent: the usual number. */
  readonly tasks?: number;
  /** For attacks in tests and in `doctor` only: Deno's own permissions are all open, everything else stays. */
  readonly openRuntimePermissions?: boolean;
  /** What the engine kept of this plugin's code, at `namespace` only; `writable` where it is to be kept now. */
  readonly codeCache?: { readonly folder: string; readonly writable: boolean };
  /** Runs instead of runner and bundle, without the engine. */
  readonly program?: ProgramSpec;
  /** Main module instead of the runner; for the probe only. */
  readonly mainModule?: string;
  /** Whether the host runs as root; then the process gets the uid and gid of nobody. */
  readonly hostIsRoot: boolean;
}

/** One run of a command of the machine's. Written by the host, but for the arguments, which a grant admitted. */
export interface CommandSpec {
  readonly level: IsolationLevel;
  /** The helper that puts the walls up. */
  readonly jail: string;
  readonly tools: SandboxTools;
  /** Absolute path of the file, without links, which was checked. */
  readonly file: string;
  /** Its arguments, the name under which it is called first. */
  readonly argv: readonly string[];
  /** Its working folder, which it can only read; null for an empty one. */
  readonly folder: string | null;
  readonly memoryMb: number;
  /** Threads, where the kernel counts them for this process alone. */
  readonly tasks: number;
  /** Seconds of processor time, of all its threads together. */
  readonly cpuSeconds: number;
  readonly hostIsRoot: boolean;
}

/** Everything that `spawn` is told. */
export interface SandboxPlan {
  readonly level: IsolationLevel;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the first program. */
  readonly env: Readonly<Record<string, string>>;
  /** Working folder of the first program; absent: the root. */
  readonly cwd?: string;
  /** Set when the host is root. */
  readonly uid?: number;
  readonly gid?: number;
  /** For the helper: written to descriptor 3, then closed. */
  readonly orders: Buffer;
  /** `file:` URL of the plugin's root as the process sees it, ending in a slash. */
  readonly rootUrl: string;
}

export interface SandboxExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the kernel counted at the walls of the process's group; absent where it had none. */
  readonly counted?: GroupCounts;
  /** Why, in plain words, where whoever ended it knows. */
  readonly reason?: string;
}

export interface SandboxedProcess {
  /** Pid of the outermost process, which leads the group; of a thread the host's own. */
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when every process of the sandbox is gone. */
  readonly gone: Promise<SandboxExit>;
  /** Whether the kernel bounds its memory and tasks as a group, so that nobody has to look. */
  readonly grouped: boolean;
  /** SIGKILL to the whole group. Idempotent. */
  kill(): void;
  /** What all its processes use now; null when it cannot be read. */
  usage(): Promise<SandboxUsage | null>;
}

export interface SandboxUsage {
  /** Memory of their own (not of files): resident, swapped out, and the tables of their pages. */
  readonly residentBytes: number;
  /** Processor time since the start, in milliseconds. */
  readonly processorMs: number;
  /** Processes and threads. */
  readonly tasks: number;
}

export type LevelReport =
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly fix: string };

export interface ProbeReport {
  readonly levels: Readonly<Record<IsolationLevel, LevelReport>>;
  /** Strongest first. */
  readonly available: readonly IsolationLevel[];
  /** Whether the kernel bounds plugins as groups. */
  readonly groups: ControlGroupReport;
}

export interface LevelRequirement {
  /** The least that the plugin accepts. */
  readonly floor: IsolationFloor;
  /** The least that the operator allows. */
  readonly operatorFloor: IsolationFloor;
  /** The one level that the operator wants, if any. */
  readonly driver?: "auto" | "namespace" | "landlock";
  /** From the probe. */
  readonly available: readonly IsolationLevel[];
}
