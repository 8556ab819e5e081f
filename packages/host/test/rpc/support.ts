import { PassThrough } from "node:stream";
import type { Clock, SallyportError } from "../../src/kernel/index.ts";
import { createPeer, type Peer, type PeerLimits, type Timers } from "../../src/rpc/index.ts";

/** A clock and timers that move only when told. */
export function createManualTime(): { clock: Clock; timers: Timers; advance(milliseconds: number): void } {
  let now = 0;
  const waiting = new Set<{ at: number; callback: () => void }>();
  return {
    clock: { now: () => now, monotonic: () => now },
    timers: {
      set(callback, milliseconds) {
        const entry = { at: now + milliseconds, callback };
        waiting.add(entry);
        return () => waiting.delete(entry);
      },
    },
    advance(milliseconds) {
      now += milliseconds;
      for (const entry of [...waiting].toSorted((a, b) => a.at - b.at)) {
        if (entry.at <= now && waiting.delete(entry)) entry.callback();
      }
    },
  };
}

export interface Wire {
  peer: Peer;
  /** Bytes from the other side. */
  receive(data: string | Buffer): void;
  /** What the peer wrote so far, parsed. */
  sent(): Promise<Record<string, unknown>[]>;
  violations: SallyportError[];
  notifications: { method: string; params: unknown }[];
  readable: PassThrough;
  writable: PassThrough;
  time: ReturnType<typeof createManualTime>;
}

export function createWire(
  options: { limits?: Partial<PeerLimits>; onRequest?: (method: string, params: unknown) => Promise<unknown> } = {},
): Wire {
  const readable = new PassThrough();
  const writable = new PassThrough();
  const time = createManualTime();
  const violations: SallyportError[] = [];
  const notifications: { method: string; params: unknown }[] = [];
  let text = "";
  writable.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const peer = createPeer({
    readable,
    writable,
    clock: time.clock,
    timers: time.timers,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    onRequest: options.onRequest ?? (() => Promise.resolve({})),
    onNotification: (method, params) => notifications.push({ method, params }),
    onViolation: (error) => violations.push(error),
  });
  return {
    peer,
    // Straight to the listener, so that a test sees the effect of one chunk at once.
    receive: (data) => void readable.emit("data", typeof data === "string" ? Buffer.from(data) : data),
    async sent() {
      await new Promise((resolve) => setImmediate(resolve));
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    },
    violations,
    notifications,
    readable,
    writable,
    time,
  };
}

export const line = (value: unknown): string => `${JSON.stringify(value)}\n`;
