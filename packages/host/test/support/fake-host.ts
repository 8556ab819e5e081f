import type { AuditEvent, StoredAuditEvent } from "../../src/audit/index.ts";
import type {
  ApprovalView,
  AgentView,
  CommandSummary,
  Host,
  LogLine,
  PluginInfo,
  RegistryView,
  TokenView,
  ToolSummary,
  TrustedKeyView,
  TrustView,
} from "../../src/host-api.ts";
import { PolicyViolationError, SallyportError, type PluginState } from "../../src/kernel/index.ts";
import { createOperators } from "../../src/operators/index.ts";
import { checkSecretName } from "../../src/secrets/vault-rules.ts";

export const DIGEST = `sha256:${"ab".repeat(32)}`;

export const TRUST: TrustView = {
  verdict: "unverified",
  requirement: "preferred",
  risk: "high",
  evidence: [{ kind: "signature", state: "absent", detail: "It is not signed." }],
  missing: ["signature", "provenance"],
  reasons: ["It comes from a directory of this machine, which needs no signature.", "It is not signed."],
};

export const KEY: TrustedKeyView = {
  id: `ed25519:${"A".repeat(43)}`,
  name: "acme",
  scopes: ["acme/*"],
  expiresAt: null,
  replaces: null,
  addedBy: "local",
  addedAt: 1000,
  state: "trusted",
};

export const COMMAND: CommandSummary = {
  name: "weather__weather",
  plugin: "weather",
  command: "weather",
  description: "/weather CITY",
  tool: "weather__forecast",
  inputSchema: { type: "object", properties: { city: { type: "string" } } },
  words: ["city"],
};

export const AGENT_VIEW: AgentView = {
  name: "research",
  from: ["config"],
  profile: { tools: ["weather__*"], callsPerMinute: 60 },
  admitted: true,
  callsInFlight: 1,
  callsLastMinute: 2,
  limited: 3,
};

export const TOKEN_VIEW: TokenView = {
  id: "tok_1",
  kind: "agent",
  name: "research",
  scopes: [],
  guarded: false,
  state: "valid",
  createdBy: "ada",
  createdAt: 1000,
  expiresAt: null,
  lastUsedAt: null,
};

/** One tool as the fake host shows it. */
export const FORECAST: ToolSummary = {
  name: "weather__forecast",
  plugin: "weather",
  tool: "forecast",
  description: "Forecast for a place.",
  effect: "read",
  decision: "allow",
  inputSchema: { type: "object", properties: { city: { type: "string" } } },
  outputSchema: { type: "object" },
  isolation: "namespace",
  contained: true,
};

export const WEATHER: PluginInfo = {
  id: "weather",
  name: "Weather",
  version: "1.2.0",
  description: "Forecasts.",
  state: "pending_approval",
  enabled: true,
  digest: DIGEST,
  source: "directory:/plugins/weather",
  isolation: "namespace",
  contained: true,
  health: { status: "stopped" },
  executionCount: 3,
  errorCount: 1,
  lastError: null,
  categories: ["integration"],
  signer: { state: "unsigned" },
  trust: TRUST,
  manifest: {
    id: "weather",
    name: "Weather",
    version: "1.2.0",
    description: "Forecasts.",
    entry: "dist/plugin.js",
    categories: ["integration"],
    tools: [
      {
        name: "forecast",
        description: "Forecast for a place.",
        effect: "read",
        inputSchema: { type: "object" },
        timeoutMs: 5000,
      },
    ],
    commands: [],
    routes: [],
    hooks: [],
    mcpServers: [],
    permissions: [],
    configSchema: { type: "object" },
    dependencies: {},
    engines: {},
    isolation: { minimum: "kernel" },
    limits: { memoryMb: 256 },
  },
  requested: [],
  granted: [],
  permissions: [
    {
      key: "network:api.example.com:443",
      capability: "network",
      risk: "high",
      sentence: "may contact api.example.com over HTTPS, reading only",
      reason: "Reads\u202e forecasts.\u001b[31m",
      required: true,
      needsScope: false,
      granted: false,
      enforced: { by: "the broker" },
    },
  ],
  tools: [FORECAST],
  config: { units: "metric" },
  installedAt: 1_700_000_000_000,
  grant: null,
};

/** A host whose verbs record that they were called and answer with fixed data. Passphrase handling is real. */
export interface FakeHost extends Host {
  readonly calls: { readonly verb: string; readonly args: readonly unknown[] }[];
  emit(event: Partial<AuditEvent>): void;
  log(line: LogLine): void;
}

const REGISTRY: RegistryView = {
  name: "acme",
  kind: "index",
  place: "https://plugins.acme.example/",
  key: "ed25519:AAAA",
  private: false,
  state: "ready",
  counter: 1,
  expiresAt: 2,
  versions: 1,
  refreshedAt: 1,
  addedBy: "ada",
  addedAt: 1,
};

