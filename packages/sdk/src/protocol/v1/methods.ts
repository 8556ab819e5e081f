/** The version of the protocol that this folder describes. */
export const PROTOCOL_VERSION = 1;

/** The longest line, in bytes, that either side accepts. */
export const LINE_BYTES = 4 * 1024 * 1024;

/** The most raw bytes that one `body.read` answer or one `body.write` request carries. */
export const CHUNK_BYTES = 256 * 1024;

/** Requests of the host that the plugin's process answers. */
export const HOST_REQUESTS = ["hello", "bind", "initialize", "call", "hook", "event", "ping", "shutdown"] as const;
export type HostRequestMethod = (typeof HOST_REQUESTS)[number];

/** Notifications of the host. */
export const HOST_NOTIFICATIONS = ["cancel"] as const;
export type HostNotificationMethod = (typeof HOST_NOTIFICATIONS)[number];

/** Requests of the plugin that the host's broker answers. */
export const PLUGIN_REQUESTS = [
  "fetch",
  "body.read",
  "body.cancel",
  "body.write",
  "ws.open",
  "ws.receive",
  "ws.send",
  "ws.close",
  "files.read",
  "files.write",
  "files.list",
  "files.stat",
  "files.remove",
  "files.mkdir",
  "kv.get",
  "kv.set",
  "kv.delete",
  "kv.list",
  "database.query",
  "exec",
  "system.get",
  "agent.call",
  "agent.notify",
  "events.publish",
  "events.subscribe",
] as const;
export type PluginRequestMethod = (typeof PLUGIN_REQUESTS)[number];

/** Notifications of the plugin. */
export const PLUGIN_NOTIFICATIONS = ["log", "progress"] as const;
export type PluginNotificationMethod = (typeof PLUGIN_NOTIFICATIONS)[number];
