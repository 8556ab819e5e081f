import { SallyportError } from "../kernel/index.ts";
import { cancelled } from "./aborting.ts";
import { MESSAGE_COST } from "./websocket-limits.ts";

export interface Message {
  readonly binary: boolean;
  readonly data: Buffer;
}

/** What a server sent and the plugin has not asked for yet; reading stops while it is full. */
export interface Incoming<Close> {
  /** @param size of the message as it came. */
  push(message: Message, size: number): void;
  /** What came, at most so many bytes or one message; waits for the first. The end comes with the last, or alone. */
  take(signal: AbortSignal): Promise<{ readonly messages: readonly Message[]; readonly close: Close | null }>;
  finish(close: Close): void;
  /** What came stays to be taken; then this is thrown. */
  fail(error: SallyportError): void;
  /** Reads on from now, full or not: nothing but the end is waited for. */
  flow(): void;
  /** Payload that came. */
  readonly bytes: number;
  /** The same, with `MESSAGE_COST` for each message. */
  readonly cost: number;
}

export interface IncomingOptions {
  readonly queueBytes: number;
  readonly answerBytes: number;
  readonly pause: () => void;
  readonly resume: () => void;
}

export function createIncoming<Close>(options: IncomingOptions): Incoming<Close> {
  const queue: Message[] = [];
  let held = 0;
  let bytes = 0;
  let cost = 0;
  let paused = false;
  let draining = false;
  let closed: Close | undefined;
  let failure: SallyportError | undefined;
  let wake: (() => void) | undefined;

  const ready = (): boolean => queue.length > 0 || closed !== undefined || failure !== undefined;
  const woken = (): void => {
    wake?.();
    wake = undefined;
  };
  const room = (): void => {
    if (!paused || held * 2 > options.queueBytes) return;
    paused = false;
    options.resume();
  };
  const batch = (): Message[] => {
    let size = 0;
    let count = 0;
    for (const { data } of queue) {
      if (count > 0 && size + data.length > options.answerBytes) break;
      size += data.length + MESSAGE_COST;
      count++;
    }
    const taken = queue.splice(0, count);
    held -= taken.reduce((sum, { data }) => sum + data.length + MESSAGE_COST, 0);
    room();
    return taken;
  };

  return {
    push(message, size) {
      bytes += size;
      cost += size + MESSAGE_COST;
      if (draining || closed !== undefined || failure !== undefined) return;
      queue.push(message);
      held += message.data.length + MESSAGE_COST;
      if (!paused && held > options.queueBytes) {
        paused = true;
        options.pause();
      }
      woken();
    },
    async take(signal) {
      if (wake !== undefined) throw new SallyportError("usage", "The socket is being read already.");
      if (!ready()) await awake(signal);
      const messages = batch();
      if (messages.length === 0 && failure !== undefined) throw failure;
      return { messages, close: queue.length === 0 && failure === undefined ? (closed ?? null) : null };
    },
    finish(close) {
      closed ??= close;
      woken();
    },
    fail(error) {
      failure ??= error;
      woken();
    },
    flow() {
      draining = true;
      if (paused) options.resume();
      paused = false;
    },
    get bytes() {
      return bytes;
    },
    get cost() {
      return cost;
    },
  };

  function awake(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        wake = undefined;
        reject(cancelled());
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      wake = () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
    });
  }
}
