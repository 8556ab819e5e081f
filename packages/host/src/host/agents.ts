import type { AuditLog } from "../audit/index.ts";
import { AGENT_NAME, type AgentProfile, type AgentProfileFile, agentProfileShape } from "../config/index.ts";
import type { AgentsApi, AgentView, Operator } from "../host-api.ts";
import { type Caller, type Clock, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import {
  closeApprovalsOf,
  type Database,
  deleteAgent,
  disableTools,
  enableTool,
  listEnabledTools,
  saveAgent,
} from "../store/index.ts";
import { type AgentCalls, createAgentCalls } from "./agent-calls.ts";
import type { AgentProfiles } from "./agent-profiles.ts";
import { actorOf, eventOf } from "./plugins-deps.ts";

export interface AgentsDeps {
  readonly db: Database;
  readonly audit: Pick<AuditLog, "commit">;
  readonly clock: Clock;
  profiles(): AgentProfiles;
  isTokenValid(id: string): boolean;
  /** Whether an installed plugin declares the tool. */
  isDeclared(tool: string): boolean;
  /** Reads what operators decided again. */
  refresh(): Promise<void>;
}

/** Who may ask at all, and how often: the first gate of whatever an agent asks. */
export interface AgentGate {
  /** @throws {SallyportError} `unauthenticated` when the token that proved the caller has ended, `forbidden` for an unknown name. */
  admit(caller: Caller): void;
  /** `admit`, and counts a call that begins. @throws {SallyportError} also `limit_exceeded`, `busy`. */
  enter(caller: Caller): void;
  /** Ends what `enter` began. */
  leave(caller: Caller): void;
}

export interface Agents {
  readonly api: AgentsApi;
  readonly gate: AgentGate;
}

export function createAgents(deps: AgentsDeps): Agents {
  const calls = createAgentCalls(deps.clock, (agent) => deps.profiles().of(agent));

  const admit = (caller: Caller): void => {
    if (caller.token !== undefined && !deps.isTokenValid(caller.token)) throw tokenEnded();
    // An operator's own calls are no agent's.
    if (caller.kind === "agent" && !deps.profiles().admits(caller.agent)) throw unknownAgent(caller.agent);
  };

  return {
    gate: {
      admit,
      enter(caller) {
        admit(caller);
        calls.enter(caller.agent, caller.via !== undefined);
      },
      leave: (caller) => calls.leave(caller.agent, caller.via !== undefined),
    },
    api: createAgentsApi(deps, calls),
  };
}

function createAgentsApi(deps: AgentsDeps, calls: AgentCalls): AgentsApi {
  const { db, audit, clock } = deps;
  const view = (name: string): AgentView => {
    const profiles = deps.profiles();
    const { inFlight, lastMinute, limited } = calls.of(name);
    return {
      name,
      from: profiles.defined.get(name) ?? [],
      profile: profiles.of(name),
      admitted: profiles.admits(name),
      callsInFlight: inFlight,
      callsLastMinute: lastMinute,
      limited,
    };
  };
  return {
    list() {
      const names = new Set([...deps.profiles().defined.keys(), ...calls.names()]);
      return Promise.resolve([...names].toSorted().map(view));
    },
    async set(operator, name, profile) {
      checkName(name);
      const stored = toFile(profile);
      const saved = saveAgent({ name, profile: stored, setBy: operator.name, setAt: clock.now() });
      await audit.commit([saved], [changed(operator, name, { change: "set", profile: stored })]);
      await deps.refresh();
      return view(name);
    },
    async remove(operator, name) {
      checkName(name);
      if (!deps.profiles().defined.get(name)?.includes("store")) {
        throw new SallyportError("not_found", `No operator set a profile for ${name}.`, {
          fix: "One of config.yml is removed in that file. See: sallyport agent list",
        });
      }
      const ended = closeApprovalsOf({ agent: name }, actorOf(operator), clock.now(), "agent_removed");
      await audit.commit([deleteAgent(name), ended], [changed(operator, name, { change: "removed" })]);
      await deps.refresh();
    },
    enabledTools: () => listEnabledTools(db),
    async enableTool(operator, tool, enabled) {
      if (enabled && !deps.isDeclared(tool)) {
        throw new SallyportError("not_found", `No installed plugin has the tool "${tool.slice(0, 100)}".`, {
          fix: "See its tools: sallyport plugin info ID",
        });
      }
      const event = eventOf(clock, "policy.changed", actorOf(operator), {
        tool,
        data: { list: "agents.enabled_tools", change: enabled ? "added" : "removed" },
      });
      await audit.commit(enabled ? [enableTool(tool, operator.name, clock.now())] : disableTools([tool]), [event]);
      await deps.refresh();
    },
  };

  function changed(operator: Operator, agent: string, data: Readonly<Record<string, unknown>>) {
    return eventOf(clock, "agent.changed", actorOf(operator), { agent, data });
  }
}

/** @throws {SallyportError} `usage`: a library's caller may give anything. */
function toFile(profile: AgentProfile): AgentProfileFile {
  const { tools, deny, strongestEffect, enabledTools, callsPerMinute, callsInFlight } = profile;
  const read = agentProfileShape.safeParse({
    tools,
    deny,
    strongest_effect: strongestEffect,
    enabled_tools: enabledTools,
    calls_per_minute: callsPerMinute,
    calls_in_flight: callsInFlight,
  });
  if (read.success) return read.data;
  const [first] = read.error.issues;
  throw new SallyportError("usage", `The profile is not valid: ${first?.path.join(".")}: ${first?.message}.`, {
    fix: "docs/agents.md says what a profile holds.",
  });
}

function checkName(name: string): void {
  if (AGENT_NAME.test(name)) return;
  throw new SallyportError("usage", "This is not a name of an agent.", {
    detail:
      "A name has letters, digits, dots, underscores and hyphens, starts with a letter or digit, and is at most 64 long.",
    fix: "Use a name such as local or research-bot.",
  });
}

function unknownAgent(agent: string): SallyportError {
  return new PolicyViolationError("forbidden", `There is no agent ${agent} here.`, {
    detail: "agents.known_only admits only names that have a profile.",
    fix: `An operator can run: sallyport agent set ${agent}`,
  });
}

function tokenEnded(): SallyportError {
  return new PolicyViolationError("unauthenticated", "This token opens nothing any more.", {
    detail: "It was revoked, or its time is over.",
    fix: "Ask the operator for another one: sallyport token create --agent NAME",
  });
}
