/** Codes of JSON-RPC error objects on the wire. */
export const RPC_ERRORS = {
  /** The line is no JSON. */
  parse: -32700,
  /** The message has the wrong shape, or comes at the wrong time. */
  invalidRequest: -32600,
  unknownMethod: -32601,
  invalidParams: -32602,
  internal: -32603,
  /** Plugin to host: the plugin's own code failed; `data.kind` says where. */
  pluginFailed: -32000,
  /** Host to plugin: the host refused or failed; `data.code` is the host's error code. */
  hostRefused: -32001,
} as const;

/** `data` of a `pluginFailed` error. */
export interface PluginFailure {
  readonly kind: "tool_failed" | "load_failed" | "initialize_failed";
}

/** `data` of a `hostRefused` error. */
export interface HostRefusal {
  /** A code of the host's error table: `permission_denied`, `address_refused`, `quota_exceeded`, … */
  readonly code: string;
  readonly fix?: string;
}

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: PluginFailure | HostRefusal | Readonly<Record<string, unknown>>;
}
