import { type Catalog, isLegalEdge, type Move } from "../catalog/index.ts";
import type { SallyportError } from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";

interface GateDeps {
  readonly catalog: Catalog;
  policySnapshot(): string;
}

/** Approved bytes that are no longer there, or a grant that is gone, take the plugin back to `validated`. */
export async function refused(
  deps: GateDeps,
  record: StoredPlugin,
  actor: string,
  error: SallyportError,
): Promise<SallyportError> {
  const move: Move = { actor, reason: error.code, lastError: error.message, policySnapshot: deps.policySnapshot() };
  await deps.catalog.refused(record, move);
  const current = deps.catalog.current(record.ref);
  const lost = error.code === "not_approved" || error.code === "digest_mismatch";
  // A plugin that was denied stays denied, whoever tries to load it.
  if (current && lost && current.state !== "denied" && isLegalEdge(current.state, "validated")) {
    await deps.catalog.move(current, "validated", move);
  }
  return error;
}
