import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { type Owner, run, serveOwner } from "../../src/cli/index.ts";
import { createHome } from "../../src/home/index.ts";
import { createFakeHost, type FakeHost } from "./fake-host.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A home served by a stand-in host in this process, and the command run against it over the real socket. */
export interface CommandWorld {
  readonly home: string;
  readonly host: FakeHost;
  readonly owner: Owner;
  sallyport(args: readonly string[], options?: { stdin?: string; env?: NodeJS.ProcessEnv }): Promise<Ran>;
  json(
    args: readonly string[],
    options?: { stdin?: string; env?: NodeJS.ProcessEnv },
  ): Promise<{ code: number; answer: unknown }>;
  close(): Promise<void>;
}

export async function openCommandWorld(): Promise<CommandWorld> {
  const root = await mkdtemp(join(tmpdir(), "sallyport-cli-"));
  const { path: home } = await createHome(join(root, "home"), "plugins: {}\n");
  const host = await createFakeHost();
  const owner = await serveOwner(host, {
    home,
    env: {},
    version: "0.0.0-test",
    background: false,
    idleMs: 60_000,
    onDefect: () => undefined,
  });
  const sallyport: CommandWorld["sallyport"] = (args, options = {}) => runCommand(["--home", home, ...args], options);
  return {
    home,
    host,
    owner,
    sallyport,
    async json(args, options) {
      const { code, out } = await sallyport([...args, "--json"], options);
      return { code, answer: JSON.parse(out) };
    },
    async close() {
      await owner.stop();
      await rm(root, { recursive: true });
    },
  };
}

export async function runCommand(
  args: readonly string[],
  options: { stdin?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  const stdout = collector();
  const stderr = collector();
  const code = await run(
    args,
    {
      env: options.env ?? {},
      stdin: Readable.from(options.stdin === undefined ? [] : [Buffer.from(options.stdin)]),
      stdout: stdout.stream,
      stderr: stderr.stream,
      now: () => Date.parse("2030-01-01T00:00:00Z"),
    },
    "0.0.0-test",
  );
  return { code, out: stdout.text(), err: stderr.text() };
}

function collector(): { stream: PassThrough; text: () => string } {
  const stream = new PassThrough();
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  return { stream, text: () => text };
}
