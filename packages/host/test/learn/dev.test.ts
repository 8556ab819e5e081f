import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runCommand } from "../support/command.ts";
import { MAIN } from "../support/process.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sallyport-record-"));
});
afterEach(() => rm(root, { recursive: true }));

it("plugin dev --record says at the end what was used and refused, over all rounds, and grants nothing of it", async () => {
  const dir = join(root, "plugin");
  await runCommand(["plugin", "new", dir, "--id", "my-plugin"]);
  const source = join(dir, "src", "plugin.ts");
  const starting = (path: string) => `export default {
    async initialize() { await fetch("https://api.example.com/v1/${path}").catch((error) => console.log(error.code)); return true; },
    tools: { greet: () => ({ text: "" }) },
  };`;
  await writeFile(source, starting("one"));
  const file = join(root, "record.json");
  const child = spawn(process.execPath, [MAIN, "plugin", "dev", dir, "--runtime", "--json", "--record", file], {
    env: { PATH: process.env["PATH"], HOME: root, TMPDIR: root },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  const exited = once(child, "exit");
  const round = async () => {
    expect(await next()).toMatchObject({ log: { message: "permission_denied" } });
    expect(await next()).toMatchObject({ success: true, plugin: { state: "running" } });
  };
  try {
    await round();
    await writeFile(source, starting("two"));
    await round();
  } finally {
    child.kill("SIGTERM");
  }
  const { learned } = await next();
  expect((await exited)[0]).toBe(0);
  expect(learned).toMatchObject({
    plugin: { id: "my-plugin" },
    calls: 0,
    confidence: "none",
    manifest: { network: [{ host: "api.example.com", methods: ["GET"], paths: ["/v1/one", "/v1/two"] }] },
    refused: [{ included: true }, { included: true }],
  });
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(learned);
});
