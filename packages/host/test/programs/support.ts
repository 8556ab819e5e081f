import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import {
  createInterpreters,
  type Interpreter,
  planSandbox,
  type ProgramSpec,
  type SandboxSpec,
  spawnSandboxed,
} from "../../src/isolation/index.ts";
import { engine, hostIsRoot, probe, publicDir, type Run } from "../isolation/support.ts";
import type { IsolationLevel } from "../../src/kernel/index.ts";

export { hostIsRoot, probe, publicDir };

const COMPILER = process.env["CC"] ?? "cc";
const interpreters = createInterpreters({ named: () => undefined });
const found = async (kind: Interpreter["kind"]): Promise<Interpreter | string> =>
  interpreters.find(kind).catch((error: Error & { detail?: string }) => error.detail ?? error.message);

const python = await found("python");
const node = await found("node");

/** Why something cannot be tried here; put into the title of what is skipped. */
export function lacking(level: IsolationLevel, kind: "python" | "node" | "cc"): string {
  const report = probe.report.levels[level];
  if (!report.available) return `skipped: ${report.reason}`;
  if (kind === "cc") return spawnSync(COMPILER, ["--version"]).status === 0 ? "" : "skipped: no C compiler";
  const interpreter = kind === "python" ? python : node;
  return typeof interpreter === "string" ? `skipped: ${interpreter}` : "";
}

export function interpreterOf(kind: "python" | "node"): Interpreter {
  const interpreter = kind === "python" ? python : node;
  if (typeof interpreter === "string") throw new Error(interpreter);
  return interpreter;
}

export const KERNEL_LEVELS = ["namespace", "landlock"] as const;

export interface ProgramOptions extends Partial<ProgramSpec> {
  readonly level: SandboxSpec["level"];
  readonly root: string;
  readonly input?: string;
  readonly memoryMb?: number;
}

/** Runs a program in its jail until it ends. */
export async function runProgram(options: ProgramOptions): Promise<Run> {
  const {
    level,
    root,
    input = "",
    memoryMb = 128,
    interpreter = null,
    entry = "main",
    args = [],
    proxySocket = null,
  } = options;
  const plan = await planSandbox({
    level,
    engine,
    tools: probe.tools,
    root,
    memoryMb,
    hostIsRoot,
    program: { interpreter, entry, args, proxySocket },
  });
  const child = await spawnSandboxed(plan);
  let stdout = "";
  let stderr = "";
  child.stdin.on("error", () => undefined).end(input);
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const { code, signal } = await child.gone;
  return { code, signal, stdout, stderr };
}

/** Compiles a C program into the plugin's folder. */
export function compileInto(root: string, name: string, source: string, flags: readonly string[] = ["-static"]): void {
  const done = spawnSync(COMPILER, ["-O1", ...flags, "-x", "c", "-o", `${root}/${name}`, "-"], {
    input: source,
    encoding: "utf8",
  });
  if (done.status !== 0) throw new Error(done.stderr);
  chmodSync(`${root}/${name}`, 0o755);
}
