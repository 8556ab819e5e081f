/**
 * The audit: durable events a second, one durable record against one fsync of the same run, the cost of a note, verify.
 * Needs a build. Run: node bench/audit.mjs [events]
 */
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeEvent, openAuditLog } from "../packages/host/dist/audit/index.js";
import { newId, systemClock } from "../packages/host/dist/kernel/index.js";
import { loadOrCreateSigningKey, openDatabase } from "../packages/host/dist/store/index.js";

const EVENTS = Number(process.argv[2] ?? 60_000);
const ROUNDS = 5;

const home = mkdtempSync(join(tmpdir(), "sallyport-bench-"));
try {
  await run(home);
} finally {
  rmSync(home, { recursive: true, force: true });
}

async function run(directory) {
  const database = await openDatabase({ path: join(directory, "state.db"), clock: systemClock });
  const signingKey = await loadOrCreateSigningKey(join(directory, "audit.pem"));
  const audit = await openAuditLog({ database, clock: systemClock, signingKey });
  console.log(`an event has ${encodeEvent(event()).length} bytes; ${ROUNDS} rounds, median (lowest to highest)`);

  // The two take turns, so that a busy moment of the machine hits both.
  const rounds = await repeat(async () => {
    const fsync = median(await timeEach(300, fsyncTurns(directory)));
    const record = median(await timeEach(300, () => audit.record(event())));
    return { fsync, record, over: record - fsync };
  });
  print(
    "fsync of 8 KiB, after a turn of the loop",
    rounds.map((round) => round.fsync),
    "µs",
  );
  print(
    "one record, alone",
    rounds.map((round) => round.record),
    "µs",
  );
  print(
    "  over the fsync of its round (budget 100)",
    rounds.map((round) => round.over),
    "µs",
  );

  const throughput = await repeat(() => events(64, EVENTS, () => audit.record(event())));
  print("64 writers (budget 80,000)", throughput, "events/s");

  const notes = await repeat(async () => {
    const ready = Array.from({ length: 10_000 }, event);
    const start = performance.now();
    for (const one of ready) audit.note(one);
    // Notes are encoded when the loop is idle, or here: both count.
    const flushed = audit.flush();
    const each = ((performance.now() - start) * 1000) / ready.length;
    await flushed;
    return each;
  });
  print("a note, on the caller's thread (budget 2)", notes, "µs");

  let start = performance.now();
  await audit.query({ call: "none" });
  console.log(`first query, after the index caught up: ${(performance.now() - start).toFixed(0)} ms`);

  const verified = await repeat(async () => {
    start = performance.now();
    const verification = await audit.verify();
    if (!verification.ok) throw new Error("The chain does not verify.");
    return (verification.events * 1000) / (performance.now() - start);
  });
  print("verify (budget 500,000)", verified, "events/s");
  await audit.close();
  await database.close();
}

function event() {
  return {
    v: 1,
    id: newId("evt"),
    time: Date.now(),
    type: "plugin_tool.invoked",
    actor: "agent:local",
    agent: "local",
    plugin: { id: "weather", version: "1.2.0", digest: `sha256:${"a".repeat(64)}` },
    tool: "weather__forecast",
    call_id: newId("call"),
    phase: "intent",
    decision: "allow",
    rule: "default:read",
    policy_snapshot: `sha256:${"b".repeat(64)}`,
    isolation: "namespace",
    contained: true,
    input_digest: `sha256:${"c".repeat(64)}`,
  };
}

/** Events a second of so many writers, each with one record on its way. */
async function events(writers, count, write) {
  let left = count;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (left-- > 0) await write();
    }),
  );
  return (count * 1000) / (performance.now() - start);
}

/** Overwrites and syncs a file that has its size already; as the store's log does. */
function fsyncTurns(directory) {
  const page = Buffer.alloc(8192, 1);
  const fd = openSync(join(directory, "fsync"), "w");
  for (let index = 0; index < 512; index++) writeSync(fd, page);
  fsyncSync(fd);
  let turn = 0;
  return async () => {
    writeSync(fd, page, 0, page.length, (turn++ % 512) * page.length);
    fsyncSync(fd);
    if (turn === 300) closeSync(fd);
    await new Promise((resolve) => setImmediate(resolve));
  };
}

async function timeEach(count, work) {
  const times = [];
  for (let index = 0; index < count; index++) {
    const start = performance.now();
    await work();
    times.push((performance.now() - start) * 1000);
  }
  return times;
}

async function repeat(work) {
  await work();
  const results = [];
  for (let round = 0; round < ROUNDS; round++) results.push(await work());
  return results;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function show(value) {
  return value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(value < 10 ? 2 : 0);
}

function print(what, values, unit) {
  console.log(
    `${what}: ${show(median(values))} ${unit} (${show(Math.min(...values))} to ${show(Math.max(...values))})`,
  );
}
