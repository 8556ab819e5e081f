import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../broker/support.ts";
import { engine } from "../isolation/support.ts";

const shipped = (name: string): string => fileURLToPath(new URL(`../../native/${name}`, import.meta.url));
const forward = engine.forward ?? "";

describe("the forwarder", () => {
  it.each(["x64", "arm64"])("shipped for %s was built from the source that is here", (arch) => {
    const source = createHash("sha256")
      .update(readFileSync(shipped("forward.c")))
      .digest("hex");
    const binary = readFileSync(shipped(`prebuilt/linux-${arch}/forward`));
    expect(binary.includes(`sallyport-forward-source:${source}`)).toBe(true);
    const digest = createHash("sha256").update(binary).digest("hex");
    expect(readFileSync(shipped(`prebuilt/linux-${arch}/forward.sha256`), "utf8")).toBe(`${digest}\n`);
    expect(statSync(shipped(`prebuilt/linux-${arch}/forward`)).mode & 0o111).toBe(0o111);
  });

  it.each([
    [[]],
    [["3128", "/x"]],
    [["0", "/x", "/bin/true"]],
    [["65536", "/x", "/bin/true"]],
    [["31x8", "/x", "/bin/true"]],
    [["", "/x", "/bin/true"]],
    [["3128", `/${"x".repeat(108)}`, "/bin/true"]],
  ])("refuses the arguments %j and starts nothing", (args) => {
    const { status, stderr } = spawnSync(forward, args, { encoding: "utf8" });
    expect([status, stderr]).toEqual([121, expect.stringMatching(/^sallyport-forward: \S/)]);
  });

  it("carries megabytes both ways, ends where they end, and serves many at once", async () => {
    const { path, remove } = await temporaryDirectory();
    const socket = join(path, "proxy");
    const server = createServer({ allowHalfOpen: true }, (peer) => peer.on("error", () => undefined).pipe(peer));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const port = await freePort();
    const child = spawn(forward, [String(port), socket, "/bin/cat"], {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    try {
      child.stdin.write("x");
      await new Promise((resolve) => child.stdout.once("data", resolve));
      const bytes = Buffer.alloc(3_000_000, "0123456789abcdef");
      const echoed = await Promise.all(
        Array.from({ length: 40 }, (_, index) => echo(port, bytes.subarray(0, index < 2 ? bytes.length : 1000))),
      );
      expect(echoed.map((answer) => answer.length)).toEqual([
        bytes.length,
        bytes.length,
        ...Array.from({ length: 38 }, () => 1000),
      ]);
      expect(echoed[0]?.equals(bytes)).toBe(true);
    } finally {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      server.close();
      await remove();
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

function echo(port: number, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const socket = connect(port, "127.0.0.1", () => socket.end(bytes));
    socket
      .on("data", (part) => parts.push(part))
      .on("error", reject)
      .on("close", () => resolve(Buffer.concat(parts)));
  });
}
