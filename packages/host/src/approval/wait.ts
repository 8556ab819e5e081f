import type { AuditLog, StoredAuditEvent } from "../audit/index.ts";
import { type Clock, SallyportError } from "../kernel/index.ts";
import { type Database, findApproval, type StoredApproval } from "../store/index.ts";

/** Holds calls until their requests are answered. */
export interface Waiting {
  /**
   * Resolves with the request once it no longer waits, or with the waiting one when the time is over.
   * @throws {SallyportError} `cancelled` with the signal, `busy` when too many calls are held already.
   */
  answered(
    id: string,
    options: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<StoredApproval | null>;
  /** Gives every held call up: the host stops. */
  close(): void;
}

/** An hour. */
const MOST_WAIT_MS = 60 * 60 * 1000;
const MOST_HELD = 256;

export function createWaiting(deps: {
  readonly db: Database;
  readonly audit: Pick<AuditLog, "subscribe">;
  readonly clock: Clock;
}): Waiting {
  let held = 0;
  const closing = new AbortController();
  return {
    close: () => closing.abort(),
    async answered(id, { waitMs, signal }) {
      if (held >= MOST_HELD) {
        throw new SallyportError("busy", `${MOST_HELD} calls are held for an answer already.`, {
          fix: "Make the call without waiting, and again once it was approved.",
        });
      }
      held++;
      try {
        return await untilOver(deps, id, Math.min(waitMs, MOST_WAIT_MS), AbortSignal.any([signal, closing.signal]));
      } finally {
        held--;
      }
    },
  };
}

async function untilOver(
  { db, audit, clock }: Parameters<typeof createWaiting>[0],
  id: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<StoredApproval | null> {
  const ends = clock.monotonic() + waitMs;
  let changed = false;
  let wake: (() => void) | undefined;
  const look = (): void => {
    changed = true;
    wake?.();
  };
  const stop = audit.subscribe((event) => {
    if (concerns(event, id)) look();
  });
  signal.addEventListener("abort", look, { once: true });
  try {
    for (;;) {
      changed = false;
      if (signal.aborted)
        throw new SallyportError("cancelled", "The call was cancelled.", { detail: "It had not started." });
      const request = await findApproval(db, id);
      const left = ends - clock.monotonic();
      if (request?.state !== "pending" || left <= 0) return request;
      if (!changed) await sleep(left, (resolve) => (wake = resolve));
    }
  } finally {
    stop();
    signal.removeEventListener("abort", look);
  }
}

/** A request also ends with its plugin, which says so for all of them at once. */
export function concerns({ type, approval }: StoredAuditEvent, id?: string): boolean {
  if (type.startsWith("approval.")) return id === undefined || approval === id;
  return (
    type === "plugin.lifecycle" || type === "plugin.revoked" || type === "grant.withdrawn" || type === "agent.changed"
  );
}

async function sleep(milliseconds: number, onWake: (resolve: () => void) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
    timer.unref();
    onWake(resolve);
  });
  clearTimeout(timer);
}
