import type { InvokeAnswer, InvokeRequest, ToolsApi, ToolSummary } from "../host-api.ts";
import {
  type Caller,
  ERROR_CODES,
  type IsolationLevel,
  type PluginRef,
  PolicyViolationError,
  SallyportError,
} from "../kernel/index.ts";
import type { AgentGate } from "./agents.ts";
import type { CallRoute, RouteTable } from "./route.ts";
import { toolOf } from "./views.ts";

export interface ToolsDeps {
  readonly routes: RouteTable;
  readonly gate: Pick<AgentGate, "admit">;
  levelOf(plugin: PluginRef): IsolationLevel | null;
  invoke(caller: Caller, request: InvokeRequest): Promise<InvokeAnswer>;
}

export function createToolsApi(deps: ToolsDeps): ToolsApi {
  const toSummary = (route: CallRoute) => toolOf(route, deps.levelOf(route.plugin));
  return {
    async list(caller, { after, most = Infinity } = {}) {
      deps.gate.admit(caller);
      const tools: ToolSummary[] = [];
      for (const route of deps.routes.behind(caller, after)) {
        if (!isVisible(caller, route)) continue;
        if (tools.push(toSummary(route)) >= most) break;
      }
      return tools;
    },
    async info(caller, name) {
      deps.gate.admit(caller);
      const route = deps.routes.find(caller, name);
      if (route && isVisible(caller, route)) return toSummary(route);
      throw new SallyportError("unknown_tool", `There is no tool "${name.slice(0, 200)}" for this agent.`, {
        fix: "List the tools: sallyport tool list",
      });
    },
    async call(caller, request) {
      const answer = await deps.invoke(caller, request);
      if (answer.success) return answer.result;
      const { category } = ERROR_CODES[answer.code];
      const Failure = category === "denied" || category === "approval" ? PolicyViolationError : SallyportError;
      throw new Failure(answer.code, answer.error, {
        ...(answer.detail === undefined ? {} : { detail: answer.detail }),
        ...(answer.fix === undefined ? {} : { fix: answer.fix }),
        data: { call: answer.callId, ...(answer.approval ? { approval: answer.approval.id } : {}) },
      });
    },
  };
}

/** Operators see what policy denies; for an agent it is not there. */
export function isVisible(caller: Caller, route: CallRoute): boolean {
  return caller.kind === "operator" || route.decision.decision !== "deny";
}
