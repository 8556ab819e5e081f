/**
 * The global `WebSocket` with names of secrets that the host writes into the handshake where the manifest says: what
 * `new WebSocket(url, { protocols, secrets })` does, which the types of the standard do not know.
 */
export function openWebSocket(
  url: string | URL,
  options: { readonly protocols?: string | readonly string[]; readonly secrets?: readonly string[] } = {},
): WebSocket {
  return Reflect.construct(WebSocket, [url, options]);
}
