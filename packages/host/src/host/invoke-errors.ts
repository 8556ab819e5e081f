import { type ErrorCode, LIMITS, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { PolicyDecision } from "../policy/index.ts";
import type { Call } from "./call.ts";
import type { CallRoute } from "./route.ts";

/** What a caller is told when a call does not run, or its answer does not get out. */

export function unknownTool(name: string, reason: ErrorCode = "unknown_tool"): SallyportError {
  return new PolicyViolationError("unknown_tool", `There is no tool "${name.slice(0, 200)}" for this agent.`, {
    fix: "List the tools: sallyport tool list",
    data: { reason },
  });
}

export function denied(route: CallRoute): SallyportError {
  return new PolicyViolationError("policy_denied", `Policy denies ${route.name}.`, {
    detail: `Rule ${route.decision.rule}${route.decision.reason === undefined ? "" : `: ${route.decision.reason}`}.`,
    fix: "An operator can add a rule to config.yml, or approve the plugin again with --allow-tools.",
  });
}

/** Something about this one call is why: an agent is told what, and the operator's reason; an operator the rule too. */
export function deniedCall({ caller }: Call, route: CallRoute, decision: PolicyDecision): SallyportError {
  const about = decision.because?.join(" and ") ?? "tool";
  const why = decision.unclear === true ? `Its ${about} cannot be compared with certainty` : `Because of its ${about}`;
  const reason = decision.reason === undefined ? "" : ` ${decision.reason}`;
  const rule = caller.operator === undefined ? "" : ` Rule ${decision.rule}.`;
  return new PolicyViolationError("policy_denied", `Policy denies this call of ${route.name}.`, {
    detail: `${why}.${reason}${rule}`,
    fix:
      caller.operator === undefined
        ? "Do it another way, or ask the operator."
        : `See why: sallyport policy explain ${route.name} --agent ${caller.agent} --input JSON`,
  });
}

export function approvalRequired(route: CallRoute, { rule }: PolicyDecision, approval: string): SallyportError {
  return new PolicyViolationError("approval_required", `An operator must approve this call of ${route.name}.`, {
    detail: `Rule ${rule} asks for approval of ${route.effect} tools.`,
    fix: `Run: sallyport approval approve ${approval} — then make the same call again.`,
    data: { approval },
  });
}

type Problems = readonly { readonly path: string; readonly problem: string }[];

export function invalidInput(route: CallRoute, problems: Problems): SallyportError {
  return new SallyportError("invalid_input", `The input of ${route.name} is not valid: ${firstOf(problems)}.`, {
    fix: `See its input_schema: sallyport tool info ${route.name}`,
    data: { problems },
  });
}

export function invalidOutput(route: CallRoute, problems: Problems): SallyportError {
  return new SallyportError(
    "invalid_output",
    `${route.name} answered something that its output_schema does not allow.`,
    {
      detail: firstOf(problems),
      fix: "The plugin's author must mend the tool or its output_schema.",
      data: { problems },
    },
  );
}

function firstOf(problems: Problems): string {
  const [first] = problems;
  return first ? `${first.path || "(top level)"} ${first.problem}` : "it does not match";
}

export function outputTooLarge(route: CallRoute, bytes: number): SallyportError {
  return new SallyportError(
    "output_too_large",
    `${route.name} answered ${bytes} bytes; the limit is ${LIMITS.outputBytes}.`,
    {
      fix: "Ask the tool for less, or its author to answer in pages.",
    },
  );
}

export function auditUnavailable(): SallyportError {
  return new SallyportError("audit_unavailable", "The audit cannot be written, so nothing runs.", {
    fix: "Free disk space or mend the store, then restart Sallyport.",
  });
}

/** Between a decision and the execution something changed for the stricter; nothing was executed. */
export function changedMeanwhile(route: CallRoute): SallyportError {
  return new SallyportError("conflict", `${route.name} changed while the call waited, so it did not run.`, {
    detail: "The plugin, its tool or the policy is another one now.",
    fix: "Make the call again.",
  });
}

export function cancelledBefore(): SallyportError {
  return new SallyportError("cancelled", "The call was cancelled.", { detail: "It had not started." });
}

export function unreadableOutput(route: CallRoute): SallyportError {
  return new SallyportError("invalid_output", `${route.name} answered text that is not well-formed Unicode.`, {
    fix: "The plugin's author must mend the tool.",
  });
}

export function startsTooLong(route: CallRoute, milliseconds: number): SallyportError {
  return new SallyportError("busy", `${route.plugin.id} did not start within ${milliseconds} ms.`, {
    detail: "The call never reached the plugin, which is still starting.",
    fix: `Try again, and see why with: sallyport plugin info ${route.plugin.id}`,
  });
}
