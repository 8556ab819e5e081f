/**
 * Cold start to first result: `load` (gates, digest check, sandboxed process, handshake, initialize) and one call, against
 * starting the official MCP SDK (1.x) server unsandboxed, connecting and calling. Usage: npm run bench -- start [--quick]
 */
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { makeHome, openWithEcho } from "./home.mjs";
import { rounds, show } from "./measure.mjs";

const ROUNDS = process.argv.includes("--quick") ? 5 : 25;
const OPERATOR = { name: "bench" };
const AGENT = { kind: "agent", agent: "local" };
const SERVER = fileURLToPath(new URL("./peers/mcp-server.mjs", import.meta.url));

const home = await makeHome();
const host = await openWithEcho(home.path);

async function ours() {
  await host.plugins.unload(OPERATOR, "echo");
  const start = performance.now();
  await host.plugins.load(OPERATOR, "echo");
  const answer = await host.invoke(AGENT, { tool: "echo__echo", input: { text: "x" } });
  if (!answer.success) throw new Error(answer.code);
  return performance.now() - start;
}

async function peer() {
  const start = performance.now();
  const client = new Client({ name: "bench", version: "1.0.0" });
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [SERVER] }));
  await client.callTool({ name: "echo", arguments: { text: "x" } });
  const took = performance.now() - start;
  await client.close();
  return took;
}

const seen = await rounds({ peer, ours }, ROUNDS, (run) => run());
console.log(`cold start to first result, ${ROUNDS} rounds; median (lowest–highest)`);
show("peer: MCP SDK server, unsandboxed", seen.peer, "ms");
show("load and first call, sandboxed", seen.ours, "ms", seen.peer);
await host.close();
await home.remove();
