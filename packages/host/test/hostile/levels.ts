import { placeEngine, probeIsolation } from "../../src/isolation/index.ts";
import type { IsolationLevel } from "../../src/kernel/index.ts";

/** Why this machine lacks a level; nothing when it has it. */
async function lacking(level: IsolationLevel): Promise<string | undefined> {
  const hostIsRoot = process.getuid?.() === 0;
  const { report } = await probeIsolation({ engine: await placeEngine({ hostIsRoot }), hostIsRoot });
  if (report.available.includes(level)) return undefined;
  const found = report.levels[level];
  return "reason" in found && typeof found.reason === "string" ? found.reason : `no ${level} level`;
}

export const lackingNamespace = (): Promise<string | undefined> => lacking("namespace");
export const lackingLandlock = (): Promise<string | undefined> => lacking("landlock");
export const lackingRuntime = (): Promise<string | undefined> => lacking("runtime");
