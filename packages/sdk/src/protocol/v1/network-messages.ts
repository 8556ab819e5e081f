/** Shapes of protocol v1 about the network: requests, bodies and WebSockets. */

import type { CallId } from "./values.ts";

export interface FetchParams {
  readonly call: CallId;
  readonly url: string;
  readonly method: string;
  readonly headers: readonly (readonly [string, string])[];
  /** The whole body in base64, or null. */
  readonly body: string | null;
  /** Id, of the plugin's making, of a body that follows in `body.write` requests, or null. */
  readonly upload: string | null;
  readonly redirect: "follow" | "manual" | "error";
  /** Names of secrets that the host writes into the request where the manifest says. */
  readonly secrets: readonly string[];
}

export interface FetchResult {
  readonly status: number;
  readonly status_text: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly url: string;
  readonly redirected: boolean;
  /** The whole body in base64 when it is small and complete, else null. */
  readonly body: string | null;
  /** Id of a body to be read with `body.read`, or null. */
  readonly stream: string | null;
}

export interface BodyReadParams {
  readonly call: CallId;
  readonly stream: string;
}

export interface BodyReadResult {
  readonly data: string;
  readonly done: boolean;
}

export interface BodyCancelParams {
  readonly call: CallId;
  readonly stream: string;
}

export interface BodyWriteParams {
  readonly call: CallId;
  readonly upload: string;
  readonly data: string;
  readonly done: boolean;
}

export interface WsOpenParams {
  readonly call: CallId;
  /** `ws:` or `wss:`. */
  readonly url: string;
  /** Subprotocols, in the order of preference. */
  readonly protocols: readonly string[];
  /** Names of secrets that the host writes into the handshake where the manifest says. */
  readonly secrets: readonly string[];
}

export interface WsOpenResult {
  /** Id of the socket, of the host's making; it belongs to the call. */
  readonly socket: string;
  /** The subprotocol that the server chose, or an empty text. */
  readonly protocol: string;
}

export interface WsSocketParams {
  readonly call: CallId;
  readonly socket: string;
}

export interface WsMessage {
  readonly binary: boolean;
  /** In base64; UTF-8 unless `binary`. */
  readonly data: string;
}

/** Answered once something came. The messages are at most 256 KiB, or one. */
export interface WsReceiveResult {
  readonly messages: readonly WsMessage[];
  /** Set with the last messages, or alone: the socket is over, and its id too. */
  readonly close: { readonly code: number; readonly reason: string; readonly clean: boolean } | null;
}

export interface WsSendParams extends WsSocketParams, WsMessage {}

export interface WsCloseParams extends WsSocketParams {
  /** 1000, 3000 to 4999, or null for none. */
  readonly code: number | null;
  /** At most 123 bytes. */
  readonly reason: string;
}
