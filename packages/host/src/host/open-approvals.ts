import {
  type CallApprovals,
  createCallApprovals,
  createMeter,
  createWaiting,
  end,
  expireDue,
  type Meter,
  unlessConflict,
  type Waiting,
} from "../approval/index.ts";
import { listApprovals } from "../store/index.ts";
import type { HomeParts } from "./parts.ts";

/** How often what is over is marked as such, so that a later look at another time cannot find it open. */
const SWEEP_MS = 15_000;
/** A home whose last event is this far ahead of now was used under another time. */
const SET_BACK_MS = 60_000;

export interface OpenedApprovals {
  readonly calls: CallApprovals;
  readonly waiting: Waiting;
  readonly meter: Meter;
  close(): Promise<void>;
}

/** Approvals of calls in an open home. */
export async function openApprovals(parts: HomeParts, onDefect: (error: unknown) => void): Promise<OpenedApprovals> {
  const meter = createMeter(parts.db);
  await withdrawAfterSetBack(parts);
  await expireDue(parts);
  const waiting = createWaiting(parts);
  const sweep = async (): Promise<void> => {
    await Promise.all([expireDue(parts), meter.flush()]);
  };
  const sweeping = setInterval(() => void sweep().catch(onDefect), SWEEP_MS);
  sweeping.unref();
  return {
    calls: createCallApprovals(parts),
    waiting,
    meter,
    async close() {
      clearInterval(sweeping);
      waiting.close();
      await meter.flush();
    },
  };
}

/** With the clock set back while nobody watched it, what was given for a time would hold for longer than was said. */
async function withdrawAfterSetBack(parts: HomeParts): Promise<void> {
  const [last] = await parts.audit.query({ limit: 1 });
  if (last === undefined || parts.clock.now() >= last.time - SET_BACK_MS) return;
  for (const approval of await listApprovals(parts.db, { kind: "call", state: "approved" })) {
    await end(parts, approval, "withdrawn", "host", "clock_set_back").catch(unlessConflict);
  }
}
