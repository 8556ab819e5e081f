import type { AuditLog } from "../audit/index.ts";
import { type Database, findApproval, listApprovals, type StoredApproval } from "../store/index.ts";
import { concerns } from "./wait.ts";

export interface FeedChange {
  readonly change: "waiting" | "over";
  readonly approval: StoredApproval;
}

/**
 * What waits now, oldest first, then what begins to wait and what is over, until the signal. It compares what it told with
 * what is there, so that it keeps no queue and a slow reader is told of what still matters.
 */
export async function* watchRequests(
  deps: { readonly db: Database; readonly audit: Pick<AuditLog, "subscribe"> },
  signal: AbortSignal,
): AsyncGenerator<FeedChange> {
  let changed = true;
  let wake: (() => void) | undefined;
  const look = (): void => {
    changed = true;
    wake?.();
  };
  const stop = deps.audit.subscribe((event) => {
    if (concerns(event)) look();
  });
  signal.addEventListener("abort", look, { once: true });
  const told = new Map<string, StoredApproval>();
  try {
    while (!signal.aborted) {
      if (!changed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (changed) resolve();
        });
        continue;
      }
      changed = false;
      yield* difference(deps.db, told);
    }
  } finally {
    stop();
    signal.removeEventListener("abort", look);
  }
}

async function* difference(db: Database, told: Map<string, StoredApproval>): AsyncGenerator<FeedChange> {
  const waiting = (await listApprovals(db, { state: "pending" })).toReversed();
  const ids = new Set(waiting.map(({ id }) => id));
  for (const before of told.values()) {
    if (ids.has(before.id)) continue;
    const now = await findApproval(db, before.id);
    // Over a thousand wait, and this one is not among the newest.
    if (now?.state === "pending") continue;
    told.delete(before.id);
    yield { change: "over", approval: now ?? before };
  }
  for (const approval of waiting) {
    if (told.has(approval.id)) continue;
    told.set(approval.id, approval);
    yield { change: "waiting", approval };
  }
}
