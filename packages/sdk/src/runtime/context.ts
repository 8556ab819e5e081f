import type { CallId, Json, LogLevel, LogParams } from "../protocol/v1/index.ts";
import {
  type Agent,
  type Context,
  type Events,
  type Files,
  type KeyValue,
  type Logger,
  sallyportError,
  type Secrets,
  type System,
  type ToolContext,
} from "../plugin/index.ts";
import { createEvents, type Subscriptions } from "./events.ts";
import { createDatabase } from "./database.ts";
import { createFetch } from "./fetch.ts";
import { createFiles } from "./files.ts";
import { createExec, createSystem } from "./machine.ts";
import type { HostPort } from "./port.ts";

const LOG_CHARS = 8 * 1024;

/** What a plugin is bound to for the life of its process. */
export interface Binding {
  readonly plugin: { readonly id: string; readonly version: string };
  readonly config: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly subscriptions: Subscriptions;
}

/** One call, or the life of the plugin outside calls, as its context needs it. */
export interface Owner {
  readonly id: CallId;
  readonly signal: AbortSignal;
}

export interface CallOwner extends Owner {
  readonly id: string;
  readonly tool: string;
  readonly agent: string;
}

/** The context of `initialize` and `shutdown`. Members are made when first used: most calls use few. */
export function createContext(port: HostPort, binding: Binding, owner: Owner): Context {
  return new BoundContext(port, binding, owner);
}

export function createToolContext(port: HostPort, binding: Binding, owner: CallOwner): ToolContext {
  return new BoundToolContext(port, binding, owner);
}

class BoundContext implements Context {
  readonly #port: HostPort;
  readonly #binding: Binding;
  readonly #owner: Owner;

  constructor(port: HostPort, binding: Binding, owner: Owner) {
    this.#port = port;
    this.#binding = binding;
    this.#owner = owner;
  }

  get signal(): AbortSignal {
    return this.#owner.signal;
  }
  get log(): Logger {
    return remember(this, "log", createLogger(this.#port, this.#owner.id));
  }
  get fetch(): typeof globalThis.fetch {
    return remember(
      this,
      "fetch",
      createFetch(this.#port, () => this.#owner.id),
    );
  }
  get files(): Files {
    return remember(this, "files", createFiles(this.#port, this.#owner.id));
  }
  get kv(): KeyValue {
    return remember(this, "kv", createKeyValue(this.#port, this.#owner.id));
  }
  get secrets(): Secrets {
    return remember(this, "secrets", createSecrets(this.#binding.secrets));
  }
  get agent(): Agent {
    return remember(this, "agent", createAgent(this.#port, this.#owner.id));
  }
  get events(): Events {
    return remember(this, "events", createEvents(this.#port, this.#owner.id, this.#binding.subscriptions));
  }
  get database(): Context["database"] {
    return remember(this, "database", createDatabase(this.#port, this.#owner.id));
  }
  get exec(): Context["exec"] {
    return remember(this, "exec", createExec(this.#port, this.#owner.id));
  }
  get system(): System {
    return remember(this, "system", createSystem(this.#port, this.#owner.id));
  }
  get config(): Readonly<Record<string, unknown>> {
    return this.#binding.config;
  }
  get plugin(): { readonly id: string; readonly version: string } {
    return this.#binding.plugin;
  }
  get data(): string {
    return "${data}";
  }
  get progress(): Context["progress"] {
    const { id } = this.#owner;
    return remember(this, "progress", (progress, total, message) => {
      if (id === null || !Number.isFinite(progress)) return;
      this.#port.notify("progress", {
        call: id,
        progress,
        ...(typeof total === "number" && Number.isFinite(total) ? { total } : {}),
        ...(typeof message === "string" ? { message: message.slice(0, LOG_CHARS) } : {}),
      });
    });
  }
}

class BoundToolContext extends BoundContext implements ToolContext {
  readonly #call: CallOwner;

  constructor(port: HostPort, binding: Binding, owner: CallOwner) {
    super(port, binding, owner);
    this.#call = owner;
  }

  get call(): { readonly id: string; readonly tool: string; readonly agent: string } {
    const { id, tool, agent } = this.#call;
    return { id, tool, agent };
  }
}

function remember<Value>(target: object, name: string, value: Value): Value {
  Object.defineProperty(target, name, { value, enumerable: true });
  return value;
}

function createKeyValue(port: HostPort, call: CallId): KeyValue {
  return {
    async get(key) {
      const { value, found } = await port.request("kv.get", { call, key });
      return found ? value : undefined;
    },
    async set(key, value) {
      await port.request("kv.set", { call, key, value });
    },
    async delete(key) {
      return (await port.request("kv.delete", { call, key })).deleted;
    },
    async list(prefix = "") {
      return (await port.request("kv.list", { call, prefix })).keys;
    },
  };
}

function createAgent(port: HostPort, call: CallId): Agent {
  return {
    async callTool(tool, input = {}) {
      return (await port.request("agent.call", { call, tool, input })).output;
    },
    async notify(text) {
      await port.request("agent.notify", { call, text });
    },
  };
}

function createSecrets(secrets: Readonly<Record<string, string>>): Secrets {
  return {
    get(name) {
      const placeholder = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
      if (placeholder !== undefined) return placeholder;
      throw sallyportError(
        "permission_denied",
        `This plugin has no grant for the secret "${name}".`,
        "Ask for it under permissions.secrets of the manifest.",
      );
    },
  };
}

export function createLogger(port: HostPort, call: CallId): Logger {
  const at = (level: LogLevel) => (message: unknown, fields?: Readonly<Record<string, unknown>>) => {
    port.notify("log", logParams(call, level, String(message), fields));
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** A log line of at most 8 KiB of text and 8 KiB of fields. */
export function logParams(
  call: CallId,
  level: LogLevel,
  message: string,
  fields?: Readonly<Record<string, unknown>>,
): LogParams {
  const text = message.length > LOG_CHARS ? `${message.slice(0, LOG_CHARS)}…` : message;
  if (fields === undefined || fields === null) return { call, level, message: text };
  return { call, level, message: text, fields: plainFields(fields) };
}

function plainFields(fields: Readonly<Record<string, unknown>>): NonNullable<LogParams["fields"]> {
  try {
    const json = JSON.stringify(fields);
    if (json.length > LOG_CHARS) return { note: `Fields of ${json.length} characters were left out.` };
    const plain: Json = JSON.parse(json);
    return isObject(plain) ? plain : { value: plain };
  } catch {
    return { note: "Fields that are no JSON were left out." };
  }
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
