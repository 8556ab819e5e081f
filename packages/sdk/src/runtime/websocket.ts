import type { CallId, WsMessage, WsReceiveResult } from "../protocol/v1/index.ts";
import { isSallyportError } from "../plugin/index.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import type { HostPort } from "./port.ts";
import { closeEvent, type Data, errorEvent, opening, type Outgoing, outgoing } from "./websocket-parts.ts";

type Handler = ((event: Event) => unknown) | null;

/** As the standard has it; `secrets` names what the host writes into the handshake where the manifest says. */
export interface WebSocketInit {
  readonly protocols?: string | readonly string[];
  readonly secrets?: readonly string[];
}

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

const REASON_BYTES = 123;
const encoder = new TextEncoder();

/**
 * The standard `WebSocket`, as requests to the host's broker. `call` gives the call that a socket belongs to, and may throw:
 * with that call it ends. A refusal is an `error` event that carries it as `error`, then `close` with 1006.
 */
export function createWebSocket(
  port: HostPort,
  call: () => CallId,
): new (url: string | URL, protocols?: string | readonly string[] | WebSocketInit) => EventTarget {
  return class WebSocket extends EventTarget {
    static readonly CONNECTING = CONNECTING;
    static readonly OPEN = OPEN;
    static readonly CLOSING = CLOSING;
    static readonly CLOSED = CLOSED;
    readonly CONNECTING = CONNECTING;
    readonly OPEN = OPEN;
    readonly CLOSING = CLOSING;
    readonly CLOSED = CLOSED;
    readonly url: string;
    readonly extensions = "";
    onopen: Handler = null;
    onmessage: Handler = null;
    onerror: Handler = null;
    onclose: Handler = null;
    #readyState: number = CONNECTING;
    #binaryType: "blob" | "arraybuffer" = "blob";
    #protocol = "";
    #bufferedAmount = 0;
    #queue: Outgoing[] = [];
    #sending = false;
    #closing: { readonly code: number | null; readonly reason: string } | undefined;
    #socket: { readonly call: CallId; readonly socket: string } | undefined;

    constructor(url: string | URL, init: string | readonly string[] | WebSocketInit = []) {
      super();
      const { url: parsed, protocols, secrets } = opening(url, init);
      this.url = parsed;
      this.addEventListener("open", (event) => this.onopen?.call(this, event));
      this.addEventListener("message", (event) => this.onmessage?.call(this, event));
      this.addEventListener("error", (event) => this.onerror?.call(this, event));
      this.addEventListener("close", (event) => this.onclose?.call(this, event));
      void this.#run(protocols, secrets);
    }

    get readyState(): number {
      return this.#readyState;
    }
    get protocol(): string {
      return this.#protocol;
    }
    /** Bytes that the host has not taken yet. */
    get bufferedAmount(): number {
      return this.#bufferedAmount;
    }
    get binaryType(): "blob" | "arraybuffer" {
      return this.#binaryType;
    }
    set binaryType(type: "blob" | "arraybuffer") {
      if (type === "blob" || type === "arraybuffer") this.#binaryType = type;
    }

    send(data: Data): void {
      if (this.#readyState === CONNECTING)
        throw new DOMException("The WebSocket is not open yet.", "InvalidStateError");
      const message = outgoing(data);
      this.#bufferedAmount += message.size;
      if (this.#readyState !== OPEN) return;
      this.#queue.push(message);
      void this.#flush();
    }

    close(code?: number, reason = ""): void {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999))
        throw new DOMException("The code is neither 1000 nor between 3000 and 4999.", "InvalidAccessError");
      if (encoder.encode(reason).length > REASON_BYTES)
        throw new DOMException(`The reason is over ${REASON_BYTES} bytes.`, "SyntaxError");
      if (this.#readyState >= CLOSING) return;
      this.#readyState = CLOSING;
      this.#closing = { code: code ?? (reason === "" ? null : 1000), reason };
      void this.#flush();
    }

    async #run(protocols: readonly string[], secrets: readonly string[]): Promise<void> {
      try {
        // A constructor that throws is not what libraries expect of a refusal.
        await Promise.resolve();
        const owner = call();
        const opened = await port.request("ws.open", { call: owner, url: this.url, protocols, secrets });
        this.#socket = { call: owner, socket: opened.socket };
        if (this.#readyState === CONNECTING) {
          this.#protocol = opened.protocol;
          this.#readyState = OPEN;
          this.dispatchEvent(new Event("open"));
        } else void this.#flush();
        await this.#receive(this.#socket);
      } catch (error) {
        this.#fail(error);
      }
    }

    async #receive(socket: { readonly call: CallId; readonly socket: string }): Promise<void> {
      for (;;) {
        const { messages, close }: WsReceiveResult = await port.request("ws.receive", socket);
        for (const message of messages) this.#deliver(message);
        if (close === null) continue;
        this.#readyState = CLOSED;
        this.dispatchEvent(closeEvent({ code: close.code, reason: close.reason, wasClean: close.clean }));
        return;
      }
    }

    #deliver({ binary, data }: WsMessage): void {
      if (this.#readyState !== OPEN) return;
      const bytes = fromBase64(data);
      const content = binary
        ? this.#binaryType === "blob"
          ? new Blob([bytes])
          : bytes.buffer
        : new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
      this.dispatchEvent(new MessageEvent("message", { data: content, origin: new URL(this.url).origin }));
    }

    /* One at a time: the host answers when there is room for the next, and the order stays. */
    async #flush(): Promise<void> {
      const socket = this.#socket;
      if (this.#sending || socket === undefined) return;
      this.#sending = true;
      try {
        for (let message = this.#queue.shift(); message !== undefined; message = this.#queue.shift()) {
          const { binary, size, bytes } = message;
          await port.request("ws.send", { ...socket, binary, data: toBase64(await bytes) });
          this.#bufferedAmount -= size;
        }
        const closing = this.#closing;
        this.#closing = undefined;
        if (closing !== undefined) await port.request("ws.close", { ...socket, ...closing });
      } catch (error) {
        // A socket that ended meanwhile has told so itself.
        if (!isSallyportError(error) || error.code !== "not_found") this.#fail(error);
      } finally {
        this.#sending = false;
      }
    }

    #fail(error: unknown): void {
      if (this.#readyState === CLOSED) return;
      this.#readyState = CLOSED;
      this.#queue = [];
      this.dispatchEvent(errorEvent(error));
      this.dispatchEvent(closeEvent({ code: 1006, reason: "", wasClean: false }));
    }
  };
}
