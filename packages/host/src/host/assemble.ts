import { join } from "node:path";
import { isNeverGrantable, sweepCommandFolders, sweepEgressPlaces } from "../broker/index.ts";
import { createTurns, isLive } from "../catalog/index.ts";
import { hasFolder, realPathOf, removeFolder, watchConfigFile } from "../home/index.ts";
import { createInterpreters, findCommand } from "../isolation/index.ts";
import type { Host } from "../host-api.ts";
import { type IsolationLevel, LIMITS, newId, type PluginRef, PolicyViolationError } from "../kernel/index.ts";
import { findManifest, readManifest } from "../manifest/index.ts";
import { createOperators } from "../operators/index.ts";
import { installSource, manifestOf, preparePlugin } from "../registry/index.ts";
import { createKvStore, createSettings, findConfig } from "../store/index.ts";
import type { SealKeys } from "../trust/index.ts";
import { VERSION } from "../version.ts";
import { backup } from "./backup.ts";
import { createApprovalsApi } from "./approvals.ts";
import { createCommandsApi, createRoutesApi } from "./entrances.ts";
import { openCodeCaches } from "./code-caches.ts";
import { createPluginConfigs } from "./configs.ts";
import { createConfigState } from "./config-state.ts";
import { createCounters } from "./counters.ts";
import { createDataSpaces } from "./data-spaces.ts";
import { createEnforcement } from "./enforcement.ts";
import { openFlow } from "./policy-state.ts";
import { createGatekeeper } from "./gatekeeper.ts";
import { createHolds } from "./holds.ts";
import { takeBackUnfinished } from "./install-needed.ts";
import { createInvoke } from "./invoke.ts";
import { createKeysApi } from "./keys.ts";
import { openHomeLock } from "./lock.ts";
import { createLoadedTools } from "./loaded-tools.ts";
import { createLogBook } from "./logs.ts";
import { openBetween } from "./open-between.ts";
import { openBroker } from "./open-broker.ts";
import { openAgents } from "./open-agents.ts";
import { openApprovals } from "./open-approvals.ts";
import { openOutputs } from "./open-outputs.ts";
import { openDoctor } from "./open-doctor.ts";
import { openPath } from "./open-path.ts";
import { openPolicy } from "./open-policy.ts";
import { openRuntime } from "./open-runtime.ts";
import type { HomeParts } from "./parts.ts";
import { createPluginsApi } from "./plugins.ts";
import type { PluginsDeps } from "./plugins-deps.ts";
import { openRegistries } from "./registries-open.ts";
import { createRefusals } from "./refusals.ts";
import { refuseRevoked } from "./revoke.ts";
import { createRouteTable } from "./route.ts";
import { createSeals } from "./seals.ts";
import { createSecretsApi, noteRollback } from "./secrets.ts";
import { settleAfterStart } from "./settle.ts";
import { followToolChanges } from "./tool-changes.ts";
import { createToolsApi } from "./tools.ts";
import { createTrustState, trustView } from "./trust.ts";
import { verifyAll } from "./verify-all.ts";
import { createStoreVerifier } from "./verify-store.ts";
import { declaredTools, type ViewSources } from "./views.ts";

export interface AssembleOptions {
  readonly dataRoot: string;
  /** From `PLUGIN_SECRET_KEY`; `undefined`: seals are off. */
  readonly sealKeys: SealKeys | undefined;
  readonly openRuntimePermissions: boolean;
  readonly onDefect: (error: unknown) => void;
}

const COUNTS_MS = 5_000;
const HOST_ACTOR = "host";

