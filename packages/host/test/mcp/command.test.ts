import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client as ClientV2 } from "@modelcontextprotocol/client";
import { StdioClientTransport as StdioV2 } from "@modelcontextprotocol/client/stdio";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as StdioV1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { serveOwner, type Owner } from "../../src/cli/index.ts";
import { createHome } from "../../src/home/index.ts";
import { type FakeHost, fakeHost, tool } from "./fake-host.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const INFO = { name: "test", version: "1" };
let root: string;
let home: string;
let fake: FakeHost;
let owner: Owner;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sallyport-mcp-"));
  home = (await createHome(join(root, "home"), "plugins: {}\n")).path;
  fake = fakeHost([tool("demo__echo")]);
  owner = await serveOwner(fake.host, {
    home,
    env: {},
    version: "0.0.0-test",
    background: false,
    idleMs: 60_000,
    onDefect: () => undefined,
  });
});
afterAll(async () => {
  await owner.stop();
  await rm(root, { recursive: true, force: true });
});

const args = (...more: string[]) => [MAIN, "mcp", "--home", home, ...more];
const env = { PATH: process.env.PATH ?? "", HOME: "/nonexistent" };

it("gives any stdio client the session of the agent that the operator named", async () => {
  const v2 = new ClientV2(INFO, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
  await v2.connect(new StdioV2({ command: process.execPath, args: args("--agent", "research"), env }));
  expect((await v2.listTools()).tools.map(({ name }) => name)).toEqual(["demo__echo"]);
  await v2.callTool({ name: "demo__echo", arguments: { text: "x" } });
  expect(fake.invocations.at(-1)?.caller).toEqual({ kind: "agent", agent: "research" });
  await v2.close();

  const v1 = new ClientV1(INFO);
  await v1.connect(new StdioV1({ command: process.execPath, args: args(), env }));
  await v1.callTool({ name: "demo__echo", arguments: { text: "x" } });
  expect(fake.invocations.at(-1)?.caller).toEqual({ kind: "agent", agent: "local" });
  await v1.close();
});

it("prints the session's lines on standard output and nothing else, and ends with its input", async () => {
  const child = spawn(process.execPath, args(), { env, stdio: ["pipe", "pipe", "pipe"] });
  const lines = createInterface({ input: child.stdout });
  child.stdin.write("nonsense\n");
  const [line] = (await once(lines, "line")) as [string];
  expect(JSON.parse(line)).toMatchObject({ error: { code: -32_700 } });
  const ended = once(child, "close");
  child.stdin.end();
  expect(await ended).toEqual([0, null]);
});

it("ends when the owner of the home ends the session", async () => {
  const child = spawn(process.execPath, args(), { env, stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => {});
  const ended = once(child, "close");
  child.stdin.write("x".repeat(5 * 1024 * 1024));
  expect((await ended)[0]).toBe(0);
});

it("fails on standard error, with nothing on standard output, when there is no home", async () => {
  const child = spawn(process.execPath, [MAIN, "mcp", "--home", join(root, "none")], {
    env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  const [code] = (await once(child, "close")) as [number];
  expect(code).toBe(1);
  expect(out).toBe("");
});

it("refuses an agent's name that is none", async () => {
  const child = spawn(process.execPath, args("--agent", "../operator"), { env, stdio: ["pipe", "pipe", "pipe"] });
  const [code] = (await once(child, "close")) as [number];
  expect(code).not.toBe(0);
});
