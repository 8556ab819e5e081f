/** What the host's runner and `@sallyport/sdk/testing` share: the plugin's side of protocol v1. Not for plugins. */
export { fromBase64, toBase64 } from "./base64.ts";
export {
  type Binding,
  type CallOwner,
  createContext,
  createLogger,
  createToolContext,
  logParams,
  type Owner,
} from "./context.ts";
export { type Subscriptions, tellSubscribers } from "./events.ts";
export { databaseFromWire, databaseToWire } from "./database.ts";
export { createEventSource } from "./event-source.ts";
export { createEventStreamParser, type ServerEvent } from "./event-stream.ts";
export { type Deferred, deferred } from "./deferred.ts";
export { createFetch } from "./fetch.ts";
export type { HostPort } from "./port.ts";
export { createWebSocket, type WebSocketInit } from "./websocket.ts";
export { isSallyportError, type LoadedPlugin, type LoadedTool, loadPlugin, sallyportError } from "../plugin/index.ts";
