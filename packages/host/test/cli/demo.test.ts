import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

let temporary: string;

beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), "sallyport-demo-test-"));
});
afterEach(() => rm(temporary, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: temporary },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output };
}

describe("sallyport demo", () => {
  it("says what it needs where its plugins are not", async () => {
    const { code, output } = await run("demo", "--once", "--plugins", temporary);
    expect(output).toMatch(/The plugins of the demo are not here[^]*repository/);
    expect(code).not.toBe(0);
    expect(await readdir(temporary)).toEqual([]);
  });

  it("keeps every promise of its transcript and leaves nothing behind [S3-96]", { timeout: 400_000 }, async () => {
    const { code, output } = await run("demo", "--once");
    expect(output).not.toContain("✘");
    expect(code, output).toBe(0);
    expect(output).toMatch(/data-processor__transform \[1,2,3,4,5\] × 2 → .*2,4,6,8,10/);
    expect(output).toMatch(
      /✔ the agent calls echo__note "hello" → approval_required[^]*✔ the agent calls again → .*"kept":1/,
    );
    for (const attack of [
      "file-theft",
      "environment-theft",
      "network-exfiltration",
      "undeclared-tool",
      "forged-handshake",
    ]) {
      expect(output).toMatch(new RegExp(`✔ ${attack} .*contained`));
    }
    expect(output).toMatch(/the chain of \d+ events verifies/);
    expect(output).toContain('"mcpServers"');
    expect(await readdir(temporary)).toEqual([]);
  });
});
