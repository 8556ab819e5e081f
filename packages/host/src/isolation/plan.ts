import { SallyportError } from "../kernel/index.ts";
import { planLandlock } from "./landlock.ts";
import { planNamespace } from "./namespace.ts";
import { planProgram } from "./program.ts";
import { planRuntime } from "./runtime.ts";
import type { SandboxPlan, SandboxSpec } from "./types.ts";

/**
 * Everything that starting one process at a level takes. Never another level than the one asked for.
 * @throws {SallyportError} `isolation_unavailable`.
 */
export async function planSandbox(spec: SandboxSpec): Promise<SandboxPlan> {
  if (spec.program !== undefined) return planProgram(spec, spec.program);
  if (spec.level === "namespace" && spec.tools.bwrap !== null) return planNamespace(spec, spec.tools.bwrap);
  if (spec.level === "landlock") return planLandlock(spec);
  if (spec.level === "runtime") return planRuntime(spec);
  throw new SallyportError("isolation_unavailable", `The isolation level "${spec.level}" is not available here.`, {
    fix: "Run `sallyport doctor` to see which levels this machine has and what each lacks.",
  });
}