/** Wires the parts of an open home into a host. The only place that knows them all. */
export async function assembleHost(parts: HomeParts, options: AssembleOptions): Promise<Host> {
  const { db, audit, clock, vault, probe } = parts;
  const settings = createSettings(db);
  const lock = await openHomeLock({ ...parts, settings, sealKeys: options.sealKeys });
  const { catalog } = lock;
  const holds = createHolds();
  const verifier = await createStoreVerifier({ db, clock, sealKeys: options.sealKeys, store: parts.store });
  const backupsInTurn = createTurns();
  const state = await createConfigState(parts);
  const seals = createSeals(options.sealKeys);
  const trust = await createTrustState({ db, clock, seals, config: () => state.config });
  const registries = await openRegistries(parts, trust, () => state.config);
  const outputs = await openOutputs(vault, () => state.config.outputs);
  const logs = createLogBook();
  const counters = createCounters(db);
  const refusals = createRefusals();
  const spaces = await createDataSpaces(db, clock);
  const configs = createPluginConfigs({ ...parts, spaces });
  const kv = createKvStore(db);
  const dataDirOf = (space: string): string => join(options.dataRoot, space.replace("/", "@"));
  const flow = await openFlow(audit, state);
  const between = openBetween(parts, {
    catalog,
    state,
    redactor: outputs,
    logs,
    onDefect: options.onDefect,
    runtime: () => runtime,
    invoke: (caller, request, made) => invoke(caller, request, made),
  });
  const { broker, databases, databasesApi, forbiddenPaths } = openBroker(parts, {
    state,
    ...between,
    dataRoot: options.dataRoot,
    redactor: outputs,
    kv,
    logs,
    refusals,
    flow,
    levelOf: (plugin) => runtime.levelOf(plugin),
  });
  const { permit, levelFor } = createGatekeeper({
    db,
    catalog,
    probe,
    state,
    seals,
    trust,
    lock,
    spaces,
    configs,
    verifier,
  });
  const interpreters = createInterpreters({ named: (kind) => state.config.interpreters[kind] });
  const codeCaches = openCodeCaches(parts, settings, options.onDefect);
  const runtime = openRuntime(parts, {
    broker,
    state,
    permit,
    spaces,
    interpreters,
    codeCaches,
    clean: outputs.error,
    dataDirOf,
    openRuntimePermissions: options.openRuntimePermissions,
  });

  const { stopIfLive, stopRefused } = createEnforcement({ catalog, runtime, permit, onDefect: options.onDefect });
  const tools = createLoadedTools({
    catalog,
    grantOf: (record) => state.decisions.grantOf(record),
    presence: runtime.presence,
  });
  const { agents, tokens } = await openAgents(parts, state, {
    catalog,
    isGuarded: () => operators.passphraseSet,
    onDefect: options.onDefect,
  });
  const policy = await openPolicy(parts, state, { catalog, loaded: tools, flow, onDefect: options.onDefect });
  const routes = createRouteTable({
    tools,
    policy: () => state.decisions.policy,
    time: state.time.read,
    flow: flow.memory,
    watchersOf: between.watchers.ofTool,
    hides: (agent, tool, effect) => state.decisions.agents.hides(agent, tool, effect),
    maxTimeoutMs: () => state.config.limits.timeoutMs ?? LIMITS.maxTimeoutMs,
  });
  const onToolsChanged = followToolChanges({ catalog, state, tools, routes, between, onDefect: options.onDefect });

  async function holdsData(space: string): Promise<boolean> {
    if (vault.problem === undefined && vault.configOf(space).size > 0) return true;
    return hasFolder(dataDirOf(space)) || (await kv.usage(space)).keys > 0 || (await findConfig(db, space)) !== null;
  }

  function levelOf(plugin: PluginRef): IsolationLevel | null {
    const running = runtime.levelOf(plugin);
    if (running !== undefined) return running;
    const record = catalog.current(plugin);
    try {
      return record ? levelFor(record, state.decisions.grantOf(record)) : null;
    } catch {
      return null;
    }
  }

  const views: ViewSources = {
    catalog,
    countsOf: counters.of,
    grantOf: (record) => state.decisions.grantOf(record),
    levelOf: (record) => levelOf(record.ref),
    effectiveConfig: configs.effective,
    signerOf: trust.signerOf,
    trustOf: async (record) => trustView(await trust.decideFor(record)),
    connections: () => state.config.databases,
    toolsOf: (record) => declaredTools(record, state.decisions, levelOf(record.ref), state.time.read(), tools.find),
  };
  const approvals = await openApprovals(parts, options.onDefect);
  const invoke = createInvoke({
    ...between,
    gate: agents.gate,
    flow,
    clock,
    audit,
    routes,
    approvals: approvals.calls,
    waiting: approvals.waiting,
    running: runtime.running,
    wake: runtime.wake,
    redact: outputs.redactJson,
    outputs,
    defect: options.onDefect,
    counted: (plugin, failure, agent) => {
      approvals.meter.ran(agent);
      if (failure !== null) catalog.failed(plugin, failure);
      counters.add(plugin, failure);
    },
    refused: counters.refuse,
    refusalOf: refusals.take,
    async expired(plugin) {
      await stopIfLive(plugin, "grant_expired");
      throw new PolicyViolationError("not_approved", `The approval of ${plugin.id} expired.`, {
        fix: `Run: sallyport plugin approve ${plugin.id}`,
      });
    },
  });

  const toolsApi = createToolsApi({ routes, gate: agents.gate, levelOf, invoke });
  const active = (id: string) => catalog.versions(id).find((record) => record.active);
  const entrances = { routes, gate: agents.gate, active, invoke };
  const looksInTurn = createTurns();
  const lookAtStore: PluginsDeps["verifyAll"] = (actor, wanted) =>
    verifyAll({ catalog, runtime, verifier, inTurn: looksInTurn }, actor, wanted);
  const pluginsDeps: PluginsDeps = {
    db,
    audit,
    clock,
    catalog,
    runtime,
    configs,
    views,
    config: () => state.config,
    lock,
    holds,
    openSource: (text) => registries.resolve(text, openPath),
    findOffer: registries.offer,
    manifestOf: (opened) => manifestOf(opened, { findManifest, readManifest }),
    prepare: (opened, inspect) => preparePlugin(opened, { findManifest, readManifest, ...(inspect && { inspect }) }),
    installSource: (opened, ports, onStep) =>
      installSource(opened, { findManifest, readManifest, ...ports, store: parts.store }, onStep),
    collect,
    trust,
    verifyStored: verifier.reread,
    removeStored: (digest) => codeCaches.remove(digest).then(() => parts.store.remove(digest)),
    spaces,
    removeData: (space) => vault.removeConfigs([space]).then(() => removeFolder(dataDirOf(space))),
    holdsData,
    async hasKept(id) {
      for (const { space } of spaces.allOf(id)) if (await holdsData(space)) return true;
      return false;
    },
    refresh: state.refresh,
    logsOf: logs.of,
    forgetLogs: logs.forget,
    forgetCounts: counters.forget,
    verifyAll: lookAtStore,
    revokeKey: (operator, key, reason) => keys.revoke(operator, key, reason),
    inTurn: createTurns(),
    places: { realPath: realPathOf, neverGrantable: (path) => isNeverGrantable(path, forbiddenPaths), findCommand },
  };
  const plugins = createPluginsApi(pluginsDeps);
  const approvalsApi = createApprovalsApi(pluginsDeps, approvals.meter);
  const keys = createKeysApi({
    db,
    audit,
    clock,
    catalog,
    trust,
    spaces,
    inTurn: createTurns(),
    restoreLock: lock.restore,
    async recheck() {
      await Promise.all([trust.refresh(), state.refresh()]);
      await stopRefused();
    },
  });
  const operators = await createOperators({
    settings,
    clock,
    onAttempt: ({ ok }) =>
      audit.note({
        v: 1,
        id: newId("evt"),
        time: clock.now(),
        type: "operator.authenticated",
        actor: "operator",
        decision: ok ? "allow" : "deny",
      }),
  });

  await audit.record({
    v: 1,
    id: newId("evt"),
    time: clock.now(),
    type: "host.started",
    actor: "host",
    data: { version: VERSION },
  });
  await noteRollback(parts, parts.vaultRollback());
  await settleAfterStart(catalog, state.config);
  await refuseRevoked(pluginsDeps, HOST_ACTOR);
  await takeBackUnfinished(pluginsDeps, { name: HOST_ACTOR }).catch(options.onDefect);
  await collect().catch(options.onDefect);
  await sweepEgressPlaces(parts.home).catch(options.onDefect);
  await sweepCommandFolders(parts.home).catch(options.onDefect);
  // Beside the start and not before it: what it finds is stopped, and a load looks by itself.
  const ending = new AbortController();
  const looking = lookAtStore(HOST_ACTOR, { full: false, signal: ending.signal }).catch(options.onDefect);
  const counting = setInterval(() => void counters.flush().catch(options.onDefect), COUNTS_MS);
  counting.unref();
  const unwatch = watchConfigFile(parts.home, () => void reload().catch(options.onDefect), options.onDefect);

  /** What a crash or a failed install left in the store. What is being installed is held. */
  async function collect(): Promise<readonly string[]> {
    await codeCaches.sweep();
    return parts.store.gc(() => new Set([...holds.held(), ...catalog.all().map(({ ref }) => ref.digest)]));
  }

  /** A change of config.yml is in force at once: what it no longer admits stops. */
  async function reload(): Promise<void> {
    if (await state.reload()) await stopRefused();
  }

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    unwatch();
    policy.close();
    tokens.close();
    clearInterval(counting);
    ending.abort();
    await looking;
    // Whatever fails on the way, the home is released.
    await runtime.close().catch(options.onDefect);
    await between.close().catch(options.onDefect);
    await Promise.all([counters.flush(), approvals.close()]).catch(options.onDefect);
    await audit
      .record({ v: 1, id: newId("evt"), time: clock.now(), type: "host.stopped", actor: "host" })
      .catch(options.onDefect);
    await parts.close();
  }

  return {
    plugins,
    tools: toolsApi,
    commands: createCommandsApi(entrances),
    routes: createRoutesApi(entrances),
    agents: agents.api,
    tokens: tokens.api,
    approvals: approvalsApi,
    secrets: createSecretsApi({
      ...parts,
      catalog,
      runtime,
      grantOf: (record) => state.decisions.grantOf(record),
      drainMs: () => state.config.isolation.drainMs,
    }),
    audit,
    policy: policy.api,
    operators,
    keys,
    registries: registries.api,
    invoke: (caller, request) => invoke(caller, request),
    backup: (operator, request) =>
      backupsInTurn("backup", () => backup({ ...parts, catalog, dataRoot: options.dataRoot }, operator, request)),
    databases: databasesApi,
    doctor: openDoctor(parts, {
      state,
      catalog,
      interpreters,
      databases,
      operators,
      policy: policy.api,
      verifyStored: verifier.reread,
      passGates: permit,
      runsAt: runtime.levelOf,
      isSigned: (record) => trust.signerOf(record).state === "signed",
      sealsOn: seals.keys !== undefined,
    }),
    async stats() {
      const all = catalog.all();
      const loaded = all.filter(({ state: now }) => isLive(now)).length;
      return {
        loadedPlugins: loaded,
        registry: { totalPlugins: all.length, activePlugins: all.filter(({ state: now }) => now === "running").length },
        calls: { ...counters.totals },
        approvals: await approvalsApi.stats(),
      };
    },
    onToolsChanged,
    onNote: between.onNote,
    close: () => (closing ??= close()),
  };
}
