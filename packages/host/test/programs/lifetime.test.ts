import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterEach, describe, expect, it } from "vitest";
import { NOBODY, type SandboxSpec } from "../../src/isolation/index.ts";
import { isAlive, processTree } from "../../src/isolation/process-tree.ts";
import { engine } from "../isolation/support.ts";
import { compileInto, hostIsRoot, lacking, probe, publicDir } from "./support.ts";

/** How long a program may outlive its host. */
const SECOND_MS = 1000;

/** Tries to get away from its parent, says what of that worked, and never ends by itself. */
const STAYS = `
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void) {
  for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
  setsid();
  setpgid(0, 0);
  int freed = prctl(PR_SET_PDEATHSIG, 0), forked = fork();
  printf("freed %d forked %d\\n", freed, forked);
  fflush(stdout);
  for (;;);
}
`;

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function startHost(folder: string, spec: SandboxSpec): Promise<ChildProcess> {
  const outfile = join(folder, "host.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("fixtures/host-process.ts", import.meta.url))],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    tsconfigRaw: {},
    logLevel: "silent",
  });
  const host = spawn(process.execPath, [outfile, JSON.stringify(spec)], { stdio: ["ignore", "pipe", "inherit"] });
  ends.push(() => host.kill("SIGKILL"));
  return host;
}

/** A socket where the program's proxy would be, so that the helper which leads there runs as well. */
async function listen(folder: string): Promise<string> {
  const server: Server = createServer();
  const path = join(folder, "proxy");
  await once(server.listen(path), "listening");
  ends.push(() => server.close());
  chmodSync(path, 0o600);
  if (hostIsRoot) for (const place of [path, folder]) chownSync(place, NOBODY, NOBODY);
  return path;
}

describe.each([
  ["namespace", false],
  ["namespace", true],
  ["landlock", false],
] as const)("kill -9 of a host at %s, with the way to the proxy: %s", (level, proxied) => {
  const note = lacking(level, "cc");
  it.skipIf(note !== "")(`takes its program with it within a second, whatever it tried ${note}`, async () => {
    const [root, way] = [publicDir(), publicDir()];
    ends.push(root.remove, way.remove);
    compileInto(root.path, "stays", STAYS);
    const host = await startHost(root.path, {
      level,
      engine,
      tools: probe.tools,
      root: root.path,
      memoryMb: 64,
      hostIsRoot,
      program: { interpreter: null, entry: "stays", args: [], proxySocket: proxied ? await listen(way.path) : null },
    });
    const [said] = await once(host.stdout ?? host, "data");
    expect(String(said)).toBe("freed -1 forked -1\n");
    const members = processTree(host.pid ?? 0).filter(({ pid }) => pid !== host.pid);
    expect(members.length).toBeGreaterThan(0);
    const killed = performance.now();
    host.kill("SIGKILL");
    while (members.some(isAlive) && performance.now() - killed < SECOND_MS)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(members.filter(isAlive)).toEqual([]);
  });
});
