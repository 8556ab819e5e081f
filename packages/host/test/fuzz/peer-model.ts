import { z } from "zod";

/** Limits small enough that a generated session reaches each of them. */
export const SMALL = {
  lineBytes: 300,
  jsonDepth: 20,
  outstanding: 4,
  inboundRequests: 3,
  unaskedPerSecond: 12,
  unaskedBytesPerSecond: 1500,
  abandonedIds: 2,
};

const id = z.number().int().positive();
const params = z.record(z.string(), z.unknown()).optional();
const method = z.string().max(64);
const version = z.literal("2.0");
const code = z.number().refine((number) => Number.isInteger(number));
/** JSON-RPC 2.0 as docs/protocol.md narrows it, said a second time. */
const Message = z.union([
  z.strictObject({ jsonrpc: version, id, method, params }),
  z.strictObject({ jsonrpc: version, method, params }),
  z.strictObject({ jsonrpc: version, id, result: z.unknown().refine((value) => value !== undefined) }),
  z.strictObject({
    jsonrpc: version,
    id,
    error: z.strictObject({ code, message: z.string(), data: z.unknown().optional() }),
  }),
]);
type Message = z.output<typeof Message>;

/** What one line is, by the protocol's page alone; null for what no honest process sends. */
export function judge(line: Buffer): Message | null {
  if (line.length > SMALL.lineBytes) return null;
  let text: string;
  let lawful = true;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line);
    value = JSON.parse(text, (key, member: unknown) => {
      if (key === "__proto__") lawful = false;
      if (key === "constructor" && Object.hasOwn(Object(member), "prototype")) lawful = false;
      return member;
    });
  } catch {
    return null;
  }
  if (!lawful || depth(text) > SMALL.jsonDepth) return null;
  const message = Message.safeParse(value);
  return message.success ? message.data : null;
}

function depth(json: string): number {
  let [open, most] = [0, 0];
  for (const bracket of json.replaceAll(/"(?:[^"\\]|\\.)*"/gs, "").replaceAll(/[^[\]{}]/g, "")) {
    open += bracket === "[" || bracket === "{" ? 1 : -1;
    most = Math.max(most, open);
  }
  return most;
}

/** What a peer must do, without how: the state that the protocol speaks of and nothing else. */
export function createModel() {
  const deadlines = new Map<number, number>();
  const givenUp: number[] = [];
  const answered: number[] = [];
  const working: number[] = [];
  const settled = new Map<number, string>();
  const answers = new Map<number, string>();
  const heard: string[] = [];
  let [now, windowStart, count, bytes, lastOwn, nextId, late] = [0, -Infinity, 0, 0, 0, 1, 0];
  let held = Buffer.alloc(0);
  let broken = false;
  let vague = false;

  const admit = (size: number): boolean => {
    if (now - windowStart >= 1000) [windowStart, count, bytes] = [now, 0, 0];
    count++;
    bytes += size;
    return count <= SMALL.unaskedPerSecond && bytes <= SMALL.unaskedBytesPerSecond;
  };
  const giveUp = (waiting: number, how: string): void => {
    deadlines.delete(waiting);
    settled.set(waiting, how);
    givenUp.push(waiting);
    if (givenUp.length > SMALL.abandonedIds) givenUp.shift();
  };
  /** @returns whether an honest process may send this now. */
  const take = (message: Message, size: number): boolean => {
    if ("method" in message) {
      if (!("id" in message)) {
        if (!admit(size)) return false;
        heard.push(message.method);
        return true;
      }
      if (message.id <= lastOwn) return false;
      lastOwn = message.id;
      if (working.length < SMALL.inboundRequests) {
        working.push(message.id);
        return true;
      }
      answers.set(message.id, "busy");
      return admit(size);
    }
    if (deadlines.delete(message.id)) {
      settled.set(message.id, "result" in message ? "result" : "error");
      answered.push(message.id);
      return true;
    }
    const place = givenUp.indexOf(message.id);
    if (place === -1) return false;
    givenUp.splice(place, 1);
    answered.push(message.id);
    late++;
    return true;
  };

  return {
    /** @returns the kind of each line that was looked at, in order. */
    receive(chunk: Buffer): string[] {
      if (broken) return [];
      const kinds: string[] = [];
      held = Buffer.concat([held, chunk]);
      const lines: Buffer[] = [];
      for (let end = held.indexOf(0x0a); end !== -1; end = held.indexOf(0x0a)) {
        lines.push(held.subarray(0, end));
        held = held.subarray(end + 1);
      }
      // A reader may look at the encoding of all lines that came together before it looks at what the first one says.
      vague = lines.some((line) => !isUtf8(line));
      for (const line of lines) {
        const message = judge(line);
        broken = message === null || !take(message, line.length);
        kinds.push(broken ? "refused" : kindOf(message));
        if (broken) return kinds;
      }
      broken = held.length > SMALL.lineBytes;
      return broken ? [...kinds, "refused"] : kinds;
    },
    send(timeout: number): number {
      if (broken || deadlines.size >= SMALL.outstanding) return 0;
      deadlines.set(nextId, now + timeout);
      return nextId++;
    },
    abandon(which: number): number {
      const waiting = [...deadlines.keys()][which % Math.max(1, deadlines.size)] ?? 0;
      if (waiting !== 0) giveUp(waiting, "cancelled");
      return waiting;
    },
    /** One of the requests that are worked on is done. */
    finish(which: number, how: string): number {
      const [done = 0] = working.splice(which % Math.max(1, working.length), 1);
      if (done !== 0) answers.set(done, how);
      return done;
    },
    advance(milliseconds: number): void {
      now += milliseconds;
      for (const [waiting, at] of deadlines) if (at <= now) giveUp(waiting, "deadline_exceeded");
    },
    get ids() {
      const any = [...deadlines.keys(), ...givenUp, ...answered, nextId];
      return { pools: { waiting: [...deadlines.keys()], "given up": givenUp, answered, any }, lastOwn };
    },
    get state() {
      return { broken, vague, late, waiting: deadlines.size, working: working.length, settled, answers, heard, nextId };
    },
  };
}

function kindOf(message: Message | null): string {
  if (message === null) return "refused";
  if (!("method" in message)) return "answer";
  return "id" in message ? "request" : "notification";
}

function isUtf8(line: Buffer): boolean {
  return Buffer.from(line.toString("utf8")).equals(line);
}
