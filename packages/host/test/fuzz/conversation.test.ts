import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrokerAction, type BrokerLogLine, createBroker } from "../../src/broker/index.ts";
import { networkScope, type Scope } from "../../src/capability/index.ts";
import type { SandboxedProcess, SandboxExit } from "../../src/isolation/index.ts";
import { isErrorCode } from "../../src/kernel/index.ts";
import { createRedactor } from "../../src/secrets/index.ts";
import type { LaunchPlan } from "../../src/supervisor/index.ts";
import { SUPERVISOR_LIMITS } from "../../src/supervisor/limits.ts";
import { supervise } from "../../src/supervisor/process.ts";
import { memoryKv } from "../broker/support.ts";
import { createManualTime } from "../rpc/support.ts";
import { type Count, feed, tally } from "./campaign.ts";
import { type Ids, render, type Template } from "./lines.ts";
import { anyProtocolLine, CANARY, GRANTED } from "./requests.ts";

/** A plugin's place on disk: what it was granted, and next to it what it was not. */
interface Place {
  readonly root: string;
  readonly data: string;
  readonly shared: string;
  /** A session has changed what it was granted to change; the next one begins anew, so that each can be replayed alone. */
  dirty: boolean;
}
let place: Place;
beforeAll(async () => {
  const root = await realpath(await mkdtemp(join(tmpdir(), "sallyport-fuzz-")));
  place = { root, data: join(root, "data"), shared: join(root, "shared"), dirty: false };
  for (const folder of ["data/open", "data/closed", "shared", "outside"])
    await mkdir(join(root, folder), { recursive: true });
  for (const file of ["secret", "data/closed/secret", "outside/secret"]) await writeFile(join(root, file), CANARY);
  await writeFile(join(place.shared, "ok"), "fine");
  for (const link of ["data/open/link", "shared/link"]) await symlink(join(root, "outside"), join(root, link));
});
async function clean(): Promise<void> {
  if (!place.dirty) return;
  // A request that was under way when the conversation ended may still make a file.
  await rm(join(place.data, "open"), { recursive: true, maxRetries: 10 });
  await mkdir(join(place.data, "open"));
  await symlink(join(place.root, "outside"), join(place.data, "open/link"));
  place.dirty = false;
}
afterAll(() => rm(place.root, { recursive: true, force: true }));

