import { createEventStreamParser } from "./event-stream.ts";

const RETRY_MS = 3000;
/** A server may ask for more; beyond what a timer can count, the wait would be none at all. */
const LONGEST_RETRY_MS = 600_000;

type Handler = ((event: Event) => unknown) | null;

/**
 * The standard `EventSource` over a given `fetch`. It reconnects after a broken connection, as long as the call that opened
 * it is in flight: then the host refuses, which closes it.
 */
export function createEventSource(fetch: typeof globalThis.fetch): new (url: string | URL) => EventTarget {
  return class EventSource extends EventTarget {
    static readonly CONNECTING = 0;
    static readonly OPEN = 1;
    static readonly CLOSED = 2;
    readonly CONNECTING = 0;
    readonly OPEN = 1;
    readonly CLOSED = 2;
    readonly url: string;
    readonly withCredentials = false;
    readyState = 0;
    onopen: Handler = null;
    onmessage: Handler = null;
    onerror: Handler = null;
    #retry = RETRY_MS;
    #lastEventId = "";
    readonly #abort = new AbortController();

    constructor(url: string | URL) {
      super();
      this.url = new URL(url).href;
      this.addEventListener("open", (event) => this.onopen?.call(this, event));
      this.addEventListener("message", (event) => this.onmessage?.call(this, event));
      this.addEventListener("error", (event) => this.onerror?.call(this, event));
      void this.#run();
    }

    close(): void {
      this.readyState = 2;
      this.#abort.abort();
    }

    async #run(): Promise<void> {
      while (this.readyState !== 2) {
        try {
          await this.#connect();
        } catch (error) {
          if (error instanceof RangeError || !isTransient(error)) this.readyState = 2;
        }
        if (this.#abort.signal.aborted) return;
        if (this.readyState !== 2) this.readyState = 0;
        this.dispatchEvent(new Event("error"));
        if (this.readyState === 0) await new Promise((resolve) => setTimeout(resolve, this.#retry));
      }
    }

    async #connect(): Promise<void> {
      const headers: Record<string, string> = { accept: "text/event-stream", "cache-control": "no-store" };
      if (this.#lastEventId !== "") headers["last-event-id"] = asBytes(this.#lastEventId);
      const response = await fetch(this.url, { headers, signal: this.#abort.signal });
      const isStream =
        response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() === "text/event-stream";
      if (response.status !== 200 || !isStream || !response.body) {
        await response.body?.cancel();
        throw new RangeError("The answer is no event stream.");
      }
      this.readyState = 1;
      this.dispatchEvent(new Event("open"));
      const parser = createEventStreamParser(
        ({ type, data, lastEventId }) => {
          this.#lastEventId = lastEventId;
          if (this.readyState === 1)
            this.dispatchEvent(new MessageEvent(type, { data, lastEventId, origin: new URL(this.url).origin }));
        },
        (ms) => {
          this.#retry = Math.min(ms, LONGEST_RETRY_MS);
        },
        this.#lastEventId,
      );
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      const reader = response.body.getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read())
        parser.push(decoder.decode(piece.value, { stream: true }));
    }
  };
}

/** The UTF-8 of a text, one character a byte, as a header carries it. */
function asBytes(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/* A refusal of the host stays one: only a broken connection is tried again. */
function isTransient(error: unknown): boolean {
  return error instanceof Error && (!("code" in error) || error.code === "network_failed");
}
