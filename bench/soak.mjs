/**
 * `npm run soak [-- --minutes N | --seconds N] [--json]`: ten callers against good, crashing, hanging, blocking and flooding
 * plugins of one host. Ends with exit code 0 when memory stayed flat, no process or zombie is left, and every call that was
 * answered has its outcome in an audit that verifies; else with 1. Bounded in time, processes and memory; touches no network.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { makeHome } from "./home.mjs";
import { PLUGINS } from "./soak-plugins.mjs";
import { createHost } from "../packages/host/dist/index.js";
import { starterConfig } from "../packages/host/dist/config/index.js";
import { storeRoot } from "../packages/host/dist/isolation/index.js";

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "10" }, seconds: { type: "string" }, json: { type: "boolean" } },
});
const seconds = Number(values.seconds ?? Number(values.minutes) * 60);
if (!(seconds >= 5 && seconds <= 86_400)) {
  console.error("soak: between 5 seconds and a day");
  process.exit(2);
}

const OPERATOR = { name: "soak" };
const CALLERS = 10;
/** Between two calls of one caller: the soak is about time, not about throughput. */
const PAUSE_MS = 20;
/** How a call of a good plugin may fail: its caller gave up, or too many were before it. */
const WAITING = ["cancelled", "busy"];
/** What the resident memory of the host may grow from the first third (after its start) to the last: allocators and caches. */
const FLAT_MB = 48;
const isolation = (perAgent) =>
  starterConfig({ pluginsEnabled: true }).replace(
    "isolation:",
    `isolation:\n  idle_after_s: 2\n  drain_s: 2\n  processes_per_plugin: 4\n  per_agent: ${perAgent}`,
  );

const home = await makeHome();
/** Calls that were answered: how many, and a digest of their ids that any order leads to. */
const answered = createSet();
const codes = new Map();
const problems = [];
const resident = [];

try {
  await writeFile(join(home.path, "config.yml"), isolation(false));
  const host = await createHost({ home: home.path, onDefect: (error) => problems.push(`defect: ${String(error)}`) });
  const events = {};
  host.audit.subscribe((event) => {
    if (event.type === "plugin.lifecycle") events[event.to] = (events[event.to] ?? 0) + 1;
  });
  for (const plugin of PLUGINS) await install(host, plugin);
  const until = performance.now() + seconds * 1000;
  const turn = performance.now() + seconds * 500;
  await Promise.all([
    ...Array.from({ length: CALLERS }, (_, index) => caller(host, index, until)),
    operate(host, until),
    changeMode(turn),
    sample(until),
  ]);
  await host.close();
  await examine();
  report(events);
} finally {
  await home.remove();
}
process.exitCode = problems.length === 0 ? 0 : 1;

async function install(host, { id, files, effect }) {
  const source = join(dirname(home.path), "plugins", id);
  await mkdir(source, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(source, name), text);
  await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, id, effect === "read" ? {} : { allowTools: ["work"] });
  await host.plugins.load(OPERATOR, id);
}

/** One agent that calls one tool after the other; sometimes it gives up. */
async function caller(host, index, until) {
  const random = seeded(index + 1);
  const agent = `agent-${index}`;
  for (let n = 1; performance.now() < until; n++) {
    const plugin = pick(random());
    const signal = random() < 0.05 ? AbortSignal.timeout(Math.ceil(random() * 50)) : undefined;
    const answer = await host.invoke(
      { kind: "agent", agent },
      { tool: plugin.tool, input: { n }, ...(signal && { signal }) },
    );
    answered.add(answer.callId);
    const code = answer.success ? "succeeded" : answer.code;
    codes.set(code, (codes.get(code) ?? 0) + 1);
    const expected = plugin.unloaded ? [...WAITING, "unknown_tool", "plugin_not_running"] : WAITING;
    if (plugin.good && code !== "succeeded" && !expected.includes(code)) {
      problems.push(`${plugin.id} of ${agent}: ${code}: ${answer.error}`);
    }
    await pause(PAUSE_MS * 2 * random());
  }
}

