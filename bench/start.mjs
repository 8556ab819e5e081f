/**
 * Cold start to first result per level: `load` (gates, digest check, sandboxed process, handshake, initialize) and one call,
 * against starting the official MCP SDK (1.x) server unsandboxed, connecting and calling. Usage: npm run bench -- start [--quick]
 */
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { atEachLevel } from "./home.mjs";
import { rounds, show } from "./measure.mjs";

const ROUNDS = process.argv.includes("--quick") ? 5 : 25;
const OPERATOR = { name: "bench" };
const AGENT = { kind: "agent", agent: "local" };
const SERVER = fileURLToPath(new URL("./peers/mcp-server.mjs", import.meta.url));

async function peer() {
  const start = performance.now();
  const client = new Client({ name: "bench", version: "1.0.0" });
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [SERVER] }));
  await client.callTool({ name: "echo", arguments: { text: "x" } });
  const took = performance.now() - start;
  await client.close();
  return took;
}

console.log(`cold start to first result, ${ROUNDS} rounds; median (lowest–highest)`);
await atEachLevel(async (host, level) => {
  const call = async () => {
    const answer = await host.invoke(AGENT, { tool: "echo__echo", input: { text: "x" } });
    if (!answer.success) throw new Error(answer.code);
  };
  const cold = async () => {
    await host.plugins.unload(OPERATOR, "echo");
    const start = performance.now();
    await host.plugins.load(OPERATOR, "echo");
    await call();
    return performance.now() - start;
  };
  const seen = await rounds({ peer, cold }, ROUNDS, (run) => run());
  show("peer: MCP SDK server, unsandboxed", seen.peer, "ms");
  show(`${level}: load and first call`, seen.cold, "ms", seen.peer);
});
