import { readdirSync, readFileSync } from "node:fs";
import type { CodeCaches, ControlGroups } from "../../src/isolation/index.ts";
import { createLauncher, type SupervisorLimits } from "../../src/supervisor/index.ts";
import type {
  BrokerSession,
  CallContext,
  LaunchPlan,
  Launcher,
  PluginProcess,
  ToolCall,
} from "../../src/supervisor/index.ts";
import {
  engine,
  hostIsRoot,
  namespaceAvailable,
  namespaceNote,
  landlockAvailable,
  landlockNote,
  probe,
  publicDir,
  runtimeAvailable,
  testEngine,
} from "../isolation/support.ts";

export { hostIsRoot, namespaceAvailable, namespaceNote, probe, publicDir };

/** All levels; a suite of one that is missing here is skipped, and says why. */
export const LEVELS = [
  { level: "namespace", available: namespaceAvailable, note: namespaceNote },
  { level: "landlock", available: landlockAvailable, note: landlockNote },
  { level: "runtime", available: runtimeAvailable, note: runtimeAvailable ? "" : " (skipped: not available)" },
] as const;
/** For tests that are about the supervisor and not the walls: the strongest level that is here. */
export const anyLevel = namespaceAvailable ? "namespace" : "runtime";

export const NEVER = new AbortController().signal;
export const DONE = Promise.resolve();

export interface FakeBroker extends BrokerSession {
  requests: { method: string; params: unknown; context: CallContext | null; signal: AbortSignal }[];
  notes: { method: string; params: unknown; context: CallContext | null }[];
  ended: string[];
  closed: boolean;
  /** What `handle` answers. */
  answer: (method: string, params: unknown, context: CallContext | null, signal: AbortSignal) => Promise<unknown>;
}

export function fakeBroker(): FakeBroker {
  const broker: FakeBroker = {
    requests: [],
    notes: [],
    ended: [],
    closed: false,
    answer: () => Promise.resolve({}),
    handle(method, params, context, signal) {
      broker.requests.push({ method, params, context, signal });
      return broker.answer(method, params, context, signal);
    },
    notify: (method, params, context) => void broker.notes.push({ method, params, context }),
    endCall: (callId) => void broker.ended.push(callId),
    close: () => void (broker.closed = true),
  };
  return broker;
}

export interface Lab {
  readonly path: string;
  readonly broker: FakeBroker;
  readonly processes: PluginProcess[];
  launcher(limits?: Partial<SupervisorLimits>): Launcher;
  /** Starts a bundle with the real runner. */
  start(source: string, options?: StartOptions): Promise<PluginProcess>;
  /** Starts a program that speaks the wire as it likes, instead of the runner. */
  startRaw(source: string, options?: StartOptions): Promise<PluginProcess>;
  /** Kills what a test left, and removes the files. */
  close(): Promise<void>;
}

export interface StartOptions extends Partial<LaunchPlan> {
  tools?: readonly string[];
  config?: Readonly<Record<string, unknown>>;
  bounds?: Partial<SupervisorLimits>;
  /** Instead of what the probe found; null: as on a machine where the kernel makes no groups for us. */
  groups?: ControlGroups | null;
  codeCaches?: CodeCaches;
  /** The plugin's tree digest. */
  digest?: string;
  signal?: AbortSignal;
}

