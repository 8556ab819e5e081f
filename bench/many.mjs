/**
 * Ten thousand installed plugins: start of a host, the list of tools, memory, and no process until one is used.
 * Usage: npm run bench -- many [--quick]
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createHost } from "../packages/host/dist/index.js";
import { systemClock } from "../packages/host/dist/kernel/index.js";
import { insertGrant, insertPlugin, listGrants, listPlugins, openDatabase } from "../packages/host/dist/store/index.js";
import { makeHome, openWithEcho } from "./home.mjs";
import { show } from "./measure.mjs";

const AGENT = { kind: "agent", agent: "local" };
const PLUGINS = 10_000;
/** What one `tools/list` of an MCP client asks for. */
const PAGE = { after: "copy-5", most: 101 };
const PAGES = 20;
const ROUNDS = process.argv.includes("--quick") ? 3 : 9;

if (process.argv[2] === "--measure") await measure(process.argv[3]);
else await compare();

/** One fresh process, so that a round owes nothing to the one before. */
async function measure(path) {
  const start = performance.now();
  const host = await createHost({ home: path });
  const started = performance.now();
  await host.tools.list(AGENT, PAGE);
  const listed = performance.now();
  for (let round = 0; round < PAGES; round++) await host.tools.list(AGENT, PAGE);
  const again = performance.now();
  const { registry, loadedPlugins } = await host.stats();
  const { rss } = process.memoryUsage();
  await host.close();
  const facts = {
    start: started - start,
    first: listed - started,
    list: (again - listed) / PAGES,
    mib: rss / 2 ** 20,
    loaded: loadedPlugins,
    running: registry.activePlugins,
  };
  process.stdout.write(JSON.stringify(facts));
}

function run(path) {
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--measure", path], { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout);
}

async function compare() {
  const home = await makeHome();
  const host = await openWithEcho(home.path);
  await host.close();
  const one = Array.from({ length: ROUNDS }, () => run(home.path));
  await multiply(home.path);
  const many = Array.from({ length: ROUNDS }, () => run(home.path));
  await home.remove();
  const [{ loaded, running }] = many;
  console.log(`${loaded} loaded plugins, ${running} processes; ${ROUNDS} rounds; median (lowest–highest)`);
  for (const [label, key, unit] of [
    ["host start", "start", "ms"],
    ["first page of tools", "first", "ms"],
    ["a page of tools", "list", "ms"],
    ["memory of the host (RSS)", "mib", "MiB"],
  ]) {
    const peer = one.map((facts) => facts[key]);
    show(`${label}, one plugin`, peer, unit);
    show(
      `${label}, ${PLUGINS} plugins`,
      many.map((facts) => facts[key]),
      unit,
      peer,
    );
  }
}

/** Copies the one plugin's rows under other ids: what ten thousand installations leave, without waiting for them. */
async function multiply(path) {
  const db = await openDatabase({ path: join(path, "state.db"), clock: systemClock });
  const [plugin] = await listPlugins(db);
  const [grant] = await listGrants(db);
  const ids = Array.from({ length: PLUGINS - 1 }, (_, index) => `copy-${index}`);
  const statements = ids.flatMap((id) => [
    insertPlugin({ ...plugin, ref: { ...plugin.ref, id }, manifest: { ...plugin.manifest, id } }),
    insertGrant({ ...grant, id: `grant-${id}`, pluginId: id }),
  ]);
  for (let from = 0; from < statements.length; from += 1000) await db.atomically(statements.slice(from, from + 1000));
  await db.close();
}
