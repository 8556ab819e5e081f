import type { InvokeAnswer, InvokeRequest, ToolsApi } from "../host-api.ts";
import {
  type Caller,
  ERROR_CODES,
  type IsolationLevel,
  type PluginRef,
  PolicyViolationError,
  SallyportError,
} from "../kernel/index.ts";
import type { RouteTable } from "./route.ts";
import { toolOf } from "./views.ts";

export interface ToolsDeps {
  readonly routes: RouteTable;
  levelOf(plugin: PluginRef): IsolationLevel | null;
  invoke(caller: Caller, request: InvokeRequest): Promise<InvokeAnswer>;
}

export function createToolsApi(deps: ToolsDeps): ToolsApi {
  const visible = (caller: Caller) =>
    deps.routes.all(caller).filter((route) => caller.kind === "operator" || route.decision.decision !== "deny");
  return {
    list: (caller) => Promise.resolve(visible(caller).map((route) => toolOf(route, deps.levelOf(route.plugin)))),
    async info(caller, name) {
      const route = deps.routes.find(caller, name);
      if (route && (caller.kind === "operator" || route.decision.decision !== "deny"))
        return toolOf(route, deps.levelOf(route.plugin));
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
