import type { Catalog } from "../catalog/index.ts";
import { processesOf, type Slot } from "./slots.ts";

const ACTOR = "host";

/** Moves a plugin between running and unhealthy as its processes answer or not, until the two agree. */
export async function judgeHealth(catalog: Catalog, slot: Slot): Promise<void> {
  for (;;) {
    const record = catalog.current(slot.ref);
    const processes = processesOf(slot);
    if (!record || processes.length === 0) return;
    const hung = processes.some((process) => !process.responsive);
    const move = { actor: ACTOR, isolation: processes[0]?.level };
    if (hung && record.state === "running") {
      const lastError = "Its process does not answer: its code keeps the event loop busy.";
      await catalog.move(record, "unhealthy", { ...move, reason: "no_heartbeat", lastError });
    } else if (!hung && record.state === "unhealthy") {
      await catalog.move(record, "running", { ...move, reason: "heartbeat" });
    } else return;
  }
}
