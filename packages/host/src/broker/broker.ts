import { displayLine, PolicyViolationError, SallyportError, toSallyportError } from "../kernel/index.ts";
import type { CallContext } from "../supervisor/index.ts";
import { createAgent } from "./agent.ts";
import { createDatabase } from "./database.ts";
import { createEgress, EGRESS_LIMITS } from "./egress.ts";
import { createExec } from "./exec.ts";
import { EXEC_LIMITS } from "./exec-limits.ts";
import { createEvents } from "./events.ts";
import { createPlaces } from "./file-place.ts";
import { createFiles } from "./files.ts";
import { FILE_LIMITS } from "./files-limits.ts";
import { createKv } from "./kv.ts";
import { createLog } from "./log.ts";
import type { NetworkReport } from "./fetch.ts";
import { createNetwork } from "./network.ts";
import { NETWORK_LIMITS } from "./network-limits.ts";
import type { Operation } from "./operation.ts";
import { createPluginState, type PluginState } from "./plugin-state.ts";
import { createReach, wholeHosts } from "./reach.ts";
import { createRequestSecrets } from "./request-secrets.ts";
import { createAddressGate, createSystemAddresses, systemResolver } from "./resolve.ts";
import { createTransport } from "./transport.ts";
import { createSystem } from "./system.ts";
import type { Authority, Broker, BrokerAction, BrokerDeps, PluginSession } from "./types.ts";
import { WEBSOCKET_LIMITS } from "./websocket-limits.ts";
import { createWebSockets } from "./websocket.ts";

/** Pieces of something that was counted when it began; they have bounds of their own. */
const UNCOUNTED = /^(?:body\.|ws\.(?:send|receive)$)/;

/** The only place where a plugin's wish becomes an effect. */
export function createBroker(deps: BrokerDeps): Broker {
  const states = new Map<string, PluginState>();
  const networkLimits = { ...NETWORK_LIMITS, ...deps.networkLimits };
  const fileLimits = { ...FILE_LIMITS, ...deps.fileLimits };
  const socketLimits = { ...WEBSOCKET_LIMITS, ...deps.webSocketLimits };
  const execLimits = { ...EXEC_LIMITS, ...deps.execLimits };

  const stateOf = (key: string): PluginState => {
    const state = states.get(key) ?? createPluginState(deps.clock, networkLimits, socketLimits, execLimits);
    states.set(key, state);
    return state;
  };

  return {
    session: (authority) =>
      createSession(
        deps,
        authority,
        stateOf(`${authority.plugin.id}\n${authority.space}`),
        networkLimits,
        fileLimits,
        socketLimits,
        execLimits,
      ),
  };
}

