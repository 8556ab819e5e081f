import { SallyportError } from "../kernel/index.ts";
import { parseTarget, type Target } from "./target.ts";

/** Where a WebSocket goes. Its handshake is an HTTP request, so the target is that one's; secrets are bound to its origin. */
export interface WebSocketTarget {
  readonly scheme: "wss" | "ws";
  readonly target: Target;
}

/**
 * Reads the URL of a WebSocket once, by the rules of `parseTarget`.
 * @throws {SallyportError} `usage`.
 */
export function parseWebSocketTarget(text: string, maxBytes: number): WebSocketTarget {
  const [, secure, rest] = /^ws(s?):(.*)$/is.exec(text) ?? [];
  if (secure === undefined || rest === undefined) {
    throw new SallyportError("usage", "The URL is refused.", {
      detail: "Its scheme is not ws or wss.",
      fix: "Open a plain ws or wss URL.",
    });
  }
  const target = parseTarget(`http${secure}:${rest}`, maxBytes);
  return { scheme: target.scheme === "https" ? "wss" : "ws", target };
}

/** `wss://host[:port]` of a target. */
export function socketOrigin(target: Target): string {
  return target.origin.replace(/^http/, "ws");
}
