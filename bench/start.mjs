/**
 * Cold start of a large bundle at `namespace`, with the cache of compiled code and without; then cold start to first result per level: `load` (gates, digest check, sandboxed process, handshake, initialize) and one call,
 * against starting the official MCP SDK (1.x) server unsandboxed, connecting and calling. Usage: npm run bench -- start [--quick]
 */
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { createHost } from "../packages/host/dist/index.js";
import { atEachLevel, ECHO, makeHome } from "./home.mjs";
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

/** Echo with code that it runs once at its import: functions and classes with a literal of its own each, no two alike. */
async function largePlugin(folder, bytes) {
  await cp(ECHO, folder, { recursive: true, filter: (path) => !path.includes("node_modules") });
  const entry = join(folder, (await readFile(join(folder, "plugin.yml"), "utf8")).match(/^entry: *(\S+)/m)[1]);
  let code = "";
  for (let at = 0; code.length < bytes; at++) {
    code += `function made${at}(count, items) { const all = []; for (let at = 0; at < count; at++) { if (at % ${at + 2} === 0)
      all.push({ key: "key${at}", at: at * ${at} }); else try { all.push(...items.map((item) => ({ item, text: "text${at}" }))); }
      catch (error) { all.push(error); } } return all; }
      class Made${at} { #own = ${at}; get own() { return this.#own; } run(items) { return made${at}(this.own % 5, items).length; } }
      globalThis.made = (globalThis.made ?? 0) + new Made${at}().run([${at}]);\n`;
  }
  await writeFile(entry, `${await readFile(entry, "utf8")}\n${code}`);
}

async function coldHost(home, source, overrides) {
  const host = await createHost({ home: home.path, overrides: { levels: ["namespace"], ...overrides } });
  await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, "echo", { allowTools: ["note"] });
  const start = performance.now();
  await host.plugins.load(OPERATOR, "echo");
  return { host, first: performance.now() - start };
}

async function large() {
  const homes = [await makeHome(), await makeHome()];
  const source = join(dirname(homes[0].path), "large");
  const opened = [];
  try {
    await mkdir(source);
    await largePlugin(source, 700_000);
    opened.push(await coldHost(homes[0], source, {}), await coldHost(homes[1], source, { codeCache: false }));
    const cold = (host) => async () => {
      await host.plugins.unload(OPERATOR, "echo");
      const start = performance.now();
      await host.plugins.load(OPERATOR, "echo");
      return performance.now() - start;
    };
    const [kept, compiled] = opened;
    const seen = await rounds({ kept: cold(kept.host), compiled: cold(compiled.host) }, ROUNDS, (run) => run());
    show("a bundle of 700 KB, compiled at every start", seen.compiled, "ms");
    show("the same, with the cache", seen.kept, "ms", seen.compiled);
    show("its first load, which fills the cache", [kept.first], "ms", seen.compiled);
  } catch (error) {
    console.log(`  large bundle: not measured: ${error.message}`);
  } finally {
    for (const { host } of opened) await host.close();
    for (const home of homes) await home.remove();
  }
}

console.log(`load of a large bundle, ${ROUNDS} rounds; median (lowest–highest)`);
await large();

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
