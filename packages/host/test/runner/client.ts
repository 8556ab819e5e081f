import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { afterAll } from "vitest";
import { NOTIFICATION_SCHEMAS, REQUEST_SCHEMAS } from "../../../sdk/src/protocol/v1/index.ts";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
// @ts-expect-error -- a script without types
import { buildRunner } from "../../scripts/build-runner.mjs";

/** Whatever comes over the wire: a test looks into it freely. */
// oxlint-disable-next-line no-explicit-any
export type Message = Record<string, any>;

const require = createRequire(import.meta.url);
const DENO = join(require.resolve("@deno/linux-x64-glibc/package.json"), "..", "deno");

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false });
const compiled = new Map<object, ValidateFunction>();

/** Why a line of the runner is not what the published schemas say, or nothing. */
function problemOf(message: Message, asked: string | undefined): string | undefined {
  const requests: Message = REQUEST_SCHEMAS;
  const notifications: Message = NOTIFICATION_SCHEMAS;
  const [schema, value] =
    message.method === undefined
      ? [requests[asked ?? ""]?.result, message.result]
      : [message.id === undefined ? notifications[message.method] : requests[message.method]?.params, message.params];
  if (message.jsonrpc !== "2.0" || !schema) return `unknown: ${JSON.stringify(message)}`;
  if (message.error)
    return typeof message.error.code === "number" && typeof message.error.message === "string"
      ? undefined
      : "a malformed error";
  const validate = compiled.get(schema) ?? ajv.compile(schema);
  compiled.set(schema, validate);
  return validate(value) ? undefined : `${asked ?? message.method}: ${ajv.errorsText(validate.errors)}`;
}

export interface Client {
  readonly child: ChildProcess;
  readonly lines: Message[];
  readonly stderr: () => string;
  /** Whether every line of the runner must match the published schemas; a plugin that breaks the globals breaks its lines. */
  checked: boolean;
  /** What the fake host answers to requests of the plugin. Throw `{code, message}` to refuse. */
  answers: Record<string, (params: Message) => unknown>;
  raw(text: string): void;
  request(method: string, params: unknown): Promise<Message>;
  notify(method: string, params: unknown): void;
  hello(): Promise<Message>;
  bind(tools: readonly string[], extra?: Message): Promise<Message>;
  call(tool: string, input?: unknown, extra?: Message): Promise<Message>;
  /** Resolves with the first line that matches, come or to come. */
  line(matches: (message: Message) => boolean): Promise<Message>;
  logs(): string[];
  exited: Promise<number | null>;
  close(): Promise<void>;
}

let runner: Promise<string> | undefined;

const builds = mkdtempSync(join(tmpdir(), "runner-"));
afterAll(() => rmSync(builds, { recursive: true, force: true }));

/* Built once for each test file, from the sources as they are. */
const built = (): Promise<string> => (runner ??= buildRunner(join(builds, "runner.mjs")));

/** Starts the real runner in the real engine, with `source` as the plugin's bundle, and speaks the wire to it. */
export async function startRunner(source: string): Promise<Client> {
  const dir = mkdtempSync(join(tmpdir(), "plugin-"));
  const bundle = join(dir, "bundle.mjs");
  writeFileSync(bundle, source);
  const flags = [
    "--no-prompt",
    "--no-config",
    "--no-lock",
    "--no-npm",
    "--no-remote",
    "--cached-only",
    `--allow-read=${dir}`,
  ];
  const child = spawn(DENO, ["run", ...flags, await built()], {
    env: { DENO_DIR: join(dir, "cache"), DENO_NO_UPDATE_CHECK: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const lines: Message[] = [];
  const watchers = new Set<(message: Message) => void>();
  const problems: string[] = [];
  const asked = new Map<number, string>();
  const pending = new Map<number, (message: Message) => void>();
  let stderr = "";
  let lastId = 0;
  let lastCall = 0;
  child.stderr.on("data", (data) => (stderr += data));
  child.stdin.on("error", () => undefined);
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  const send = (message: unknown): void => void child.stdin.write(`${JSON.stringify(message)}\n`);

  const serve = async (message: Message): Promise<void> => {
    try {
      const answer = client.answers[message.method];
      if (!answer) throw { code: "permission_denied", message: `no grant for ${message.method}` };
      send({ jsonrpc: "2.0", id: message.id, result: await answer(message.params) });
    } catch (refusal) {
      const { code, message: text, fix } = refusal as Message;
      send({ jsonrpc: "2.0", id: message.id, error: { code: -32001, message: text, data: { code, fix } } });
    }
  };
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", (text) => {
    const message: Message = JSON.parse(text);
    lines.push(message);
    const problem = problemOf(message, asked.get(message.id));
    if (problem !== undefined && message.error?.code !== -32601) problems.push(problem);
    for (const watcher of watchers) watcher(message);
    if (message.method === undefined) pending.get(message.id)?.(message);
    else if (message.id !== undefined) void serve(message);
  });

  const client: Client = {
    child,
    lines,
    exited,
    stderr: () => stderr,
    checked: true,
    answers: {},
    raw: (text) => void child.stdin.write(text),
    request(method, params) {
      const id = ++lastId;
      asked.set(id, method);
      send({ jsonrpc: "2.0", id, method, params });
      return new Promise((resolve) => {
        pending.set(id, resolve);
        void exited.then((exit) => resolve({ died: exit, stderr }));
      });
    },
    notify: (method, params) => send({ jsonrpc: "2.0", method, params }),
    hello: () =>
      client.request("hello", {
        protocols: [1],
        token: randomBytes(32).toString("hex"),
        nonce: randomBytes(16).toString("hex"),
      }),
    async bind(tools, extra = {}) {
      await client.hello();
      const plugin = { id: "probe", version: "1.0.0", digest: "sha256:0" };
      return client.request("bind", {
        plugin,
        bundle: pathToFileURL(bundle).href,
        config: {},
        scopes: [],
        tools,
        secrets: {},
        ...extra,
      });
    },
    call: (tool, input = {}, extra = {}) =>
      client.request("call", {
        call_id: `call_${++lastCall}`,
        tool,
        input,
        timeout_ms: 5000,
        agent: "tester",
        ...extra,
      }),
    line(matches) {
      const found = lines.find(matches);
      if (found) return Promise.resolve(found);
      return new Promise((resolve, reject) => {
        const watcher = (message: Message): void => {
          if (!matches(message)) return;
          watchers.delete(watcher);
          resolve(message);
        };
        watchers.add(watcher);
        void exited.then((exit) => reject(new Error(`the runner ended with ${exit}: ${stderr}`)));
      });
    },
    logs: () =>
      lines.filter((line) => line.method === "log").map((line) => `${line.params.level}: ${line.params.message}`),
    async close() {
      if (child.exitCode === null) child.kill("SIGKILL");
      await exited;
      rmSync(dir, { recursive: true, force: true });
      if (client.checked && problems.length > 0)
        throw new Error(`Lines that the schemas of protocol v1 refuse:\n${problems.join("\n")}`);
    },
  };
  return client;
}

export function macOf(token: string, hostNonce: string, runnerNonce: string): string {
  return createHmac("sha256", Buffer.from(token, "hex"))
    .update(`sallyport-handshake-v1\n1\n${hostNonce}\n${runnerNonce}`)
    .digest("hex");
}
