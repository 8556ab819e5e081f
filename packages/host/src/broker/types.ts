import type { Scope } from "../capability/index.ts";
import type { Clock, IsolationLevel, PluginRef } from "../kernel/index.ts";
import type { Redactor, SecretSource } from "../secrets/index.ts";
import type { KvStore } from "../store/index.ts";
import type { BrokerSession, CallContext } from "../supervisor/index.ts";
import type { Databases } from "./databases.ts";
import type { EgressLimits } from "./egress.ts";
import type { ExecLimits } from "./exec-limits.ts";
import type { CommandWalls } from "./exec-run.ts";
import type { FileLimits } from "./files-limits.ts";
import type { NetworkLimits } from "./network-limits.ts";
import type { Resolver } from "./resolve.ts";
import type { Dial } from "./transport.ts";
import type { WebSocketLimits } from "./websocket-limits.ts";

/** Whose wishes a session answers, and how far they may reach: declared ∩ granted ∩ ceiling. */
export interface Authority {
  readonly plugin: PluginRef;
  /** What the manifest asks for, with what the operator filled in for requests without a scope. */
  readonly declared: readonly Scope[];
  readonly granted: readonly Scope[];
  /** The host's ceiling. Absent: no limit. Present, also when empty: it intersects. */
  readonly ceiling?: readonly Scope[];
  /** Under which name its keys and values are kept: of this id and this publisher. */
  readonly space: string;
  /** What `${data}` stands for: `<home>/data/<space>`. Made when it is first needed. */
  readonly dataDir: string;
  /** What contains the plugin, and with it the commands that it runs. */
  readonly level: IsolationLevel;
}

/** One thing that a plugin did, or was refused. For the audit. */
export interface BrokerAction {
  readonly plugin: PluginRef;
  /** Its capability, or `kv`. */
  readonly capability: string;
  /** An origin and path without query, a path, a key, or the name of a connection; escaped and redacted. */
  readonly target: string;
  /** The HTTP method, or the method of the wire. */
  readonly method: string;
  /** HTTP status, when there was an answer; the code with which a WebSocket ended. */
  readonly status?: number;
  /** Bytes of payload, in both directions. */
  readonly bytes: number;
  readonly outcome: "succeeded" | "failed" | "denied";
  readonly callId: string | null;
  readonly agent?: string;
  readonly tool?: string;
  /** Error code of a failure or refusal. */
  readonly reason?: string;
  /** Names of the secrets that the host wrote into the request. */
  readonly secrets?: readonly string[];
  /** What else the audit keeps of an action of this kind; nothing of the plugin's text but what is redacted. */
  readonly data?: Readonly<Record<string, unknown>>;
}

export interface BrokerLogLine {
  readonly plugin: PluginRef;
  readonly time: number;
  readonly level: "debug" | "info" | "warn" | "error";
  /** Redacted and escaped. */
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly callId: string | null;
}

/** Where one plugin's calls of other tools, and its notes, go. */
export interface AgentPort {
  /** The output as any caller gets it. @throws {SallyportError} as the gates of a call; `callId` is the plugin's call that asks. */
  callTool(wanted: {
    readonly tool: string;
    readonly input: unknown;
    readonly callId: string;
    readonly signal: AbortSignal;
  }): Promise<unknown>;
  /** `text` is escaped and redacted. */
  notify(note: { readonly text: string; readonly context: CallContext }): void;
}

/** Where one plugin's events go; the topic was granted, the payload is redacted. */
export interface EventsPort {
  /** @throws {SallyportError} `permission_denied` where nothing may be published, `limit_exceeded` for an event about an event about … */
  publish(event: {
    readonly topic: string;
    readonly payload: unknown;
    readonly bytes: number;
    readonly callId: string;
  }): void;
}

export interface BrokerDeps {
  /** Real path of this host's home. */
  readonly home: string;
  readonly secrets: SecretSource;
  readonly redactor: Redactor;
  readonly kv: KvStore;
  /** The connections that the operator named; absent: none. */
  readonly databases?: Databases;
  readonly clock: Clock;
  /** Absent: refused. */
  readonly agent?: (plugin: PluginRef) => AgentPort;
  readonly events?: (plugin: PluginRef) => EventsPort;
  /** Called once for each action, when it is over. Must not throw. */
  readonly onAction: (action: BrokerAction) => void;
  readonly onLog: (line: BrokerLogLine) => void;
  /** Ports this host listens on, now: never reachable from a plugin, whatever was granted. */
  readonly ownPorts?: () => readonly number[];
  /** Addresses of this machine's interfaces; they count as loopback. Default: the operating system's answer. */
  readonly ownAddresses?: () => readonly string[];
  readonly resolve?: Resolver;
  /** Certificate authorities, PEM. Default: those that Node ships, whatever the environment says. */
  readonly certificateAuthorities?: readonly string[];
  /** Absolute paths that no grant reaches: the home, the engine, the content store. */
  readonly forbiddenPaths: readonly string[];
  /** Opens a TCP connection to a checked address. Default: the operating system's; tests lead well-known ports elsewhere. */
  readonly dial?: Dial;
  readonly networkLimits?: Partial<NetworkLimits>;
  readonly webSocketLimits?: Partial<WebSocketLimits>;
  readonly egressLimits?: Partial<EgressLimits>;
  readonly fileLimits?: Partial<FileLimits>;
  /** What puts the walls around a command. Absent: no command runs. */
  readonly commandWalls?: CommandWalls;
  readonly execLimits?: Partial<ExecLimits>;
}

export interface PluginSession extends BrokerSession {
  /** For `LaunchPlan.view.secrets`: name → placeholder, or the value under an `expose` grant. */
  readonly secretsView: Readonly<Record<string, string>>;
}

export interface Broker {
  /** One session per process: placeholders are its own. */
  session(authority: Authority): PluginSession;
}
