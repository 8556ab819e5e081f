import { type Interpreters, NOBODY, type ProgramSpec } from "../isolation/index.ts";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { createPeer, isRecord, type Peer, type PeerOptions } from "../rpc/index.ts";
import { createMcpPeer } from "./mcp-peer.ts";
import type { LaunchPlan, ProgramPlan, ToolAnswer, ToolCall } from "./types.ts";

/** What differs in a process that is a program. */
export interface ProgramPeer {
  makePeer(options: PeerOptions): Peer;
  /**
   * Runs one call. A program may have a way out that is no part of any request, so that its call is not even sent before the
   * intent is durable.
   */
  around(call: ToolCall, run: () => Promise<ToolAnswer>): Promise<ToolAnswer>;
}

interface Deps {
  readonly hostIsRoot: boolean;
  readonly interpreters?: Interpreters;
}

/**
 * The interpreter on this machine, and the proxy, listening.
 * @throws {SallyportError} `isolation_unavailable`. @throws {PolicyViolationError} `not_enforceable`.
 */
export async function prepareProgram(plan: LaunchPlan, program: ProgramPlan, deps: Deps): Promise<ProgramSpec> {
  const { interpreter: kind, args } = program;
  const { egress } = plan.broker;
  if (kind !== "none" && deps.interpreters === undefined)
    throw new SallyportError("isolation_unavailable", "This host runs no interpreters.");
  const interpreter = kind === "none" ? null : ((await deps.interpreters?.find(kind)) ?? null);
  if (egress !== undefined && plan.level !== "namespace" && program.mcpTools !== undefined) throw noWayOut(plan.level);
  const owner = deps.hostIsRoot ? { uid: NOBODY, gid: NOBODY } : null;
  const proxySocket = egress === undefined || plan.level !== "namespace" ? null : await egress.open(owner);
  return { interpreter, entry: plan.bundle, args, proxySocket };
}

export function programPeer(plan: LaunchPlan, program: ProgramPlan): ProgramPeer {
  const { egress } = plan.broker;
  const known = new Map<string, ToolCall>();
  const speak = (options: PeerOptions): Peer =>
    program.mcpTools === undefined ? createPeer(options) : createMcpPeer(options, program.mcpTools);

  return {
    makePeer(options) {
      const peer = speak(options);
      if (egress === undefined) return peer;
      return {
        ...peer,
        get stats() {
          return peer.stats;
        },
        send(method, params, timeoutMs, settle) {
          const call = isRecord(params) ? known.get(String(params["call_id"])) : undefined;
          if (call === undefined) return peer.send(method, params, timeoutMs, settle);
          egress.begin(call);
          return peer.send(method, params, timeoutMs, (answer) => {
            egress.end(call.callId);
            settle(answer);
          });
        },
      };
    },
    async around(call, run) {
      if (egress === undefined || call.limited === true) return run();
      await call.intent;
      known.set(call.callId, call);
      try {
        return await run();
      } finally {
        known.delete(call.callId);
      }
    },
  };
}

function noWayOut(level: string): PolicyViolationError {
  return new PolicyViolationError("not_enforceable", `At the level \`${level}\` an MCP server can have no network.`, {
    detail: "There it shares this machine's network, and no wall can be put up that leaves only the proxy.",
    fix: "Make the level `namespace` available (`sallyport doctor` says how), or approve the plugin without network.",
  });
}
