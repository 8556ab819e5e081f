import { type Catalog, isLegalEdge, type Turns } from "../catalog/index.ts";
import type { StoreCheckAnswer } from "../host-api.ts";
import type { PluginRef, SallyportError } from "../kernel/index.ts";
import type { Runtime } from "./runtime.ts";
import type { StorePass, StoreVerifier } from "./verify-store.ts";

export interface VerifyAllDeps {
  readonly catalog: Catalog;
  readonly runtime: Pick<Runtime, "stop">;
  readonly verifier: StoreVerifier;
  readonly inTurn: Turns;
}

/**
 * Checks every installed version and stops what is not what was approved: it goes back to `validated`, as at a load, and nothing of
 * it runs until an operator has looked. What is gone from the store only cannot be loaded.
 */
export async function verifyAll(
  { catalog, runtime, verifier, inTurn }: VerifyAllDeps,
  actor: string,
  options: Parameters<StoreVerifier["pass"]>[1],
): Promise<StoreCheckAnswer> {
  const pass = await verifier.pass(catalog.all(), options);
  // Two who joined one pass must not both stop what it found.
  for (const { ref, error } of pass.problems) await inTurn(ref.id, () => stopChanged(ref, error));
  return answerOf(pass);

  async function stopChanged(ref: PluginRef, error: SallyportError): Promise<void> {
    const record = catalog.current(ref);
    if (!record || error.code !== "digest_mismatch" || !isLegalEdge(record.state, "validated")) return;
    const move = { actor, reason: error.code, lastError: error.message };
    await catalog.refused(record, move);
    await runtime.stop(record, "validated", move);
  }
}

function answerOf({ checked, reread, problems }: StorePass): StoreCheckAnswer {
  return {
    checked,
    reread,
    problems: problems.map(({ ref, error }) => ({
      ...ref,
      code: error.code,
      error: error.message,
      file: textOf(error.data["file"]),
      expected: textOf(error.data["expected"]),
      actual: textOf(error.data["actual"]),
      fix: error.fix ?? "Install the plugin again.",
    })),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
