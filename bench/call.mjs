/**
 * The echo call: `invoke()` through every gate to a sandboxed plugin, against the official MCP SDK (1.x) stdio client and
 * server doing the same unsandboxed with no checks, and against a raw pipe. Also the whole way: MCP client → `sallyport mcp`
 * → owner → plugin. Usage: npm run bench -- call [--quick]
 */
import { spawn } from "node:child_process";
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { MAIN, makeHome, openWithEcho } from "./home.mjs";
import { latency, rounds, show, summary, throughput } from "./measure.mjs";

const quick = process.argv.includes("--quick");
const ROUNDS = quick ? 3 : 9;
const CALLS = quick ? 1000 : 4000;
const AGENT = { kind: "agent", agent: "local" };
const TEXT = "x".repeat(100);
const peerFile = (name) => fileURLToPath(new URL(`./peers/${name}`, import.meta.url));

async function mcpClient(command, args) {
  const client = new Client({ name: "bench", version: "1.0.0" });
  await client.connect(new StdioClientTransport({ command, args, stderr: "inherit" }));
  return client;
}

function pipeEcho() {
  const child = spawn(process.execPath, [peerFile("pipe-server.mjs")], { stdio: ["pipe", "pipe", "inherit"] });
  const waiting = new Map();
  let rest = "";
  let next = 0;
  child.stdout.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const { id } = JSON.parse(line);
      waiting.get(id)();
      waiting.delete(id);
    }
  });
  return {
    call: () =>
      new Promise((resolve) => {
        const id = next++;
        waiting.set(id, resolve);
        child.stdin.write(`${JSON.stringify({ id, text: TEXT })}\n`);
      }),
    close: () => child.kill(),
  };
}

/** One write of a page and its fsync in the same folder as the store: what a durable event cannot be cheaper than. */
function fsyncCost(folder) {
  const file = join(folder, "fsync.probe");
  const fd = openSync(file, "w");
  const page = Buffer.alloc(4096);
  return {
    call: async () => {
      writeSync(fd, page, 0, page.length, 0);
      fsyncSync(fd);
    },
    close: () => {
      closeSync(fd);
      rmSync(file);
    },
  };
}

const home = await makeHome();
const host = await openWithEcho(home.path);
const invoke = async (tool) => {
  const answer = await host.invoke(AGENT, { tool, input: { text: TEXT } });
  if (!answer.success) throw new Error(`${answer.code}: ${answer.error}`);
};
const pipe = pipeEcho();
const peer = await mcpClient(process.execPath, [peerFile("mcp-server.mjs")]);
const fsync = fsyncCost(home.path);
const subjects = {
  pipe: pipe.call,
  peer: () => peer.callTool({ name: "echo", arguments: { text: TEXT } }),
  read: () => invoke("echo__echo"),
  write: () => invoke("echo__note"),
  fsync: fsync.call,
};

for (const call of Object.values(subjects)) await throughput(call, CALLS, 8);
const single = await rounds(subjects, ROUNDS, (call) => latency(call, CALLS / 2));
const { fsync: _none, ...parallel } = subjects;
const many = await rounds(parallel, ROUNDS, (call) => throughput(call, CALLS * 2, 32));
const column = (name, key) => single[name].map((round) => round[key]);

console.log(`echo of ${TEXT.length} bytes, ${ROUNDS} rounds; median (lowest–highest round)`);
console.log("one call at a time, p50");
show("raw pipe", column("pipe", "p50"), "µs", column("peer", "p50"));
show("peer: MCP SDK client and server", column("peer", "p50"), "µs");
show("invoke(), read, sandboxed", column("read", "p50"), "µs", column("peer", "p50"));
show("one fsync", column("fsync", "p50"), "µs");
show("invoke(), write, intent durable", column("write", "p50"), "µs", column("peer", "p50"));
console.log(
  `  write minus fsync: ${(summary(column("write", "p50")).median - summary(column("fsync", "p50")).median).toFixed(0)} µs`,
);
console.log("one call at a time, p99");
show("peer: MCP SDK client and server", column("peer", "p99"), "µs");
show("invoke(), read, sandboxed", column("read", "p99"), "µs", column("peer", "p99"));
console.log("32 calls in flight");
show("raw pipe", many.pipe, "calls/s", many.peer);
show("peer: MCP SDK client and server", many.peer, "calls/s");
show("invoke(), read, sandboxed", many.read, "calls/s", many.peer);
show("invoke(), write, intent durable", many.write, "calls/s", many.peer);

pipe.close();
fsync.close();
await host.close();

const whole = await mcpClient(process.execPath, [MAIN, "mcp", "--home", home.path]);
const way = { peer: subjects.peer, whole: () => whole.callTool({ name: "echo__echo", arguments: { text: TEXT } }) };
for (const call of Object.values(way)) await throughput(call, CALLS, 8);
const wholeSingle = await rounds(way, ROUNDS, (call) => latency(call, CALLS / 2));
const wholeMany = await rounds(way, ROUNDS, (call) => throughput(call, CALLS, 32));
console.log("the whole way: MCP client → sallyport mcp → owner → plugin");
show(
  "peer, p50",
  wholeSingle.peer.map((round) => round.p50),
  "µs",
);
show(
  "whole way, p50",
  wholeSingle.whole.map((round) => round.p50),
  "µs",
  wholeSingle.peer.map((round) => round.p50),
);
show("peer, 32 in flight", wholeMany.peer, "calls/s");
show("whole way, 32 in flight", wholeMany.whole, "calls/s", wholeMany.peer);
await whole.close();
await peer.close();
await home.remove();
