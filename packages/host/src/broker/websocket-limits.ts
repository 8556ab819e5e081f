/** Bounds of a plugin's WebSockets. Sizes in bytes, times in milliseconds. */
export interface WebSocketLimits {
  /** Open at the same time: in one call, and of one plugin. More are refused. */
  readonly openPerCall: number;
  readonly openPerPlugin: number;
  /** Of one message, whatever it is made of. */
  readonly messageBytes: number;
  /** Frames that one message may come in. */
  readonly fragments: number;
  /** What a connection carries one way, `MESSAGE_COST` added for each message. */
  readonly totalBytes: number;
  /** Messages that the plugin sends, a second, and at once. More wait. */
  readonly perSecond: number;
  readonly burst: number;
  /** Pings of the server, a second, and at once. More end the connection. */
  readonly pingsPerSecond: number;
  readonly pingBurst: number;
  /** Received and not yet asked for: from here on nothing more is read from the server. */
  readonly queueBytes: number;
  /** Sent and not yet taken by the network: from here on a message is answered once it left. */
  readonly sendBytes: number;
  readonly handshakeMs: number;
  /** With nothing sent and nothing received. */
  readonly idleMs: number;
  /** From the plugin's `close` to the server's. */
  readonly closeMs: number;
}

export const WEBSOCKET_LIMITS: WebSocketLimits = {
  openPerCall: 4,
  openPerPlugin: 16,
  messageBytes: 1024 * 1024,
  fragments: 4 * 1024,
  totalBytes: 64 * 1024 * 1024,
  perSecond: 500,
  burst: 2_000,
  pingsPerSecond: 20,
  pingBurst: 100,
  queueBytes: 256 * 1024,
  sendBytes: 1024 * 1024,
  handshakeMs: 15_000,
  idleMs: 120_000,
  closeMs: 2_000,
};

/** What a message counts beside its bytes, so that a flood of empty ones is bounded too. */
export const MESSAGE_COST = 64;
