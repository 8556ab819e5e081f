import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type EnginePaths,
  installedEngine,
  placeEngine,
  planSandbox,
  type Probe,
  probeIsolation,
  type SandboxPlan,
  type SandboxSpec,
  spawnSandboxed,
} from "../../src/isolation/index.ts";
// @ts-expect-error -- a script without types
import { buildRunner } from "../../scripts/build-runner.mjs";

export const hostIsRoot = process.getuid?.() === 0;

/** A temporary directory that the plugins' user can read, and the way to remove it. */
export function publicDir(): { path: string; write(name: string, text: string): string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "sallyport-test-"));
  chmodSync(path, 0o755);
  return {
    path,
    write(name, text) {
      const file = join(path, name);
      mkdirSync(join(file, ".."), { recursive: true, mode: 0o755 });
      writeFileSync(file, text, { mode: 0o644 });
      return file;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Deno where the plugins' user can read it, with the runner built from source. */
export async function testEngine(dir: { path: string }): Promise<EnginePaths> {
  const runner: string = await buildRunner(join(dir.path, "runner.mjs"));
  chmodSync(runner, 0o644);
  const placed = await placeEngine({ hostIsRoot, sources: { ...installedEngine(), runner } });
  return { ...placed, runner };
}

const dir = publicDir();
export const engine = await testEngine(dir);
export const probe: Probe = await probeIsolation({ engine, hostIsRoot });
dir.remove();

const { namespace, landlock } = probe.report.levels;
export const namespaceAvailable = namespace.available;
/** Put into the title of a suite that is skipped, so that the reason is in the report. */
export const namespaceNote = namespace.available ? "" : ` (skipped: ${namespace.reason})`;
export const landlockAvailable = landlock.available;
export const landlockNote = landlock.available ? "" : ` (skipped: ${landlock.reason})`;
export const runtimeAvailable = probe.report.levels.runtime.available;

export interface Run {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** What a module needs to be the main module at a level. */
export function specOf(module: string, spec: Partial<SandboxSpec> & Pick<SandboxSpec, "level">): SandboxSpec {
  return {
    engine: { ...engine, runner: module },
    tools: probe.tools,
    root: null,
    memoryMb: 128,
    hostIsRoot,
    ...spec,
  };
}

/** Runs a module as the main module at a level until it ends. */
export async function runInside(module: string, spec: Partial<SandboxSpec> & Pick<SandboxSpec, "level">): Promise<Run> {
  return runPlan(await planSandbox(specOf(module, spec)));
}

export async function runPlan(plan: SandboxPlan): Promise<Run> {
  const child = await spawnSandboxed(plan);
  let stdout = "";
  let stderr = "";
  child.stdin.end();
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const { code, signal } = await child.gone;
  return { code, signal, stdout, stderr };
}
