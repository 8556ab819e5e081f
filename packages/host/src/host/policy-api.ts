import { readPolicyText } from "../config/index.ts";
import type { PolicyApi, PolicyCheck } from "../host-api.ts";
import type { AuditLog } from "../audit/index.ts";
import { type Clock } from "../kernel/index.ts";
import { analysePolicy, type PolicyClock, type PolicyLayer } from "../policy/index.ts";
import { actorOf, eventOf } from "./plugins-deps.ts";
import { type ExplainDeps, explainCallToBe, explainPastCall } from "./policy-explain.ts";
import type { Overrides } from "./policy-overrides.ts";
import { acceptClock } from "./policy-state.ts";
import { simulate } from "./policy-simulate.ts";

export interface PolicyApiDeps extends Omit<ExplainDeps, "time"> {
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly time: PolicyClock;
  readonly overrides: Overrides;
}

export function createPolicyApi(deps: PolicyApiDeps): PolicyApi {
  const { overrides, time } = deps;
  const explaining: ExplainDeps = { ...deps, time: time.read };

  function check(text: string | undefined): PolicyCheck {
    const read = text === undefined ? undefined : readPolicyText(text, "the given file");
    const layers: readonly PolicyLayer[] = read === undefined ? deps.decisions().policy.layers : read.layers;
    const findings = [...(read?.errors ?? []), ...analysePolicy(layers, time.read().now, deps.tools.all())];
    return {
      ok: findings.every(({ severity }) => severity !== "error"),
      rules: layers.reduce((sum, { rules }) => sum + rules.length, 0),
      findings,
    };
  }

  return {
    snapshot: () => deps.decisions().policy.snapshot,
    show() {
      const { snapshot, defaults, layers } = deps.decisions().policy;
      return {
        snapshot,
        defaults,
        layers: layers.map(({ name, temporary = false, rules }) => ({
          name,
          temporary,
          rules: rules.map((rule) => ({ ...rule })),
        })),
        time: time.read(),
      };
    },
    check: async (text) => check(text),
    explain: async (question) => explainCallToBe(explaining, question),
    explainCall: (call) => explainPastCall(explaining, call),
    simulate: (request) => simulate({ ...deps, now: deps.clock.now }, request),
    listOverrides: overrides.list,
    addOverride: overrides.add,
    removeOverride: overrides.remove,
    async acceptClock(operator) {
      const before = time.highest;
      const now = deps.clock.now();
      await deps.audit.record(
        eventOf(deps.clock, "policy.changed", actorOf(operator), { data: { change: "clock accepted", before, now } }),
      );
      await acceptClock(deps.db, time);
      return { now };
    },
  };
}