function createSession(
  deps: BrokerDeps,
  authority: Authority,
  state: PluginState,
  networkLimits: typeof NETWORK_LIMITS,
  fileLimits: typeof FILE_LIMITS,
  socketLimits: typeof WEBSOCKET_LIMITS,
  execLimits: typeof EXEC_LIMITS,
): PluginSession {
  const { plugin } = authority;
  const reach = createReach(authority);
  const secrets = createRequestSecrets(reach, deps.secrets, authority.space);
  const report = (
    context: CallContext | null,
    action: Omit<BrokerAction, "plugin" | "callId" | "agent" | "tool" | "outcome" | "reason">,
    error?: unknown,
  ): void => {
    const failure = error === undefined ? undefined : toSallyportError(error);
    const outcome = failure === undefined ? "succeeded" : failure.category === "denied" ? "denied" : "failed";
    deps.onAction({
      plugin,
      ...action,
      target: displayLine(deps.redactor.redactText(action.target), 2_048),
      outcome,
      callId: context?.callId ?? null,
      ...(context === null ? {} : { agent: context.agent, tool: context.tool }),
      ...(failure === undefined ? {} : { reason: failure.code }),
    });
  };

  // A value that a process is told is used from then on, whenever it likes.
  for (const name of secrets.exposed)
    report(null, { capability: "secrets", target: name, method: "expose", bytes: 0, secrets: [name] });

  const gateDeps = {
    resolve: deps.resolve ?? systemResolver,
    ownPorts: deps.ownPorts ?? (() => []),
    ownAddresses: deps.ownAddresses ?? createSystemAddresses(deps.clock),
    resolveMs: networkLimits.resolveMs,
  };
  const gate = createAddressGate(gateDeps, reach);
  const newTransport = () => createTransport(networkLimits, deps.certificateAuthorities, deps.dial);
  const reportNetwork = (
    context: CallContext | null,
    { target, method, status, bytes, secrets: names, error }: NetworkReport,
  ): void =>
    report(
      context,
      {
        capability: "network",
        target,
        method,
        bytes,
        ...(status === undefined ? {} : { status }),
        ...(names.length === 0 ? {} : { secrets: names }),
      },
      error,
    );
  const toNetwork = {
    limits: networkLimits,
    reach,
    secrets,
    rate: state.requests,
    gate,
    transport: newTransport(),
    report: reportNetwork,
  };
  const network = createNetwork(toNetwork);
  const sockets = createWebSockets({
    ...toNetwork,
    sockets: socketLimits,
    clock: deps.clock,
    sending: state.sending,
    ofPlugin: state.sockets,
  });
  const tunnels = createReach({
    declared: wholeHosts(authority.declared),
    granted: wholeHosts(authority.granted),
    ...(authority.ceiling === undefined ? {} : { ceiling: wholeHosts(authority.ceiling) }),
  });
  const egress = authority.granted.some((scope) => scope.capability === "network")
    ? createEgress({
        home: deps.home,
        limits: networkLimits,
        bounds: { ...EGRESS_LIMITS, ...deps.egressLimits },
        reach,
        tunnels,
        gate,
        tunnelGate: createAddressGate(gateDeps, tunnels),
        transport: newTransport(),
        rate: state.requests,
        actions: state.actions,
        report: reportNetwork,
      })
    : undefined;
  const files = createFiles({
    reach,
    limits: fileLimits,
    dataDir: authority.dataDir,
    forbidden: deps.forbiddenPaths,
    queue: state.files,
    usage: state.dataUsage,
    report: (context, method, target, bytes, error) =>
      report(context, { capability: "filesystem", target, method, bytes }, error),
  });
  const exec = createExec({
    reach,
    granted: authority.granted,
    level: authority.level,
    walls: deps.commandWalls,
    home: deps.home,
    places: createPlaces({ reach, dataDir: authority.dataDir, forbidden: deps.forbiddenPaths }),
    limits: execLimits,
    rate: state.commands,
    redactText: (text) => deps.redactor.redactText(text),
    report: (context, action, error) => report(context, { capability: "exec", method: "exec", ...action }, error),
    onRead: (context, target, bytes) => report(context, { capability: "filesystem", target, method: "read", bytes }),
  });
  const database = createDatabase({
    reach,
    databases: deps.databases,
    redactText: (text) => deps.redactor.redactText(text),
    report: (context, action, error) => report(context, { capability: "database", ...action }, error),
  });
  const operations = new Map<string, Operation>(
    Object.entries({
      ...database.operations,
      ...createAgent({
        reach,
        port: deps.agent?.(plugin),
        notes: state.notes,
        redactor: deps.redactor,
        report: (context, method, target, bytes, error) =>
          report(context, { capability: "agent", target, method, bytes }, error),
      }),
      ...createEvents({
        authority,
        reach,
        port: deps.events?.(plugin),
        rate: state.published,
        redactor: deps.redactor,
        report: (context, method, target, bytes, error) =>
          report(context, { capability: "events", target, method, bytes }, error),
      }),
      ...network.operations,
      ...sockets.operations,
      ...files.operations,
      ...exec.operations,
      ...createSystem({
        reach,
        report: (context, facet, error) =>
          report(context, { capability: "system", target: facet, method: "get", bytes: 0 }, error),
      }),
      ...createKv({
        space: authority.space,
        store: deps.kv,
        queue: state.kv,
        report: (context, method, key, bytes, error) =>
          report(context, { capability: "kv", target: key, method, bytes }, error),
      }),
    }),
  );
  const notify = createLog({ plugin, clock: deps.clock, redactor: deps.redactor, onLog: deps.onLog });
  let closed = false;
  let flooded = false;

  return {
    secretsView: secrets.view,
    ...(egress === undefined ? {} : { egress }),
    async handle(method, params, context, signal) {
      if (!UNCOUNTED.test(method) && !state.actions.take()) {
        const error = new SallyportError("limit_exceeded", "The plugin asks for too much at once.", {
          fix: "Ask less often.",
        });
        // Said once: what is refused for being too much must not itself be too much.
        if (!flooded)
          report(
            context,
            { capability: "broker", target: "too many requests", method: displayLine(method, 64), bytes: 0 },
            error,
          );
        flooded = true;
        throw error;
      }
      flooded = false;
      const operation = operations.get(method);
      const isLimited = context === null || context.limited === true;
      if (closed || operation === undefined || (isLimited && !operation.outsideCall)) {
        const error = refused(method, isLimited && operation !== undefined);
        report(
          context,
          { capability: "broker", target: displayLine(method, 64), method: displayLine(method, 64), bytes: 0 },
          error,
        );
        throw error;
      }
      return operation.handle(params, context, signal);
    },
    notify,
    endCall(callId) {
      network.endCall(callId);
      sockets.endCall(callId);
      files.endCall(callId);
      exec.end(callId);
    },
    close() {
      closed = true;
      exec.end();
      network.close();
      database.close();
      sockets.close();
      void egress?.close();
    },
  };
}

function refused(method: string, outsideCall: boolean): PolicyViolationError {
  return new PolicyViolationError("permission_denied", `The host does not answer ${displayLine(method, 64)} here.`, {
    detail: outsideCall
      ? "Outside a call, and in hooks and events without `background: true`, only kv and log are served."
      : "There is no such method.",
  });
}
