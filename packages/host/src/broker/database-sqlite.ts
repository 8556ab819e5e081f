import { readFile } from "node:fs/promises";
import { z } from "zod";
import {
  type EnginePaths,
  planSqlite,
  type SandboxedProcess,
  type SandboxTools,
  spawnSandboxed,
} from "../isolation/index.ts";
import { displayLine, type IsolationLevel, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { createLineReader } from "../rpc/index.ts";
import { cancelled, throwIfAborted } from "./aborting.ts";
import { type SqlitePlace, sqlitePlace } from "./database-place.ts";
import type {
  DatabaseAnswer,
  DatabaseConnection,
  DatabaseLimits,
  DatabaseLink,
  DatabaseMode,
  DatabaseQuery,
  SqliteConnection,
  StillMeant,
} from "./database-types.ts";
import { createQueue } from "./queue.ts";

export interface SqliteDeps {
  readonly engine: EnginePaths;
  readonly tools: SandboxTools;
  readonly available: readonly IsolationLevel[];
  readonly hostIsRoot: boolean;
  readonly forbidden: readonly string[];
  readonly limits: DatabaseLimits;
  readonly stillMeant: StillMeant;
}

interface Child {
  readonly process: SandboxedProcess;
  readonly place: SqlitePlace;
  readonly ask: Ask;
}

interface Ask {
  (query: DatabaseQuery, signal: AbortSignal): Promise<z.output<typeof Answer>>;
  /** It was killed, or ended by itself. */
  over(): boolean;
}

const MEMORY_MB = 256;
/** Files are replaced by whoever writes the database; a statement that met one of those moments is tried again. */
const TRIES = 5;
const ERROR_CHARS = 500;

const Value = z.union([
  z.null(),
  z.number(),
  z.string(),
  z.strictObject({ integer: z.string() }),
  z.strictObject({ real: z.string() }),
  z.strictObject({ base64: z.string() }),
]);
const Answer = z.union([
  z.strictObject({
    columns: z.array(z.string()),
    rows: z.array(z.array(Value)),
    truncated: z.boolean(),
    changes: z.number(),
    writes: z.boolean(),
  }),
  z.strictObject({ error: z.string(), message: z.string().optional(), code: z.number().nullable().optional() }),
]);

/** A SQLite database in a process of its own, that is killed when a statement takes too long or nobody wants it any more. */
export function createSqliteLink(connection: SqliteConnection, mode: DatabaseMode, deps: SqliteDeps): DatabaseLink {
  const { limits } = deps;
  const queue = createQueue();
  const write = mode === "rw";
  let child: Child | undefined;
  let log: boolean | undefined;
  let idle: NodeJS.Timeout | undefined;
  let waiting = 0;
  let closed = false;

  async function end(): Promise<void> {
    const ending = child;
    child = undefined;
    ending?.process.kill();
    await ending?.process.gone;
  }

  async function childFor(place: SqlitePlace): Promise<Child> {
    if (child && (child.ask.over() || child.place.identity !== place.identity)) await end();
    child ??= await startChild(connection, place, write, deps);
    return child;
  }

  const look = (): Promise<SqlitePlace> => sqlitePlace(connection, { write, log, forbidden: deps.forbidden });

  /** A statement may have waited, and the connection have become another one meanwhile. */
  function assertOpen(): void {
    if (closed) throw cancelled();
    if (!deps.stillMeant(connection)) throw changed(connection);
  }

  async function once(query: DatabaseQuery, signal: AbortSignal): Promise<DatabaseAnswer | "again"> {
    assertOpen();
    const before = await look();
    const asked = await childFor(before);
    throwIfAborted(signal);
    assertOpen();
    try {
      const answer = await asked.ask(query, signal);
      if ("error" in answer) {
        if (answer.error === "log") log = !before.log;
        else if (answer.error !== "stale") throw refusalOf(connection, answer);
        await end();
        return "again";
      }
      const { writes, ...rows } = answer;
      // A reader has no journal of its own to look at: what appeared meanwhile may hold a change that is half done.
      if (!writes && (await look()).identity !== before.identity) return "again";
      return rows;
    } catch (error) {
      if (asked.ask.over()) await end();
      throw closed ? cancelled() : error;
    }
  }

  return {
    async query(query, signal) {
      if (closed) throw cancelled();
      if (waiting >= limits.waiting) throw new SallyportError("busy", "Too many statements wait for this connection.");
      waiting++;
      clearTimeout(idle);
      try {
        return await queue(signal, async () => {
          for (let tries = 0; tries < TRIES; tries++) {
            const answer = await once(query, signal);
            if (answer !== "again") return answer;
          }
          throw new SallyportError("busy", `The files of the connection ${connection.name} change all the time.`);
        });
      } finally {
        waiting--;
        if (waiting === 0) {
          idle = setTimeout(() => void end(), closed ? 0 : limits.idleMs);
          idle.unref();
        }
      }
    },
    close() {
      closed = true;
      clearTimeout(idle);
      void end();
    },
  };
}

let moduleText: Promise<string> | undefined;

async function startChild(
  connection: SqliteConnection,
  place: SqlitePlace,
  write: boolean,
  { engine, tools, available, hostIsRoot, limits }: SqliteDeps,
): Promise<Child> {
  const level = available.find((one) => one === "namespace" || one === "landlock");
  if (level !== "namespace" && level !== "landlock") {
    throw new PolicyViolationError(
      "isolation_unavailable",
      "A SQLite database is only opened behind the kernel's walls.",
      {
        fix: "Run `sallyport doctor` to see how to get the level `namespace` or `landlock`.",
      },
    );
  }
  moduleText ??= readFile(new URL("../../dist/runner/database-child.mjs", import.meta.url), "utf8");
  const plan = await planSqlite({
    level,
    engine,
    tools,
    module: await moduleText,
    argument: ({ database, companions }) =>
      JSON.stringify({
        path: database,
        companions,
        write,
        wal: place.log,
        busyMs: limits.busyMs,
        valueBytes: limits.valueBytes,
        heapBytes: limits.heapBytes,
      }),
    database: place.file,
    companions: place.companions,
    write,
    owner: hostIsRoot ? place.owner : undefined,
    memoryMb: MEMORY_MB,
  });
  const process = await spawnSandboxed(plan);
  return { process, place, ask: asker(connection, process, limits) };
}

/** One question at a time. Whatever is no answer in time ends the process. */
function asker(connection: SqliteConnection, process: SandboxedProcess, limits: DatabaseLimits): Ask {
  let settle: ((line: string | Error) => void) | undefined;
  let noise = "";
  let over = false;
  let ready = false;
  const kill = (): void => {
    over = true;
    process.kill();
  };
  const reader = createLineReader({
    maxBytes: limits.answerBytes * 2 + 64 * 1024,
    onLine(line) {
      // The first one says so, whether anybody waits for it or not.
      ready = true;
      settle?.(line);
      return true;
    },
    onProblem(problem) {
      kill();
      settle?.(new Error(problem));
    },
  });
  process.stdout.on("data", (chunk: Buffer) => void reader.push(chunk));
  process.stderr.on("data", (chunk: Buffer) => (noise = (noise + chunk.toString("utf8")).slice(-ERROR_CHARS)));
  process.stdin.on("error", () => undefined);
  void process.gone.then(() => {
    over = true;
    settle?.(new Error(noise));
  });

  /** The next line, unless the process ends or is ended before. */
  const next = (signal: AbortSignal, ms: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const finish = (act: () => void): void => {
        settle = undefined;
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        act();
      };
      const onAbort = (): void => {
        kill();
        finish(() => reject(cancelled()));
      };
      const timer = setTimeout(() => {
        kill();
        finish(() => reject(tooSlow(connection.name, ms)));
      }, ms);
      settle = (line) => finish(() => (typeof line === "string" ? resolve(line) : reject(gone(connection, line))));
      if (over) return settle(new Error(noise));
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
    });

  const ask = async (query: DatabaseQuery, signal: AbortSignal): Promise<z.output<typeof Answer>> => {
    if (!ready) await next(signal, limits.connectMs);
    const { answerBytes: bytes, rows } = limits;
    process.stdin.write(`${JSON.stringify({ ...query, bytes, rows })}\n`);
    const parsed = Answer.safeParse(parsedJson(await next(signal, limits.queryMs)));
    if (parsed.success) return parsed.data;
    kill();
    throw gone(connection, new Error("its answer has another form"));
  };
  return Object.assign(ask, { over: () => over });
}

