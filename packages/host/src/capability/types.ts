/** Scopes: how far one authority reaches. The same shapes serve requests, grants and host ceilings. */

export interface NetworkScope {
  readonly capability: "network";
  /** Canonical lower-case ASCII host name or IP literal; `*.example.com` covers subdomains only. */
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
  readonly scheme: "https" | "http" | "wss" | "ws";
  /** Upper-case methods, or `["*"]`. */
  readonly methods: readonly string[];
  /** Path patterns: `*` is one segment, `**` the rest. */
  readonly paths: readonly string[];
  /** Operator's only: answers on the local network (`private`) or this machine (`loopback`) are admitted for this name. */
  readonly private?: boolean;
  readonly loopback?: boolean;
}

export interface FilesystemScope {
  readonly capability: "filesystem";
  /** Absolute path, or `${data}` and below: the plugin's own directory. */
  readonly path: string;
  readonly mode: "r" | "rw";
}

export interface SecretUse {
  /** `https://host[:port]`. */
  readonly origin: string;
  /** Where the host writes it: `header:NAME`, `query:NAME`, `path:N` or `basic`. */
  readonly in: string;
  /** Text with one `{}`. */
  readonly format: string;
}

export interface SecretScope {
  readonly capability: "secrets";
  readonly name: string;
  readonly use?: SecretUse;
  /** The plugin receives the value itself. A separate, loudly worded grant. */
  readonly expose?: boolean;
}

export interface ExecScope {
  readonly capability: "exec";
  /** Absolute path. In what a manifest asks for also a plain name, which stands for any path that ends in it. */
  readonly command: string;
  /** Argument patterns, in canonical form. */
  readonly args: readonly string[];
  /** Operator's only: it runs whatever its arguments or its input say. */
  readonly interpreter?: boolean;
  /** Grants only, written by the host: what the command was when the operator said yes. Without it nothing runs. */
  readonly file?: {
    /** Absolute, without links. */
    readonly path: string;
    /** Of its bytes, hex. */
    readonly sha256: string;
  };
}

export interface DatabaseScope {
  readonly capability: "database";
  readonly connection: string;
  readonly mode: "r" | "rw";
}

export interface AgentScope {
  readonly capability: "agent";
  readonly tools: readonly string[];
  readonly notify?: boolean;
}

export interface EventsScope {
  readonly capability: "events";
  readonly direction: "publish" | "consume";
  readonly topic: string;
  /** To consume: while it is told of an event, the plugin may use all else that it was granted; otherwise log and kv. */
  readonly background?: boolean;
}

/** What `tool.before_call` may write into arguments, and nothing else: one value at one place. */
export interface HookMark {
  /** JSON pointer, as in `/labels/checked`. */
  readonly pointer: string;
  readonly value: string | number | boolean;
}

export interface HooksScope {
  readonly capability: "hooks";
  readonly event: string;
  /** Names of other plugins' tools; empty means the plugin's own tools. */
  readonly tools: readonly string[];
  readonly payload?: boolean;
  /** `tool.before_call` only. */
  readonly mark?: HookMark;
  /** Not `tool.before_call`: as for events. */
  readonly background?: boolean;
}

export interface SystemScope {
  readonly capability: "system";
  readonly facet: string;
}

export interface ToolsScope {
  readonly capability: "tools";
}

export type Scope =
  | NetworkScope
  | FilesystemScope
  | SecretScope
  | ExecScope
  | DatabaseScope
  | AgentScope
  | EventsScope
  | HooksScope
  | SystemScope
  | ToolsScope;

/** One line of what a manifest asks for. Asking has no effect. */
export interface PermissionRequest {
  /** Stable within the manifest and usable on a command line: `network:api.example.com:443`, `filesystem:${data}/cache`. */
  readonly key: string;
  /**
   * What is asked. `null` for a request without a scope (`network: true`): it grants nothing until the operator fills it
   * (`--scope`). `capability` says of which kind.
   */
  readonly scope: Scope | null;
  readonly capability: Scope["capability"];
  /** For an unscoped filesystem or database request: the widest mode that may be filled in. */
  readonly mode?: "r" | "rw";
  /** For an unscoped events request: the direction that may be filled in. */
  readonly direction?: "publish" | "consume";
  readonly reason?: string;
  /** A required permission that is denied means the plugin is denied. */
  readonly required: boolean;
}

/** What a plugin tries to do, in canonical form; the broker builds it from what will really happen. */
export type Wish =
  | {
      readonly capability: "network";
      readonly host: string;
      readonly port: number;
      readonly scheme: NetworkScope["scheme"];
      readonly method: string;
      /** Canonical path of the URL, without query. */
      readonly path: string;
    }
  | { readonly capability: "filesystem"; readonly path: string; readonly mode: "r" | "w" }
  | { readonly capability: "secrets"; readonly name: string; readonly use?: SecretUse; readonly expose?: boolean }
  | { readonly capability: "exec"; readonly command: string; readonly args: readonly string[] }
  | { readonly capability: "database"; readonly connection: string; readonly mode: "r" | "w" }
  | { readonly capability: "agent"; readonly tool?: string; readonly notify?: boolean }
  | { readonly capability: "events"; readonly direction: "publish" | "consume"; readonly topic: string }
  | { readonly capability: "system"; readonly facet: string };

/** What an operator approved, for exactly these bytes. */
export interface Grant {
  readonly id: string;
  readonly pluginId: string;
  readonly version: string;
  readonly manifestDigest: string;
  readonly treeDigest: string;
  readonly scopes: readonly Scope[];
  readonly grantedBy: string;
  readonly grantedAt: number;
  readonly expiresAt?: number;
  /** The operator said yes to this code running in the host's process, with the host's rights. */
  readonly inProcess?: true;
  /** The host's seal over all of the above, when the home has a key. */
  readonly seal?: string;
}
