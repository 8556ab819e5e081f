import { SallyportError } from "../kernel/index.ts";
import { planNamespace } from "./namespace.ts";
import { planRuntime } from "./runtime.ts";
import type { SandboxPlan, SandboxSpec } from "./types.ts";

/**
 * Everything that starting one process at a level takes. Never another level than the one asked for.
 * @throws {SallyportError} `isolation_unavailable`.
 */
export async function planSandbox(spec: SandboxSpec): Promise<SandboxPlan> {
  const { bwrap, prlimit, setpriv } = spec.tools;
  if (spec.level === "namespace" && bwrap !== null && prlimit !== null) return planNamespace(spec, bwrap, prlimit);
  if (spec.level === "runtime" && setpriv !== null && prlimit !== null) return planRuntime(spec, setpriv, prlimit);
  throw new SallyportError("isolation_unavailable", `The isolation level "${spec.level}" is not available here.`, {
    fix: "Run `sallyport doctor` to see which levels this machine has and what each lacks.",
  });
}