const LOCKED = {
  id: "weather",
  version: "1.2.0",
  source: "directory:/weather",
  spec: "/weather",
  registry: null,
  integrity: DIGEST,
  manifest: DIGEST,
  code: DIGEST,
  archive: null,
  learned: {},
  signer: null,
  permissions: [],
  tools: {},
  dependencies: {},
};
const UPGRADE = {
  from: "1.2.0",
  to: "1.3.0",
  digest: DIGEST,
  source: "directory:/weather",
  difference: {
    added: [],
    removed: [],
    tools: { added: ["more"], removed: [], changed: [] },
    other: [],
    questions: ["It offers another tool: more."],
  },
  warnings: [],
  needs: [],
};
const LOCK_VIEW = { file: "plugin.lock.json", state: "intact", sealed: false, plugins: 1, differences: [] } as const;

export async function createFakeHost(): Promise<FakeHost> {
  const calls: { verb: string; args: readonly unknown[] }[] = [];
  const settings = new Map<string, string>();
  const events: StoredAuditEvent[] = [];
  const listeners = new Set<(event: StoredAuditEvent) => void>();
  const log: LogLine[] = [];
  let state: PluginState = "pending_approval";

  const note = (verb: string, ...args: unknown[]): void => void calls.push({ verb, args });
  const known = (id: string): PluginInfo => {
    if (id !== "weather" && id !== "acme/weather") throw new SallyportError("not_found", `There is no plugin ${id}.`);
    return { ...WEATHER, id, state };
  };
  const moved =
    (verb: string, next: PluginState) =>
    async (...args: [unknown, string, ...unknown[]]): Promise<PluginInfo> => {
      const plugin = known(args[1]);
      note(verb, ...args);
      state = next;
      return { ...plugin, state };
    };

  return {
    calls,
    log: (line) => void log.push(line),
    emit(event) {
      const seq = events.length + 1;
      const stored: StoredAuditEvent = {
        v: 1,
        id: `evt_${seq}`,
        time: 1000 + seq,
        type: "plugin.lifecycle",
        actor: "host",
        ...event,
        seq,
        prev_hash: "0",
        hash: String(seq),
      };
      events.push(stored);
      for (const listener of listeners) listener(stored);
    },
    plugins: {
      async install(operator, request) {
        note("install", operator, request);
        if (request.source === "/broken") throw new Error("a secret of /root/private");
        request.onStep?.({ name: "read", index: 1, of: 2 });
        request.onStep?.({ name: "store", index: 2, of: 2 });
        return {
          plugin: { ...WEATHER, state },
          loaded: request.load === true,
          approval: { id: "apr_1" },
          permissions: WEATHER.permissions,
          lock: LOCKED,
          warnings: [],
          dependencies: [],
        };
      },
      async upgrade(operator, id, request = {}) {
        note("upgrade", operator, id, request);
        return { ...UPGRADE, id, state: request.dryRun === true ? "possible" : "upgraded", plugin: known(id) };
      },
      async upgradeAll(operator, request) {
        note("upgradeAll", operator, request);
        return [{ ...UPGRADE, id: WEATHER.id, state: "possible", plugin: WEATHER }];
      },
      async rollback(operator, id, to) {
        note("rollback", operator, id, to);
        return known(id);
      },
      lock: async () => LOCK_VIEW,
      async restoreLock(operator) {
        note("restoreLock", operator);
        return LOCK_VIEW;
      },
      async collect(operator) {
        note("collect", operator);
        return { removed: [DIGEST] };
      },
      async verify(what) {
        note("verify", what);
        return { id: WEATHER.id, version: WEATHER.version, digest: DIGEST, trust: TRUST };
      },
      list: async () => [{ ...WEATHER, state }],
      async learn(id, request) {
        note("learn", id, request);
        return {
          plugin: WEATHER,
          from: null,
          to: null,
          calls: 0,
          agents: 0,
          neverCalled: [],
          truncated: false,
          confidence: "none",
          permissions: [],
          refused: [],
          manifest: {},
          yaml: "permissions: {}\n",
          approve: null,
        };
      },
      async info(id, version) {
        if (version !== undefined && version !== WEATHER.version)
          throw new SallyportError("not_found", `There is no ${id} ${version}.`);
        return known(id);
      },
      approve: moved("approve", "approved"),
      deny: moved("deny", "denied"),
      load: moved("load", "running"),
      unload: moved("unload", "stopped"),
      enable: moved("enable", "stopped"),
      disable: moved("disable", "disabled"),
      revoke: moved("revoke", "revoked"),
      async revokeMark(operator, mark, reason) {
        note("revokeMark", operator, mark, reason);
        return { ...mark, stopped: [{ ...WEATHER, state: "revoked" }] };
      },
      async verifyAll(operator, options) {
        note("verifyAll", operator, options);
        options?.onProgress?.(1, 1);
        const bad = {
          code: "digest_mismatch",
          error: "The stored plugin is not what was approved.",
          fix: "Install it.",
        } as const;
        const differs = { file: "a.js", expected: "sha256:aa", actual: "sha256:bb" };
        return {
          checked: 1,
          reread: 1,
          problems: [{ id: "weather", version: "1.2.0", digest: DIGEST, ...bad, ...differs }],
        };
      },
      revocations: async () => [
        { kind: "id", value: "weather", plugin: "weather", reason: "bad", revokedBy: "ada", revokedAt: 5 },
      ],
      async uninstall(operator, id, options) {
        known(id);
        note("uninstall", operator, id, options);
      },
      config: async (id) => known(id).config,
      configForm: async (id) => {
        known(id);
        return {
          fields: [
            {
              key: "units",
              label: "Units",
              type: "text",
              required: false,
              sensitive: false,
              isSet: true,
              value: "metric",
            },
            {
              key: "token",
              label: "Token",
              type: "text",
              required: true,
              sensitive: true,
              isSet: false,
              notice: "may use it",
            },
          ],
          more: 0,
          open: false,
        };
      },
      async setConfig(operator, id, values) {
        known(id);
        note("setConfig", operator, id, values);
        return values;
      },
      logs: () => log.map((line) => ({ ...line })),
    },
    tools: {
      async list(caller) {
        note("tools.list", caller);
        return [FORECAST];
      },
      async info(caller, name) {
        note("tools.info", caller, name);
        if (name === FORECAST.name) return FORECAST;
        throw new SallyportError("unknown_tool", "No such tool.");
      },
      call: async () => ({}),
    },
    approvals: {
      list: async (filter) => {
        note("approvals.list", filter);
        return [];
      },
      async approve(operator, id, options) {
        note("approvals.approve", operator, id, options);
        return approval(id, "approved");
      },
      async deny(operator, id, reason) {
        note("approvals.deny", operator, id, reason);
        return approval(id, "denied");
      },
      async withdraw(operator, id, reason) {
        note("approvals.withdraw", operator, id, reason);
        return approval(id, "withdrawn");
      },
      async *watch(signal) {
        note("approvals.watch");
        yield { change: "waiting", approval: approval("apr_1", "pending") };
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      },
      stats: async () => PROMPTS,
    },
    commands: {
      async list(caller) {
        note("commands.list", caller);
        return [COMMAND];
      },
      async run(caller, run) {
        note("commands.run", caller, run);
        return { success: true, callId: "call_3", result: { celsius: 20 }, durationMs: 1.5 };
      },
    },
    routes: {
      async call(caller, call) {
        note("routes.call", caller, call);
        return { success: true, callId: "call_4", result: { celsius: 20 }, durationMs: 1.5 };
      },
    },
    agents: {
      list: async () => [AGENT_VIEW],
      async set(operator, name, profile) {
        note("agents.set", operator, name, profile);
        return { ...AGENT_VIEW, name, profile };
      },
      async remove(operator, name) {
        note("agents.remove", operator, name);
      },
      enabledTools: async () => ["weather__send"],
      async enableTool(operator, tool, enabled) {
        note("agents.enableTool", operator, tool, enabled);
      },
    },
    tokens: {
      list: async () => [TOKEN_VIEW],
      async create(operator, request) {
        note("tokens.create", operator, request);
        return { token: "sp_agent_made", view: { ...TOKEN_VIEW, ...request } };
      },
      async revoke(operator, id) {
        note("tokens.revoke", operator, id);
        return { ...TOKEN_VIEW, id, state: "revoked" };
      },
      authenticate() {
        throw new PolicyViolationError("unauthenticated", "This token opens nothing.");
      },
      onEnded: () => () => undefined,
    },
    secrets: {
      list: async () => [{ name: "API_KEY", origins: ["https://api.example.com"], version: 1, updatedAt: 5 }],
      async set(operator, name, value, origins) {
        checkSecretName(name);
        note("secrets.set", operator, name, value, origins);
      },
      async remove(operator, name) {
        note("secrets.remove", operator, name);
      },
      async rotateKey(operator) {
        note("secrets.rotateKey", operator);
        return { source: "file", key: "ab".repeat(8), revision: 2 };
      },
    },
    audit: {
      healthy: true,
      record: async () => undefined,
      commit: async () => undefined,
      note: () => undefined,
      flush: async () => undefined,
      async query(filter) {
        note("audit.query", filter);
        return events.filter(({ seq }) => seq > (filter.afterSeq ?? 0)).slice(0, filter.limit ?? 1000);
      },
      async verify(head) {
        note("audit.verify", head);
        return { ok: true, events: events.length, head: null, problems: [] };
      },
      async *export() {
        yield '{"seq":1}\n';
        yield '{"head":1}\n';
      },
      subscribe(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    policy: {
      snapshot: () => DIGEST,
      show: () => ({ snapshot: DIGEST, defaults: {}, layers: [], time: { now: 0, certain: true } }),
      check: () => Promise.resolve({ ok: true, rules: 0, findings: [] }),
      explain: () => Promise.reject(new SallyportError("unknown_tool", "There is no such tool.")),
      explainCall: () => Promise.reject(new SallyportError("not_found", "There is no such call.")),
      simulate: () => Promise.reject(new SallyportError("config_invalid", "This is no policy.")),
      listOverrides: () => Promise.resolve([]),
      addOverride: () => Promise.reject(new SallyportError("usage", "This is no rule.")),
      removeOverride: () => Promise.reject(new SallyportError("not_found", "There is no such override.")),
      acceptClock: () => Promise.resolve({ now: 0 }),
    },
    databases: {
      list: () => [{ name: "crm", kind: "sqlite", mode: "r", target: "/srv/crm.db", plugins: ["weather"] }],
      async check(name) {
        note("databases.check", name);
        const strong = { problem: "The role is a superuser.", fix: "NOSUPERUSER" };
        return {
          name,
          ok: name !== "strong",
          facts: ["SQLite, /srv/crm.db"],
          problems: name === "strong" ? [strong] : [],
        };
      },
    },
    keys: {
      list: async () => [KEY],
      async trust(operator, request) {
        note("keys.trust", operator, request);
        return KEY;
      },
      async rotate(operator, statement) {
        note("keys.rotate", operator, statement);
        return KEY;
      },
      async untrust(operator, key) {
        note("keys.untrust", operator, key);
        return { key };
      },
      async revoke(operator, key, reason) {
        note("keys.revoke", operator, key, reason);
        return { key };
      },
      async reseal(operator) {
        note("keys.reseal", operator);
        return { plugins: 1, grants: 1, keys: 1 };
      },
    },
    registries: {
      list: async () => [REGISTRY],
      async add(operator, request) {
        note("registries.add", operator, request);
        return REGISTRY;
      },
      async remove(operator, name) {
        note("registries.remove", operator, name);
      },
      async refresh(operator, name) {
        note("registries.refresh", operator, name);
        return [{ name: REGISTRY.name, ok: true, counter: 1, versions: 1 }];
      },
      async search(wish) {
        note("registries.search", wish);
        return { hits: [], total: 0, warnings: [] };
      },
    },
    operators: await createOperators({
      settings: {
        get: async (key) => settings.get(key) ?? null,
        set: async (key, value) => void settings.set(key, value),
      },
      clock: { now: () => 0, monotonic: () => 0 },
    }),
    async invoke(caller, request) {
      note("invoke", caller, request);
      if (request.tool === "weather__forecast") {
        return { success: true, callId: "call_1", result: { celsius: 20 }, durationMs: 1.5 };
      }
      const error =
        request.tool === "weather__ask"
          ? new PolicyViolationError("approval_required", "An operator must approve this call first.")
          : new SallyportError("unknown_tool", "No such tool.", { fix: "See tool list." });
      return {
        success: false,
        callId: "call_2",
        error: error.message,
        code: error.code,
        ...(error.fix !== undefined && { fix: error.fix }),
        ...(error.code === "approval_required" && { approval: { id: "apr_2" } }),
      };
    },
    async backup(operator, request) {
      note("backup", operator, request);
      const head = { seq: 1, hash: "00" };
      return { file: request.file, bytes: 1, entries: 2, secrets: false, store: false, encrypted: false, head };
    },
    doctor: async () => ({
      level: "runtime",
      available: ["runtime"],
      checks: [{ name: "bubblewrap", ok: false, detail: "It is not installed.", fix: "apt install bubblewrap" }],
    }),
    stats: async () => ({
      loadedPlugins: 1,
      registry: { totalPlugins: 2, activePlugins: 1 },
      calls: { total: 3, failed: 1, denied: 0 },
      approvals: PROMPTS,
    }),
    onToolsChanged: () => () => undefined,
    onNote: () => () => undefined,
    close: async () => undefined,
  };
}

const PROMPTS = { waiting: 0, standing: 0, calls: 200, prompts: 3, promptsPer100: 1.5, agents: [] };

function approval(id: string, state: ApprovalView["state"]): ApprovalView {
  return {
    id,
    kind: "call",
    state,
    createdAt: 1,
    expiresAt: null,
    plugin: { id: "weather", version: "1.2.0", digest: DIGEST },
    sentence: "weather wants to write",
    standing: false,
    covers: [],
    usesLeft: 1,
    uses: 0,
    ...(state === "pending" ? {} : { decidedBy: "ada" }),
  };
}
