import { readFileSync } from "node:fs";
import type { ExecScope, Scope } from "../../src/capability/index.ts";
import { findCommand, type FoundCommand } from "../../src/isolation/index.ts";
import type { IsolationLevel } from "../../src/kernel/index.ts";
import { engine, hostIsRoot, probe } from "../isolation/support.ts";
import { type Bench, bench, type BenchOptions } from "./support.ts";

export { hostIsRoot };

export const KERNEL_LEVELS = ["namespace", "landlock"] as const;
export const walls = { engine, probe, hostIsRoot };

/** Why a level cannot be tried here; put into the title of what is skipped. */
export function lackingLevel(level: IsolationLevel): string {
  const report = probe.report.levels[level];
  return report.available ? "" : ` (skipped: ${report.reason})`;
}

/** As an operator's yes would bind it. */
export async function granted(command: string, args: readonly string[]): Promise<ExecScope> {
  return boundTo(await findCommand(command), args);
}

export function boundTo({ command, file }: FoundCommand, args: readonly string[]): ExecScope {
  return { capability: "exec", command, args, file };
}

export interface ExecAnswer {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

export interface ExecOrder {
  readonly stdin?: string;
  readonly files?: readonly { readonly name: string; readonly path: string }[];
  readonly timeoutMs?: number;
}

export interface ExecBench extends Bench {
  readonly exec: (command: string, args: readonly string[], order?: ExecOrder) => Promise<ExecAnswer>;
}

export function execBench(level: IsolationLevel, scopes: readonly Scope[], options: BenchOptions = {}): ExecBench {
  const made = bench({ level, granted: scopes, commandWalls: walls, ...options });
  return {
    ...made,
    async exec(command, args, { stdin, files = [], timeoutMs } = {}) {
      const answer = await made.ask<ExecAnswer>("exec", {
        command,
        args,
        stdin: stdin === undefined ? null : Buffer.from(stdin).toString("base64"),
        files,
        timeout_ms: timeoutMs ?? null,
      });
      const text = (part: string): string => Buffer.from(part, "base64").toString();
      return { ...answer, stdout: text(answer.stdout), stderr: text(answer.stderr) };
    },
  };
}

/** The processes that this one has, but for those that it had when it began (a bundler's). */
export function children(): string[] {
  return childrenNow().filter((pid) => !FIRST.has(pid));
}

function childrenNow(): string[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").split(" ").filter(Boolean);
}

const FIRST = new Set(childrenNow());
