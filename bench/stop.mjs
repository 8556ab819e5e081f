/**
 * From the order to stop until no process of a plugin is left, per level: killing all its processes, and `unload`, which asks
 * first. Against killing an unsandboxed server of the official MCP SDK. Usage: npm run bench -- stop [--quick]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { atEachLevel } from "./home.mjs";
import { rounds, show } from "./measure.mjs";
import { below, isAlive } from "./processes.mjs";

const ROUNDS = process.argv.includes("--quick") ? 5 : 25;
const OPERATOR = { name: "bench" };
const SERVER = fileURLToPath(new URL("./peers/mcp-server.mjs", import.meta.url));

async function gone(pids, stop) {
  const start = performance.now();
  await stop();
  while (pids.some(isAlive)) await new Promise((resolve) => setImmediate(resolve));
  return performance.now() - start;
}

async function peer() {
  const child = spawn(process.execPath, [SERVER], { stdio: ["pipe", "ignore", "ignore"] });
  await once(child, "spawn");
  const closed = once(child, "close");
  return gone([child.pid], async () => {
    child.kill("SIGKILL");
    await closed;
  });
}

console.log(`from the order to stop until every process is gone, ${ROUNDS} rounds; median (lowest–highest)`);
await atEachLevel(async (host, level) => {
  const before = new Set(below());
  const fresh = async () => {
    await host.plugins.load(OPERATOR, "echo");
    return below().filter((pid) => !before.has(pid));
  };
  await host.plugins.unload(OPERATOR, "echo");
  const unload = async () => gone(await fresh(), () => host.plugins.unload(OPERATOR, "echo"));
  const kill = async () => {
    const pids = await fresh();
    const took = await gone(pids, async () => pids.forEach((pid) => isAlive(pid) && process.kill(pid, "SIGKILL")));
    await host.plugins.unload(OPERATOR, "echo").catch(() => undefined);
    return took;
  };
  const seen = await rounds({ peer, kill, unload }, ROUNDS, (run) => run());
  show(`${level}: kill to gone`, seen.kill, "ms", seen.peer);
  show(`${level}: unload to gone`, seen.unload, "ms", seen.peer);
  show("  peer: SDK server, SIGKILL", seen.peer, "ms");
});
