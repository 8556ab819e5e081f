import { z } from "zod";
import { displayLine, SallyportError } from "../kernel/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { canonicalBase64 } from "./base64.ts";
import type { DataUsage } from "./data-usage.ts";
import { fileFailure } from "./file-failure.ts";
import { createPlaces } from "./file-place.ts";
import {
  listDirectory,
  makeDirectory,
  readPiece,
  removeNode,
  statNode,
  writePiece,
  type FileTools,
} from "./file-work.ts";
import type { FileLimits } from "./files-limits.ts";
import { callOperation, type Operation, wire } from "./operation.ts";
import type { Queue } from "./queue.ts";
import type { Reach } from "./reach.ts";

const Path = z.string().max(4096);
const Size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const OnlyPath = wire({ path: Path });
const Read = wire({ path: Path, offset: Size, length: Size });
const Write = wire({ path: Path, data: z.string(), offset: Size.nullable() });

export interface FilesDeps {
  readonly reach: Reach;
  readonly limits: FileLimits;
  readonly dataDir: string;
  readonly forbidden: readonly string[];
  readonly queue: Queue;
  readonly usage: DataUsage;
  readonly report: (context: CallContext, method: string, path: string, bytes: number, error?: unknown) => void;
}

export interface FileOperations {
  readonly operations: Readonly<Record<string, Operation>>;
  endCall(callId: string): void;
}

/** `files.*`: plain files and directories below the granted paths, one piece of work at a time. */
export function createFiles(deps: FilesDeps): FileOperations {
  const { limits } = deps;
  const callBytes = new Map<string, number>();
  const tools: FileTools = { places: createPlaces(deps), limits, usage: deps.usage };
  deps.usage.reset();

  const of = ({ within }: CallContext): FileTools =>
    within === undefined ? tools : { ...tools, places: tools.places.within(within) };

  /** Runs in the plugin's queue; what comes out is the answer and the bytes that moved. */
  const work = async <T>(
    context: CallContext,
    signal: AbortSignal,
    method: string,
    path: string,
    act: () => Promise<{ answer: T; bytes: number }>,
  ): Promise<T> => {
    try {
      if (process.platform !== "linux") {
        throw new SallyportError("not_enforceable", "Files are not served on this operating system.", {
          detail: "A granted path can only be held safely on Linux.",
        });
      }
      const { answer, bytes } = await deps.queue(signal, act);
      deps.report(context, method, path, bytes);
      return answer;
    } catch (error) {
      const failure = fileFailure(error, displayLine(path, 300));
      deps.report(context, method, path, 0, failure);
      throw failure;
    }
  };
  const spend = (callId: string, bytes: number): void => {
    const spent = (callBytes.get(callId) ?? 0) + bytes;
    if (spent > limits.callBytes)
      throw new SallyportError(
        "limit_exceeded",
        `One call reads and writes at most ${limits.callBytes} bytes of files.`,
      );
    callBytes.set(callId, spent);
  };

  return {
    operations: {
      "files.read": callOperation(Read, ({ path, offset, length }, context, signal) =>
        work(context, signal, "read", path, async () => {
          const piece = await readPiece(of(context), path, offset, Math.min(length, limits.chunkBytes));
          spend(context.callId, piece.data.length);
          return { answer: { ...piece, data: piece.data.toString("base64") }, bytes: piece.data.length };
        }),
      ),
      "files.write": callOperation(Write, ({ path, data, offset }, context, signal) =>
        work(context, signal, "write", path, async () => {
          const bytes = canonicalBase64(data, 4 * limits.chunkBytes);
          spend(context.callId, bytes.length);
          await writePiece(of(context), path, bytes, offset);
          return { answer: { bytes: bytes.length }, bytes: bytes.length };
        }),
      ),
      "files.list": callOperation(OnlyPath, ({ path }, context, signal) =>
        work(context, signal, "list", path, async () => ({
          answer: { entries: await listDirectory(of(context), path) },
          bytes: 0,
        })),
      ),
      "files.stat": callOperation(OnlyPath, ({ path }, context, signal) =>
        work(context, signal, "stat", path, async () => ({ answer: await statNode(of(context), path), bytes: 0 })),
      ),
      "files.remove": callOperation(OnlyPath, ({ path }, context, signal) =>
        work(context, signal, "remove", path, async () => {
          await removeNode(of(context), path);
          return { answer: {}, bytes: 0 };
        }),
      ),
      "files.mkdir": callOperation(OnlyPath, ({ path }, context, signal) =>
        work(context, signal, "mkdir", path, async () => {
          await makeDirectory(of(context), path);
          return { answer: {}, bytes: 0 };
        }),
      ),
    },
    endCall: (callId) => callBytes.delete(callId),
  };
}