/** Speaks the wire by hand; `greet` answers the handshake as the real runner does. */
export const WIRE = `
const bytes = new TextEncoder();
const send = (message) => {
  const data = bytes.encode(typeof message === "string" ? message : JSON.stringify(message) + "\\n");
  for (let at = 0; at < data.length;) at += Deno.stdout.writeSync(data.subarray(at));
};
const answer = (id, result) => send({ jsonrpc: "2.0", id, result });
const note = (method, params) => send({ jsonrpc: "2.0", method, params });
const hex = (data) => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => new Uint8Array(text.match(/../g).map((pair) => parseInt(pair, 16)));
async function proof({ token, nonce }) {
  const own = hex(crypto.getRandomValues(new Uint8Array(16)));
  const key = await crypto.subtle.importKey("raw", unhex(token), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const mac = await crypto.subtle.sign("HMAC", key, bytes.encode("sallyport-handshake-v1\\n1\\n" + nonce + "\\n" + own));
  return { protocol: 1, token, nonce: own, mac: hex(new Uint8Array(mac)) };
}
async function* messages() {
  let text = "";
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\\n"); end !== -1; end = text.indexOf("\\n")) {
      yield JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
    }
  }
}
/** Does everything right up to the first call, then hands each message over. */
async function behave(onMessage) {
  for await (const message of messages()) {
    if (message.method === "hello") answer(message.id, await proof(message.params));
    else if (message.method === "bind") answer(message.id, { tools: message.params.tools, hooks: [] });
    else if (message.method === "initialize") answer(message.id, { ok: true });
    else if (message.method === "ping") answer(message.id, {});
    else await onMessage(message);
  }
}
`;

export interface LabOptions {
  /** As an operator who lets plugins run in the host's process. */
  readonly allowInProcess?: boolean;
}

export async function createLab({ allowInProcess = false }: LabOptions = {}): Promise<Lab> {
  const dir = publicDir();
  const { runner } = await testEngine(dir);
  const broker = fakeBroker();
  const processes: PluginProcess[] = [];
  let count = 0;

  const makeLauncher = (
    limits: Partial<SupervisorLimits> = {},
    main = runner,
    found = probe,
    codeCaches?: CodeCaches,
  ): Launcher =>
    createLauncher({
      engine: { ...engine, runner: main },
      probe: found,
      hostIsRoot,
      limits,
      allowInProcess: () => allowInProcess,
      ...(codeCaches && { codeCaches }),
    });

  const launch = async (main: string, source: string, options: StartOptions): Promise<PluginProcess> => {
    const { tools = ["echo"], config = {}, bounds, signal, groups, codeCaches, digest, ...plan } = options;
    const name = `plugin${count++}`;
    dir.write(`${name}/plugin.js`, source);
    const process = await makeLauncher(
      bounds,
      main,
      { ...probe, ...(groups === undefined ? {} : { groups }) },
      codeCaches,
    ).launch(
      {
        view: {
          ref: { id: "lab", version: "1.0.0", digest: digest ?? `sha256:${"0".repeat(64)}` },
          tools,
          scopes: [],
          config,
          secrets: {},
        },
        level: anyLevel,
        root: `${dir.path}/${name}`,
        bundle: "plugin.js",
        limits: { memoryMb: 128, concurrency: 4 },
        broker,
        ...plan,
      },
      signal,
    );
    processes.push(process);
    return process;
  };
  return {
    path: dir.path,
    broker,
    processes,
    launcher: makeLauncher,
    start: (source, options = {}) => launch(runner, source, options),
    startRaw: (source, options = {}) => launch(dir.write(`raw${count}.mjs`, WIRE + source), "", options),
    async close() {
      await Promise.all(processes.map((process) => process.kill("the test is over")));
      dir.remove();
    },
  };
}

let calls = 0;

export function toolCall(tool: string, input: unknown = {}, more: Partial<ToolCall> = {}): ToolCall {
  return {
    callId: `call_${calls++}`,
    agent: "local",
    tool,
    input,
    timeoutMs: 20_000,
    intent: DONE,
    signal: NEVER,
    ...more,
  };
}

/** Pids of living processes whose arguments mention a text: the sandbox's arguments name the plugin's directory. */
export function processesMentioning(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text) && !isZombie(pid);
      } catch {
        return false;
      }
    });
}

function isZombie(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}

/** Looks again until something holds; fails after a bounded number of looks. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let look = 0; look < 1000; look++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never happened: ${what}`);
}
