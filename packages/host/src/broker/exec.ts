import { z } from "zod";
import { commandLine, commandMatches, covers, type ExecScope, type Scope } from "../capability/index.ts";
import { checkCommand } from "../isolation/index.ts";
import {
  canonicalJson,
  displayLine,
  type IsolationLevel,
  PolicyViolationError,
  SallyportError,
  sha256,
} from "../kernel/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { canonicalBase64 } from "./base64.ts";
import { type CommandFolder, type HandedFile, makeCommandFolder } from "./exec-folder.ts";
import { EXEC_LIMITS, type ExecLimits } from "./exec-limits.ts";
import { type CommandResult, type CommandWalls, runCommand } from "./exec-run.ts";
import { fileFailure } from "./file-failure.ts";
import type { Places } from "./file-place.ts";
import { callOperation, type Operation, wire } from "./operation.ts";
import type { RateLimit } from "./rate.ts";
import type { Reach } from "./reach.ts";

const Exec = wire({
  command: z.string().min(1).max(1024),
  args: z.array(z.string()).max(EXEC_LIMITS.args),
  stdin: z.string().nullable(),
  files: z
    .array(z.strictObject({ name: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/), path: z.string().max(4096) }))
    .max(EXEC_LIMITS.files),
  timeout_ms: z.number().int().positive().nullable(),
});

