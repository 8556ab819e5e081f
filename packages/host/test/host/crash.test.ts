import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { storeRoot } from "../../src/isolation/index.ts";
import { lacking, lackingNote } from "../support/namespace.ts";
import { installed, makeHome, repositoryPlugin, type TestHome } from "../support/home.ts";

const CHILD = fileURLToPath(new URL("./crash-child.mjs", import.meta.url));
const KILLS = 50;
/** How many acknowledged calls to let through before the kill: none, a few, many. */
const AFTER = [0, 1, 7, 40, 300];

let home: TestHome;

/** Runs the child until it has acknowledged so many calls, kills it there and then, and gives the calls it acknowledged. */
async function runAndKill(acknowledged: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [CHILD, home.path], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = new Promise((resolve) => child.once("close", resolve));
  const calls: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line !== "open") calls.push(line);
    if (calls.length >= acknowledged) child.kill("SIGKILL");
  }
  await closed;
  return calls;
}

/** Processes that have the home's content store on their command line: the sandboxes of its plugins. */
async function pluginProcesses(): Promise<readonly string[]> {
  const store = storeRoot(home.path, { hostIsRoot: process.getuid?.() === 0 });
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes(store)) found.push(`${pid} ${command.replaceAll("\0", " ").slice(0, 200)}`);
  }
  return found;
}

describe.skipIf(lacking !== undefined)(`a host that is killed with -9 while it works${lackingNote}`, () => {
  beforeAll(async () => {
    home = await makeHome();
    const host = await home.open();
    await installed(host, repositoryPlugin("echo"), { allowTools: ["note"] });
    await host.close();
  });
  afterAll(() => home.remove());

  it(
    `leaves a home that opens, a chain that verifies, every acknowledged call, and no process: ${KILLS} times`,
    { timeout: 600_000 },
    async () => {
      for (let round = 0; round < KILLS; round++) {
        const calls = await runAndKill(AFTER[round % AFTER.length] ?? 0);
        expect(calls.filter((line) => line.startsWith("failed"))).toEqual([]);
        const host = await home.open();
        expect(await host.audit.verify()).toMatchObject({ ok: true, problems: [] });
        for (const call of calls.slice(-20)) {
          expect(await host.audit.query({ call, order: "asc", limit: 1 })).toMatchObject([
            { phase: "intent", call_id: call },
          ]);
        }
        expect(["idle", "stopped"]).toContain((await host.plugins.info("echo")).state);
        if ((await host.plugins.info("echo")).state === "stopped") await host.plugins.load({ name: "tester" }, "echo");
        await host.close();
        await expect.poll(pluginProcesses, { timeout: 5_000 }).toEqual([]);
      }
    },
  );
});
