import type {
  WsCloseParams,
  WsMessage,
  WsOpenParams,
  WsOpenResult,
  WsReceiveResult,
  WsSendParams,
} from "../protocol/v1/index.ts";
import { fromBase64, sallyportError, toBase64 } from "../runtime/index.ts";
import type { Fakes } from "./fakes.ts";

interface Open {
  readonly received: WsMessage[];
  closed: WsReceiveResult["close"];
  onMessage: ((data: string | Uint8Array) => void) | undefined;
  wake: (() => void) | undefined;
}

/** Answers `ws.*` from the fake. Whatever has no fake has no grant. */
export function createFakeSockets({ webSocket }: Fakes) {
  const open = new Map<string, Open>();
  let count = 0;

  const find = (id: string): Open => {
    const socket = open.get(id);
    if (socket) return socket;
    throw sallyportError("not_found", "There is no such WebSocket.");
  };
  const woken = (socket: Open): void => {
    socket.wake?.();
    socket.wake = undefined;
  };

  return {
    open({ url, protocols }: WsOpenParams): WsOpenResult {
      const socket: Open = { received: [], closed: null, onMessage: undefined, wake: undefined };
      const [protocol = ""] = protocols;
      const server = {
        send(data: string | Uint8Array) {
          const binary = typeof data !== "string";
          socket.received.push({ binary, data: toBase64(binary ? data : new TextEncoder().encode(data)) });
          woken(socket);
        },
        close(code = 1000, reason = "") {
          socket.closed ??= { code, reason, clean: true };
          woken(socket);
        },
      };
      socket.onMessage = webSocket?.(server, { url, protocols });
      if (!socket.onMessage)
        throw sallyportError(
          "permission_denied",
          `This plugin has no grant for a WebSocket to ${url}.`,
          "Add it to the fakes of the test, and to permissions.network of the manifest.",
        );
      const id = `socket-${++count}`;
      open.set(id, socket);
      return { socket: id, protocol };
    },
    async receive({ socket: id }: { readonly socket: string }): Promise<WsReceiveResult> {
      const socket = find(id);
      if (socket.received.length === 0 && socket.closed === null)
        await new Promise<void>((resolve) => (socket.wake = resolve));
      if (socket.closed !== null) open.delete(id);
      return { messages: socket.received.splice(0), close: socket.closed };
    },
    send({ socket, binary, data }: WsSendParams): void {
      const bytes = fromBase64(data);
      find(socket).onMessage?.(binary ? bytes : new TextDecoder().decode(bytes));
    },
    close({ socket: id, code, reason }: WsCloseParams): void {
      const socket = find(id);
      socket.closed ??= { code: code ?? 1005, reason, clean: true };
      woken(socket);
    },
  };
}