/** The person who loads what was given up, and unloads and loads a good one now and then. */
async function operate(host, until) {
  for (let round = 1; performance.now() < until; round++) {
    await pause(500);
    const failed = (await host.plugins.list()).filter(({ state }) => state === "failed");
    for (const { id } of failed) await host.plugins.load(OPERATOR, id).catch((error) => problems.push(String(error)));
    if (round % 10 !== 0) continue;
    await host.plugins.unload(OPERATOR, "sleeper", { now: round % 20 === 0 });
    await host.plugins.load(OPERATOR, "sleeper");
  }
}

/** In the middle each agent gets its own processes. */
async function changeMode(at) {
  await pause(Math.max(0, at - performance.now()));
  await writeFile(join(home.path, "config.yml"), isolation(true));
}

async function sample(until) {
  while (performance.now() < until) {
    await pause(Math.min(1000, (seconds * 1000) / 30));
    resident.push(process.memoryUsage().rss / 1024 / 1024);
  }
}

async function examine() {
  const left = await leftOver();
  if (left.length > 0) problems.push(`still there: ${left.join(", ")}`);
  const [early, late] = thirds();
  if (late - early > FLAT_MB) problems.push(`memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MiB`);
  const again = await createHost({ home: home.path });
  try {
    const verified = await again.audit.verify();
    if (!verified.ok) problems.push(`the audit does not verify: ${JSON.stringify(verified.problems).slice(0, 500)}`);
    const audited = createSet();
    for await (const line of again.audit.export()) {
      const event = JSON.parse(line);
      if (event.type === "plugin_tool.invoked" && event.phase === "outcome") audited.add(event.call_id);
    }
    if (audited.count !== answered.count || audited.digest() !== answered.digest()) {
      problems.push(`${answered.count} calls were answered, and ${audited.count} outcomes are in the audit`);
    }
  } finally {
    await again.close();
  }
}

/** Processes of plugins, and children of ours that nobody buried. */
async function leftOver() {
  const store = storeRoot(home.path, { hostIsRoot: process.getuid?.() === 0 });
  const found = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const [command, stat] = await Promise.all(
      ["cmdline", "stat"].map((name) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "")),
    );
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (command.includes(store)) found.push(`process ${pid}`);
    if (state === "Z" && Number(parent) === process.pid) found.push(`zombie ${pid}`);
  }
  return found;
}

/** Median memory of the first third, without the start, and of the last. */
function thirds() {
  const third = Math.max(1, Math.floor(resident.length / 3));
  return [resident.slice(Math.floor(third / 3), third), resident.slice(-third)].map((part) => {
    const sorted = part.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? 0;
  });
}

function report(events) {
  const [early, late] = thirds();
  const result = {
    seconds,
    calls: answered.count,
    answers: Object.fromEntries([...codes].toSorted(([a], [b]) => a.localeCompare(b))),
    lifecycle: events,
    memory_mib: { first_third: Math.round(early), last_third: Math.round(late) },
    problems: problems.slice(0, 20),
  };
  console.log(JSON.stringify(result, null, values.json ? undefined : 2));
}

function createSet() {
  const bits = Buffer.alloc(32);
  let count = 0;
  return {
    add(id) {
      count++;
      const hash = createHash("sha256").update(id).digest();
      for (let at = 0; at < bits.length; at++) bits[at] ^= hash[at];
    },
    digest: () => bits.toString("hex"),
    get count() {
      return count;
    },
  };
}

function pick(random) {
  let left = random * PLUGINS.reduce((sum, { weight }) => sum + weight, 0);
  return PLUGINS.find(({ weight }) => (left -= weight) < 0) ?? PLUGINS[0];
}

/** The same calls each time; when they happen is the machine's. */
function seeded(seed) {
  let state = seed * 2654435761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 12)) >>> 0) / 2 ** 32;
  };
}
