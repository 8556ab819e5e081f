import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stopOwner } from "../../src/cli/index.ts";
import { storeRoot } from "../../src/isolation/index.ts";

export const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface ProcessWorld {
  readonly folder: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs `sallyport … --json --home HOME` as a process of its own. */
  sallyport(args: readonly string[], options?: { env?: NodeJS.ProcessEnv; stdin?: string }): Promise<Answered>;
  /** The same without `--json`. */
  text(args: readonly string[]): Promise<{ code: number; out: string; err: string }>;
  close(): Promise<void>;
}

export interface Answered {
  readonly code: number;
  readonly answer: Record<string, unknown> & { readonly [index: number]: Record<string, unknown> };
  readonly err: string;
}

/** A home of its own under a temporary HOME, for the built command. Its owner is ended and everything removed. */
export async function openProcessWorld(): Promise<ProcessWorld> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-run-"));
  const home = join(folder, "home");
  const env = { PATH: process.env["PATH"], HOME: folder };
  return {
    folder,
    home,
    env,
    async sallyport(args, options = {}) {
      const ran = await run(["--json", "--home", home, ...args], { ...env, ...options.env }, options.stdin);
      return { code: ran.code, answer: JSON.parse(ran.out), err: ran.err };
    },
    text: (args) => run(["--home", home, ...args], env),
    async close() {
      await stopOwner(home, env);
      const hostIsRoot = process.getuid?.() === 0;
      if (hostIsRoot) await rm(dirname(storeRoot(home, { hostIsRoot })), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function run(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  stdin = "",
): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { env, cwd: "/", stdio: ["pipe", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  child.stdin.end(stdin);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? -1, out, err }));
  });
}
