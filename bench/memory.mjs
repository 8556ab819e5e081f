/**
 * Memory of active plugins (proportional set size, after one call each, with the processes that hold their walls) against
 * as many unsandboxed servers of the official MCP SDK. Usage: npm run bench -- memory [--quick]
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { createHost } from "../packages/host/dist/index.js";
import { ECHO, makeHome } from "./home.mjs";
import { below, pss } from "./processes.mjs";

const COUNTS = process.argv.includes("--quick") ? [1, 20, 30] : [1, 20, 100];
const OPERATOR = { name: "bench" };
const AGENT = { kind: "agent", agent: "local" };
const SERVER = fileURLToPath(new URL("./peers/mcp-server.mjs", import.meta.url));

async function ours() {
  const home = await makeHome();
  const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-plugins-"));
  const host = await createHost({ home: home.path });
  const seen = [];
  try {
    let made = 0;
    for (const count of COUNTS) {
      for (; made < count; made++) await start(host, folder, `echo-${made}`);
      seen.push(pss(below()));
    }
  } finally {
    await host.close();
    await home.remove();
    await rm(folder, { recursive: true, force: true });
  }
  return seen;
}

async function start(host, folder, id) {
  const source = join(folder, id);
  await cp(ECHO, source, { recursive: true });
  const manifest = join(source, "plugin.yml");
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace(/^id: .*$/m, `id: ${id}`));
  await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, id, {});
  await host.plugins.load(OPERATOR, id);
  const answer = await host.invoke(AGENT, { tool: `${id}__echo`, input: { text: "x" } });
  if (!answer.success) throw new Error(answer.code);
}

async function peers() {
  const clients = [];
  const seen = [];
  try {
    for (const count of COUNTS) {
      while (clients.length < count) {
        const client = new Client({ name: "bench", version: "1.0.0" });
        await client.connect(new StdioClientTransport({ command: process.execPath, args: [SERVER] }));
        await client.callTool({ name: "echo", arguments: { text: "x" } });
        clients.push(client);
      }
      seen.push(pss(below()));
    }
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
  return seen;
}

const theirs = await peers();
const own = await ours();
console.log("memory of active plugins, PSS");
for (const [index, count] of COUNTS.entries()) {
  const [mine, peer] = [own[index], theirs[index]];
  console.log(
    `  ${String(count).padStart(4)} plugins ${mine.toFixed(0).padStart(6)} MiB   ${String(count).padStart(4)} SDK servers ${peer.toFixed(0).padStart(6)} MiB   ${(mine / peer).toFixed(2)}× peer`,
  );
}
const each = (seen) => (seen.at(-1) - seen.at(-2)) / (COUNTS.at(-1) - COUNTS.at(-2));
console.log(
  `  each beyond the first ${COUNTS.at(-2)}: ${each(own).toFixed(1)} MiB; peer ${each(theirs).toFixed(1)} MiB`,
);
