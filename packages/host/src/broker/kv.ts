import { z } from "zod";
import { parseBoundedJson, LIMITS, SallyportError } from "../kernel/index.ts";
import type { KvStore } from "../store/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { anyTimeOperation, type Operation, wire } from "./operation.ts";
import type { Queue } from "./queue.ts";

/** Bounds of a plugin's keys and values. Bytes, unless the name says otherwise. */
export const KV_LIMITS = {
  keyBytes: 512,
  valueBytes: 256 * 1024,
  quotaBytes: 8 * 1024 * 1024,
  keys: 10_000,
  listed: 1_000,
} as const;

const Key = z
  .string()
  .min(1)
  .refine(
    (key) => Buffer.byteLength(key) <= KV_LIMITS.keyBytes && key.isWellFormed() && !key.includes("\0"),
    "is too long, or not text",
  );
const Prefix = z
  .string()
  .max(KV_LIMITS.keyBytes)
  .refine((prefix) => prefix.isWellFormed() && !prefix.includes("\0"), "is not text");

const Get = wire({ key: Key });
const Set = wire({ key: Key, value: z.unknown().refine((value) => value !== undefined, "is missing") });
const List = wire({ prefix: Prefix });

export interface KvDeps {
  /** The plugin's data space. */
  readonly space: string;
  readonly store: KvStore;
  /** One change at a time, so that two cannot both pass the count. */
  readonly queue: Queue;
  readonly report: (context: CallContext | null, method: string, key: string, bytes: number, error?: unknown) => void;
}

/** A plugin's own keys and values. They need no grant: nobody else reads them, and they are bounded. */
export function createKv(deps: KvDeps): Readonly<Record<string, Operation>> {
  const { space, store, queue } = deps;
  const reported = async <T>(
    context: CallContext | null,
    method: string,
    key: string,
    act: () => Promise<{ answer: T; bytes: number }>,
  ): Promise<T> => {
    try {
      const { answer, bytes } = await act();
      deps.report(context, method, key, bytes);
      return answer;
    } catch (error) {
      deps.report(context, method, key, 0, error);
      throw error;
    }
  };

  return {
    "kv.get": anyTimeOperation(Get, ({ key }, context) =>
      reported(context, "kv.get", key, async () => {
        const text = await store.get(space, key);
        if (text === null) return { answer: { value: null, found: false }, bytes: 0 };
        return {
          answer: { value: parseBoundedJson(text, { maxDepth: LIMITS.jsonDepth }), found: true },
          bytes: text.length,
        };
      }),
    ),
    "kv.set": anyTimeOperation(Set, ({ key, value }, context, signal) =>
      reported(context, "kv.set", key, async () => {
        const text = JSON.stringify(value);
        const bytes = Buffer.byteLength(text);
        if (bytes > KV_LIMITS.valueBytes)
          throw new SallyportError("limit_exceeded", `The value is over ${KV_LIMITS.valueBytes} bytes.`);
        // Stored is only what can be read back: not too deep, no key that reaches a prototype.
        parseBoundedJson(text, { maxDepth: LIMITS.jsonDepth });
        await queue(signal, async () => {
          const { keys } = await store.usage(space);
          if (keys >= KV_LIMITS.keys && (await store.get(space, key)) === null) {
            throw new SallyportError("quota_exceeded", `The plugin has ${KV_LIMITS.keys} keys.`, {
              fix: "Delete keys that are no longer needed.",
            });
          }
          await store.set(space, key, text, KV_LIMITS.quotaBytes);
        });
        return { answer: {}, bytes };
      }),
    ),
    "kv.delete": anyTimeOperation(Get, ({ key }, context, signal) =>
      reported(context, "kv.delete", key, async () => ({
        answer: { deleted: await queue(signal, () => store.delete(space, key)) },
        bytes: 0,
      })),
    ),
    "kv.list": anyTimeOperation(List, ({ prefix }, context) =>
      reported(context, "kv.list", prefix, async () => ({
        answer: { keys: await store.list(space, prefix, KV_LIMITS.listed) },
        bytes: 0,
      })),
    ),
  };
}
