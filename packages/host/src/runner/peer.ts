import {
  type PluginNotificationMethod,
  type PluginRequestMethod,
  type Requests,
  RPC_ERRORS,
} from "@sallyport/sdk/protocol/v1";
import { type HostPort, sallyportError } from "@sallyport/sdk/runtime";
import { jsonOf, type Writer } from "./wire.ts";

/** A line of the host: a request, a notification or an answer. */
export interface HostMessage {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data?: { readonly code?: string; readonly fix?: string };
  };
}

interface Waiting {
  resolve(result: never): void;
  reject(error: unknown): void;
}

export interface Peer extends HostPort {
  /** Takes an answer of the host to a request of ours. */
  settle(message: HostMessage): void;
  answer(id: number, result: unknown): void;
  /** A failure in the plugin's own code. */
  fail(id: number, kind: "tool_failed" | "load_failed" | "initialize_failed", message: string): void;
  refuse(id: number, code: number, message: string): void;
}

const MESSAGE_CHARS = 4 * 1024;

export function createPeer(writer: Writer): Peer {
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  const error = (id: number, body: object): void => writer.line(`{"jsonrpc":"2.0","id":${id},"error":${jsonOf(body)}}`);

  return {
    request<Method extends PluginRequestMethod>(method: Method, params: object): Promise<Requests[Method]["result"]> {
      return new Promise((resolve, reject) => {
        const id = ++lastId;
        writer.line(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${jsonOf(params)}}`);
        waiting.set(id, { resolve, reject });
      });
    },
    notify(method: PluginNotificationMethod, params: object) {
      writer.line(`{"jsonrpc":"2.0","method":"${method}","params":${jsonOf(params)}}`);
    },
    settle({ id = 0, result, error: refusal }) {
      const request = waiting.get(id);
      if (!request) return;
      waiting.delete(id);
      if (refusal) request.reject(sallyportError(refusal.data?.code ?? "internal", refusal.message, refusal.data?.fix));
      else request.resolve(result as never);
    },
    answer(id, result) {
      writer.line(`{"jsonrpc":"2.0","id":${id},"result":${jsonOf(result)}}`);
    },
    fail(id, kind, message) {
      error(id, { code: RPC_ERRORS.pluginFailed, message: message.slice(0, MESSAGE_CHARS), data: { kind } });
    },
    refuse(id, code, message) {
      error(id, { code, message });
    },
  };
}