function gone({ name }: SqliteConnection, cause: Error): SallyportError {
  return new SallyportError("database_failed", `The process of the connection ${name} ended.`, {
    detail: "It could not open the file, or a statement needed more memory than there is for it.",
    cause,
  });
}

function parsedJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

export function changed({ name }: DatabaseConnection): SallyportError {
  return new SallyportError("busy", `The connection ${name} became another one meanwhile.`, { fix: "Try again." });
}

export function tooSlow(name: string, ms: number): SallyportError {
  return new SallyportError("deadline_exceeded", `A statement on the connection ${name} took over ${ms} ms.`, {
    fix: "Ask for less, or have the operator add an index.",
  });
}

const BUSY = [5, 6];
const CORRUPT = [11, 26];

function refusalOf(
  { name }: SqliteConnection,
  { error, message = "", code }: { error: string; message?: string | undefined; code?: number | null | undefined },
): SallyportError {
  if (error === "denied") {
    return new PolicyViolationError("permission_denied", `The connection ${name} does not allow this statement.`, {
      detail: `Refused: ${displayLine(message, 60)}.`,
      fix: "Read rows; change them only under a grant with mode rw.",
    });
  }
  if (error === "several") return new SallyportError("usage", "A query is one statement.");
  const primary = typeof code === "number" ? code & 0xff : 0;
  if (BUSY.includes(primary)) {
    return new SallyportError("busy", `The database of the connection ${name} is locked by somebody else.`, {
      fix: "Try again.",
    });
  }
  const details = CORRUPT.includes(primary) ? { detail: "The file is damaged, or no database." } : {};
  return new SallyportError("database_failed", `SQLite: ${displayLine(message, ERROR_CHARS)}`, details);
}