type Step =
  | { readonly do: "line"; readonly line: Template }
  | { readonly do: "call"; readonly agent: string; readonly timeout: number }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "turn" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("line" as const), line: anyProtocolLine }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("call" as const),
      agent: fc.constantFrom("a", "b"),
      timeout: fc.constantFrom(50, 5000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(1, 60, 1000) }) },
  { weight: 2, arbitrary: fc.constant({ do: "turn" as const }) },
);
const session = fc.record({
  greeted: fc.oneof({ weight: 15, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  steps: fc.array(step, { minLength: 10, maxLength: 50 }),
});

/** A process that exists only as its pipes. */
function fakeSandbox() {
  let end: (exit: SandboxExit) => void = () => undefined;
  const gone = new Promise<SandboxExit>((resolve) => (end = resolve));
  const written: string[] = [];
  const stdin = new Writable({
    decodeStrings: false,
    write: (chunk, _encoding, done) => (written.push(String(chunk)), done()),
  });
  const [stdout, stderr] = [new Readable({ read: () => undefined }), new Readable({ read: () => undefined })];
  let kills = 0;
  const kill = (): void => {
    kills++;
    end({ code: null, signal: "SIGKILL" });
  };
  const parts = { pid: 0, stdin, stdout, stderr, gone, kill, grouped: false, usage: () => Promise.resolve(null) };
  return { sandbox: parts as unknown as SandboxedProcess, stdout, written, kills: () => kills };
}

function scopes(): Scope[] {
  return [
    networkScope({ host: GRANTED.host, scheme: "http", methods: ["GET"], paths: ["/v1/**"] }),
    { capability: "filesystem", path: "${data}/open", mode: "rw" },
    { capability: "filesystem", path: place.shared, mode: "r" },
    { capability: "secrets", name: "KEY", use: { origin: `http://${GRANTED.host}`, in: "header:x-key", format: "{}" } },
    { capability: "system", facet: "hostname" },
    {
      capability: "exec",
      command: "/usr/bin/wc",
      args: ["-w"],
      file: { path: "/nonexistent/wc", sha256: "0".repeat(64) },
    },
  ];
}

async function play({ greeted, steps }: { greeted: boolean; steps: readonly Step[] }, count: Count): Promise<void> {
  await clean();
  const time = createManualTime();
  const actions: BrokerAction[] = [];
  const lines: BrokerLogLine[] = [];
  const reached: string[] = [];
  const broker = createBroker({
    home: "/nonexistent/home",
    secrets: {
      use: (name: string) =>
        name === "KEY" ? { value: GRANTED.secret, origins: [`http://${GRANTED.host}`], updatedAt: 0 } : undefined,
    },
    redactor: createRedactor(() => [{ name: "KEY", value: GRANTED.secret }]),
    kv: memoryKv(),
    clock: time.clock,
    onAction: (action) => actions.push(action),
    onLog: (said) => lines.push(said),
    ownAddresses: () => [],
    resolve: (host) => {
      reached.push(`name ${host}`);
      return Promise.resolve([GRANTED.address]);
    },
    dial: (address, port) => {
      reached.push(`address ${address}:${port}`);
      const socket = new Socket();
      setImmediate(() => socket.destroy(new Error("refused")));
      return socket;
    },
    forbiddenPaths: [join(place.root, "outside")],
  });
  const plugin = { id: "fuzz", version: "1.0.0", digest: "sha256:00" };
  const brokerSession = broker.session({
    plugin,
    declared: scopes(),
    granted: scopes(),
    space: "fuzz",
    dataDir: place.data,
    level: "namespace",
  });
  const { sandbox, stdout, written, kills } = fakeSandbox();
  const plan = {
    view: { ref: plugin, tools: ["t"], scopes: scopes(), config: {}, secrets: {} },
    level: "namespace",
    root: "/nonexistent",
    bundle: "plugin.js",
    limits: { memoryMb: 64, concurrency: 2 },
    broker: brokerSession,
  } as unknown as LaunchPlan;
  const process = supervise(sandbox, plan, { ...time, limits: SUPERVISOR_LIMITS });
  if (greeted) {
    process.greet();
    process.run();
  }
  const ends = new Map<string, string | null>();
  const inFlight = (): string | undefined => [...ends].find(([, end]) => end === null)?.[0];
  const call = (agent: string, timeoutMs: number): void => {
    const { signal } = new AbortController();
    const callId = `call-${ends.size + 1}`;
    const made = { callId, agent, tool: "t", intent: Promise.resolve(), input: {}, signal, timeoutMs };
    ends.set(callId, null);
    process.call(made).then(
      () => ends.set(callId, "ok"),
      (error: { code: string }) => ends.set(callId, error.code),
    );
  };

  let lastOwn = 0;
  const asked: number[] = [];
  const idsNow = (): Ids => {
    for (const { method, id } of sent(written)) if (method !== undefined && id !== undefined) asked[id] = id;
    const waiting = asked.filter((id) => id !== undefined && !answered.has(id));
    return { pools: { ...NO_IDS, waiting, answered: [...answered] }, lastOwn };
  };
  const answered = new Set<number>();
  for (const each of steps) {
    if (kills() > 0) break;
    if (greeted && inFlight() === undefined) call("a", 5000);
    if (each.do === "call") call(each.agent, each.timeout);
    else if (each.do === "advance") time.advance(each.ms);
    else if (each.do === "turn") await turn();
    else {
      const bytes = render(each.line, each.line.kind === "answer" ? idsNow() : { pools: NO_IDS, lastOwn });
      if (each.line.kind === "request") lastOwn += each.line.step;
      // The generated text stands for a path that is only known here.
      const said = bytes
        .toString("latin1")
        .replaceAll("${shared}", place.shared)
        .replaceAll("${call}", inFlight() ?? "");
      stdout.emit("data", Buffer.from(`${said}\n`, "latin1"));
      if (each.line.kind === "answer") for (const id of [JSON.parse(said).id]) answered.add(id);
      tally(count, each.line.kind === "request" ? each.line.method.slice(0, 12) : each.line.kind);
      if (!greeted) assert.equal(kills(), 1);
    }
  }
  for (let look = 0; look < 5000 && kills() === 0 && process.peer.stats.inbound > 0; look++) {
    time.advance(10);
    await turn();
  }
  if (kills() === 0) assert.equal(process.peer.stats.inbound, 0, "a request was never answered");
  await process.kill("the session is over");
  await process.exited;
  await turn();
  for (const [id, end] of ends) assert(end === "ok" || isErrorCode(end ?? ""), `${id} ended with ${end}`);
  judge(written, actions, reached, JSON.stringify(lines));
  brokerSession.close();
}

const NO_IDS = { waiting: [], "given up": [], answered: [], any: [] };

interface Sent {
  readonly id?: number;
  readonly method?: string;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly data: { readonly code: string } };
}

function sent(written: readonly string[]): Sent[] {
  return written
    .join("")
    .split("\n")
    .slice(0, -1)
    .map((text): Sent => JSON.parse(text));
}

/** What must hold of all that came out, whatever went in. */
function judge(
  written: readonly string[],
  actions: readonly BrokerAction[],
  reached: readonly string[],
  said: string,
): void {
  const answered = new Set<number>();
  for (const { id = 0, method, result, error } of sent(written)) {
    if (method !== undefined) continue;
    assert(!answered.has(id), "an id was answered twice");
    answered.add(id);
    if (error !== undefined)
      assert(isErrorCode(error.data.code) && error.data.code !== "internal", `a request ended with ${error.data.code}`);
    const data = result?.["data"];
    if (typeof data === "string")
      assert(!Buffer.from(data, "base64").includes(CANARY), "a file that was not granted was read");
  }
  const text = written.join("") + JSON.stringify(actions) + said;
  assert(!text.includes(GRANTED.secret), "the secret came out");
  for (const each of reached)
    assert([`name ${GRANTED.host}`, `address ${GRANTED.address}:${GRANTED.port}`].includes(each), `it reached ${each}`);
  for (const { capability, outcome, target, method } of actions) {
    tried.set(`${capability} ${method} ${outcome}`, (tried.get(`${capability} ${method} ${outcome}`) ?? 0) + 1);
    assert(outcome !== "succeeded" || capability !== "exec", `it ran ${target}`);
    assert(outcome !== "succeeded" || capability !== "system" || target === "hostname", `it learned ${target}`);
    if (outcome !== "succeeded" || capability !== "filesystem") continue;
    const isShared = target === place.shared || target.startsWith(`${place.shared}/`);
    assert(isShared || /^\$\{data\}\/open(?:\/|$)/.test(target), `it touched ${target}`);
    assert(!target.split("/").includes(".."), `it climbed to ${target}`);
    const links = ["${data}/open/link", `${place.shared}/link`];
    assert(!links.some((link) => `${target}/`.startsWith(`${link}/`)), `it followed ${target}`);
    if (!isShared && ["write", "mkdir", "remove"].includes(method)) place.dirty = true;
    assert(!isShared || ["read", "list", "stat"].includes(method), `it did ${method} to ${target}`);
  }
}

/** What was really tried: capability, method and outcome. */
const tried = new Map<string, number>();

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Both sides of each border must have been walked on, or the session shows nothing. */
const WAYS = ["network GET failed", "network GET denied", "filesystem read denied", "filesystem read succeeded"];
WAYS.push("filesystem write denied", "filesystem write succeeded", "kv kv.set succeeded");

describe("a whole conversation with a stranger", () => {
  it("reaches what was granted and nothing else, answers each request once, and never fails on the host's side [S1-11, S1-13]", async () => {
    const warnings: string[] = [];
    const listen = ({ name }: Error): void => void warnings.push(name);
    process.on("warning", listen);
    const count = await feed("conversation", { short: 4000, share: 0.2 }, session, play);
    process.off("warning", listen);
    expect(warnings).toEqual([]);
    expect(count.kinds.get("files.read")).toBeGreaterThan(50);
    for (const way of WAYS)
      expect([way, tried.get(way) ?? 0]).toEqual([way, expect.toSatisfy((times: number) => times > 0)]);
    for (const file of ["secret", "data/closed/secret", "outside/secret"])
      expect(await readFile(join(place.root, file), "utf8")).toBe(CANARY);
    expect(await readdir(join(place.root, "outside"))).toEqual(["secret"]);
    expect(await readdir(place.shared)).toEqual(["link", "ok"]);
    expect((await readdir(place.data)).toSorted()).toEqual(["closed", "open"]);
  });
});
