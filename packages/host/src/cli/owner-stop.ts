import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import { SallyportError } from "../kernel/index.ts";
import { statusAnswer } from "../wire/index.ts";
import { findOwner } from "./owner-client.ts";
import { answerOf } from "./session.ts";

/** An owner drains for five seconds and then stops its plugins. */
const STOP_MS = 30_000;
const POLL_MS = 20;

/** What the owner of a home says of itself; undefined when there is none. Starts nothing. `home` is a real path. */
export async function ownerStatus(
  home: string,
  env: NodeJS.ProcessEnv,
): Promise<z.infer<typeof statusAnswer> | undefined> {
  const owner = await findOwner(home, env);
  return owner && statusAnswer.parse(answerOf((await owner.request("GET", "/api/status")).json)["result"]);
}

/**
 * Ends the owner of a home, if there is one, and waits until its process is gone and the home is free. Starts nothing.
 * @throws {SallyportError} `home_locked` when it does not end.
 */
export async function stopOwner(home: string, env: NodeJS.ProcessEnv): Promise<void> {
  const status = await ownerStatus(home, env);
  if (!status) return;
  await (await findOwner(home, env))?.request("POST", "/api/owner/stop", { body: {} });
  const deadline = performance.now() + STOP_MS;
  while (isAlive(status.pid)) {
    if (performance.now() > deadline) {
      throw new SallyportError("home_locked", "The owner of this home does not end.", {
        fix: `End process ${status.pid}.`,
      });
    }
    await pause(POLL_MS);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !isZombie(pid);
}

/* Ended, and not yet buried: the first process of many containers does that late or never. It holds nothing any more. */
function isZombie(pid: number): boolean {
  try {
    return /^.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
