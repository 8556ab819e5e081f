import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseAnswer } from "../owner-client.ts";

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));
/** A command of the transcript takes a second; one that takes this long hangs. */
const TIMEOUT_MS = 120_000;

/** What a command of the transcript answered. */
export interface Ran {
  readonly exitCode: number;
  /** Its one JSON document. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** Runs `sallyport … --json` in a process of its own, as a person or a script would. */
export async function runCommand(home: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args, "--json", "--home", home], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
  clearTimeout(timer);
  const json = parseAnswer(output);
  return { exitCode, json: isRecord(json) ? json : { answer: json } };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function textOf(record: unknown, ...path: readonly string[]): string {
  let at = record;
  for (const key of path) at = isRecord(at) ? at[key] : undefined;
  return typeof at === "string" || typeof at === "number" ? String(at) : "";
}