/** What the audit keeps of one run. */
export interface ExecReport {
  readonly target: string;
  readonly bytes: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface ExecDeps {
  readonly reach: Reach;
  readonly granted: readonly Scope[];
  /** The plugin's own level; its commands run at the same. */
  readonly level: IsolationLevel;
  /** Absent: no command runs. */
  readonly walls: CommandWalls | undefined;
  readonly home: string;
  /** What the plugin may read; a command is handed no more. */
  readonly places: Places;
  readonly limits: ExecLimits;
  readonly rate: RateLimit;
  /** Removes known secret values. */
  redactText(text: string): string;
  readonly report: (context: CallContext, report: ExecReport, error?: unknown) => void;
  readonly onRead: (context: CallContext, path: string, bytes: number) => void;
}

export interface ExecOperations {
  readonly operations: Readonly<Record<string, Operation>>;
  /** Ends the commands of a call, or all. */
  end(callId?: string): void;
}

/** `exec`: a granted command with granted arguments, once, in a jail of its own, for as long as its call lasts. */
export function createExec(deps: ExecDeps): ExecOperations {
  const { limits } = deps;
  const running = new Map<AbortController, string>();

  async function run(
    { command, args, stdin, files, timeout_ms: wanted }: z.output<typeof Exec>,
    context: CallContext,
    signal: AbortSignal,
  ): Promise<{ result: CommandResult; bytes: number; data: object }> {
    const input = stdin === null ? Buffer.alloc(0) : canonicalBase64(stdin, limits.stdinBytes);
    const { scope, file } = permitted(deps, command, args);
    const { walls, level } = deps;
    if (walls === undefined) throw new SallyportError("isolation_unavailable", "This host runs no commands.");
    if (running.size >= limits.atOnce)
      throw new SallyportError("limit_exceeded", `A plugin runs at most ${limits.atOnce} commands at once.`);
    if (!deps.rate.take()) {
      throw new SallyportError("limit_exceeded", "The plugin starts too many commands.", {
        fix: `Start at most ${limits.perSecond} a second.`,
      });
    }
    const controller = new AbortController();
    running.set(controller, context.callId);
    let folder: CommandFolder | null = null;
    try {
      await checkCommand(file);
      if (files.length > 0) folder = await handOver(files, context, walls.hostIsRoot);
      const timeoutMs = Math.min(wanted ?? limits.timeoutMs, limits.mostTimeoutMs);
      const order = {
        level,
        file: file.path,
        argv: [scope.command, ...args],
        folder: folder?.path ?? null,
        stdin: input,
        timeoutMs,
      };
      const started = performance.now();
      const either = AbortSignal.any([controller.signal, signal, context.signal]);
      const result = await runCommand(walls, limits, order, either);
      const { code, signal: endedBy, truncated, stdout, stderr } = result;
      return {
        result,
        bytes: input.length + stdout.length + stderr.length,
        data: {
          exit_code: code,
          ...(endedBy === null ? {} : { signal: endedBy }),
          ...(truncated ? { truncated } : {}),
          run_ms: Math.round(performance.now() - started),
          file: file.path,
          sha256: file.sha256,
        },
      };
    } finally {
      await folder?.remove();
      running.delete(controller);
    }
  }

  async function handOver(
    files: readonly HandedFile[],
    context: CallContext,
    hostIsRoot: boolean,
  ): Promise<CommandFolder> {
    if (new Set(files.map(({ name }) => name)).size < files.length)
      throw new SallyportError("usage", "Two files for a command have the same name.");
    const { home, places } = deps;
    const onRead = (path: string, bytes: number): void => deps.onRead(context, path, bytes);
    return makeCommandFolder(files, {
      home,
      places: places.within(context.within),
      hostIsRoot,
      mostBytes: limits.filesBytes,
      onRead,
    }).catch((error: unknown) => {
      throw fileFailure(error, "A file for the command");
    });
  }

  const exec = callOperation(Exec, async (params, context, signal) => {
    const { target, ...data } = toldOf(params, deps);
    try {
      checkArguments(params.args, limits);
      const ran = await run(params, context, signal);
      deps.report(context, { target, bytes: ran.bytes, data: { ...data, ...ran.data } });
      const { code, signal: endedBy, truncated, stdout, stderr } = ran.result;
      return {
        code,
        signal: endedBy,
        stdout: stdout.toString("base64"),
        stderr: stderr.toString("base64"),
        truncated,
      };
    } catch (error) {
      deps.report(context, { target, bytes: 0, data }, error);
      throw error;
    }
  });

  return {
    operations: { exec },
    end(callId) {
      for (const [controller, owner] of running) if (callId === undefined || owner === callId) controller.abort();
    },
  };
}

/**
 * What the audit hears of arguments: redacted one by one and whole, since quoting or cutting could hide a secret from whoever
 * looks for it; the digest is over the same, so that nobody can try secrets against it. Too many to be run are not told.
 */
function toldOf(
  { command, args }: z.output<typeof Exec>,
  { limits, redactText }: ExecDeps,
): { readonly target: string; readonly args_digest?: string } {
  if (problemOf(args, limits) !== undefined) return { target: redactText(command) };
  const shown = args.map(redactText);
  return { target: commandLine(redactText(command), shown), args_digest: sha256(canonicalJson(shown)) };
}

function checkArguments(args: readonly string[], limits: ExecLimits): void {
  const problem = problemOf(args, limits);
  if (problem !== undefined) throw problem;
}

function problemOf(args: readonly string[], { argBytes, argsBytes }: ExecLimits): SallyportError | undefined {
  let total = 0;
  for (const arg of args) {
    if (!arg.isWellFormed() || arg.includes("\0")) return new SallyportError("usage", "An argument is no text.");
    const bytes = Buffer.byteLength(arg);
    total += bytes;
    if (bytes > argBytes) return new SallyportError("limit_exceeded", `An argument has at most ${argBytes} bytes.`);
  }
  if (total <= argsBytes) return undefined;
  return new SallyportError("limit_exceeded", `All arguments together have at most ${argsBytes} bytes.`);
}

/** The grant that admits this, with the file that was approved. What the manifest asks for and the ceiling have to admit it too. */
function permitted(
  { reach, granted }: ExecDeps,
  command: string,
  args: readonly string[],
): { readonly scope: ExecScope; readonly file: NonNullable<ExecScope["file"]> } {
  for (const scope of granted) {
    if (scope.capability !== "exec" || scope.file === undefined || !commandMatches(command, scope.command)) continue;
    const wish = { capability: "exec", command: scope.command, args } as const;
    if (covers(scope, wish) && reach.allows(wish)) return { scope, file: scope.file };
  }
  throw new PolicyViolationError(
    "permission_denied",
    `The plugin may not run ${displayLine(command, 100)} like this.`,
    {
      detail: "No grant covers this command with these arguments.",
      fix: "Declare it under permissions.exec and have an operator approve it.",
      data: { capability: "exec" },
    },
  );
}
