import assert from "node:assert/strict";
import { Readable, Writable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SallyportError } from "../../src/kernel/index.ts";
import { createPeer } from "../../src/rpc/index.ts";
import { createManualTime } from "../rpc/support.ts";
import { type Count, feed, tally } from "./campaign.ts";
import { lineOf, ODD_BYTES, ODD_TEXTS, render, type Template, template, wellFormed } from "./lines.ts";
import { createModel, SMALL } from "./peer-model.ts";

type Step =
  | { readonly do: "line"; readonly line: Template; readonly cuts: readonly number[]; readonly hold: boolean }
  | { readonly do: "burst"; readonly line: Template; readonly times: number }
  | { readonly do: "send"; readonly timeout: number }
  | { readonly do: "abandon"; readonly which: number }
  | { readonly do: "finish"; readonly which: number; readonly how: How }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "turn" };
type How = "result" | "refused" | "failed" | "too long" | "no JSON";

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("line" as const),
      line: template,
      cuts: fc.oneof(
        { weight: 3, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(fc.nat(400), { maxLength: 4 }) },
      ),
      hold: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("burst" as const),
      line: wellFormed,
      times: fc.integer({ min: 2, max: 18 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("send" as const), timeout: fc.constantFrom(1, 50, 5000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("abandon" as const), which: fc.nat(5) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("finish" as const),
      which: fc.nat(5),
      how: fc.constantFrom<How>("result", "refused", "failed", "too long", "no JSON"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(1, 49, 400, 1000) }) },
  { weight: 1, arbitrary: fc.constant({ do: "turn" as const }) },
);

const send = (given: Template, hold = false): Step => ({ do: "line", line: given, cuts: [], hold });
const request: Template = { kind: "request", step: 1, method: "kv.get", params: undefined };
const { lineBytes, inboundRequests, unaskedPerSecond } = SMALL;

/** Saved: sessions that once showed something, and the borders of each limit. */
const REGRESSIONS = [
  ...ODD_TEXTS.map((text): Step[] => [{ do: "send", timeout: 50 }, send({ kind: "text", text })]),
  ...ODD_BYTES.map((bytes): Step[] => [send({ kind: "bytes", bytes })]),
  ...[-1, 0, 1, 2].flatMap((more) => ["x", "é", "😀"].map((char): Step[] => [send(lineOf(lineBytes + more, char))])),
  ...[0, 1].map((more): Step[] => [{ do: "burst", line: request, times: inboundRequests + unaskedPerSecond + more }]),
  ...[0, 1].map((more): Step[] => [
    { do: "burst", line: { kind: "note", method: "log", params: undefined }, times: unaskedPerSecond + more },
  ]),
  ...[0, 1].map((more): Step[] => Array.from({ length: 5 + more }, () => send(lineOf(300)))),
  ...[[lineBytes], [lineBytes + 1], [200, lineBytes], [200, lineBytes + 1]].map((cuts): Step[] => [
    { do: "line", line: { kind: "text", text: "x".repeat(400) }, cuts, hold: false },
  ]),
  [send(request, true), send(request)],
  ...(["result", "refused", "failed", "too long", "no JSON"] as const).map((how): Step[] => [
    send(request),
    { do: "turn" },
    { do: "finish", which: 0, how },
    send(request),
  ]),
].map((steps): [Step[]] => [steps]);

/** Plays a session to a peer and to the model, and compares what can be seen of the peer after each step. */
async function play(steps: readonly Step[], count: Count): Promise<void> {
  const time = createManualTime();
  const readable = new Readable({ read: () => undefined });
  const written: string[] = [];
  const writable = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      written.push(String(chunk));
      done();
    },
  });
  const heard: string[] = [];
  const settled = new Map<number, string[]>();
  const working = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const violations: SallyportError[] = [];
  let [asked, late] = [0, 0];
  const peer = createPeer({
    readable,
    writable,
    clock: time.clock,
    timers: time.timers,
    limits: SMALL,
    onRequest: () =>
      new Promise((resolve, reject) => {
        working.set(asked++, { resolve, reject });
      }),
    onNotification: (method) => heard.push(method),
    onLateAnswer: () => late++,
    onViolation: (error) => violations.push(error),
  });
  const model = createModel();
  let pending = Buffer.alloc(0);

  const deliver = (cuts: readonly number[]): void => {
    const places = [...new Set(cuts.map((cut) => cut % (pending.length + 1)))].toSorted((a, b) => a - b);
    let start = 0;
    for (const place of [...places, pending.length]) {
      const chunk = Buffer.from(pending.subarray(start, place));
      start = place;
      for (const kind of model.receive(chunk)) tally(count, kind);
      readable.emit("data", chunk);
      assert.equal(violations.length, model.state.broken ? 1 : 0);
    }
    pending = Buffer.alloc(0);
  };
  const compare = (): void => {
    const { state } = model;
    assert.equal(violations.length, state.broken ? 1 : 0);
    if (state.vague && state.broken) return;
    assert.deepEqual(heard, state.heard);
    assert.equal(late, state.late);
    if (!state.broken) {
      const { outstanding, inbound } = peer.stats;
      assert.deepEqual([outstanding, inbound], [state.waiting, state.working]);
    }
    for (const [id, how] of state.settled) assert.deepEqual([id, settled.get(id)], [id, [how]]);
  };

  for (const each of steps) {
    switch (each.do) {
      case "line": {
        pending = Buffer.concat([pending, render(each.line, model.ids), Buffer.from("\n")]);
        if (!each.hold) deliver(each.cuts);
        break;
      }
      case "burst":
        for (let n = 0; n < each.times; n++) {
          pending = Buffer.concat([pending, render(each.line, model.ids), Buffer.from("\n")]);
          deliver([]);
        }
        break;
      case "send": {
        const expected = model.send(each.timeout);
        const seen: string[] = [];
        const id = peer.send("call", {}, each.timeout, (answer) => {
          seen.push(answer.kind === "failed" ? answer.error.code : answer.kind);
        });
        assert.equal(id, expected);
        if (id === 0) assert.deepEqual(seen, [model.state.broken ? "protocol_violation" : "busy"]);
        else settled.set(id, seen);
        break;
      }
      case "abandon": {
        const id = model.state.broken ? 0 : model.abandon(each.which);
        if (id !== 0) peer.abandon(id, new SallyportError("cancelled", "x"));
        break;
      }
      case "finish": {
        if (model.state.broken || model.finish(each.which, each.how) === 0) break;
        const [number, found] = [...working][each.which % working.size] ?? [-1];
        working.delete(number);
        if (each.how === "refused") found?.reject(new SallyportError("permission_denied", "x", { detail: "hidden" }));
        else if (each.how === "failed") found?.reject(new Error("/host/path"));
        else found?.resolve({ result: 1, "too long": "x".repeat(400), "no JSON": 1n }[each.how]);
        await turn();
        break;
      }
      case "advance":
        if (!model.state.broken) model.advance(each.ms);
        time.advance(each.ms);
        break;
      case "turn":
        await turn();
        break;
    }
    compare();
  }
  deliver([]);
  await turn();
  compare();
  compareWritten(written.join(""), model.state);

  peer.close(new SallyportError("plugin_crashed", "x"));
  time.advance(10_000);
  readable.emit("data", Buffer.from('}\n{"jsonrpc":"2.0","method":"log"}\n'));
  assert.deepEqual(
    violations.map(({ code }) => code),
    model.state.broken ? ["protocol_violation"] : [],
  );
  for (const [id, how] of settled) assert.deepEqual([id, how.length], [id, 1]);
}

const CODES = {
  busy: "busy",
  refused: "permission_denied",
  failed: "internal",
  "too long": "limit_exceeded",
  "no JSON": "internal",
};

function compareWritten(text: string, state: ReturnType<typeof createModel>["state"]): void {
  assert(text === "" || text.endsWith("\n"));
  assert.doesNotMatch(text, /hidden|\/host\/path/);
  const answers = new Map<number, string>();
  let requests = 0;
  for (const line of text.split("\n").slice(0, -1)) {
    assert(Buffer.byteLength(line) < SMALL.lineBytes);
    const message = JSON.parse(line);
    if (message.method === "call") {
      assert.equal(message.id, ++requests);
      continue;
    }
    assert(!answers.has(message.id));
    answers.set(message.id, message.error === undefined ? "result" : message.error.data.code);
  }
  const expected = new Map([...state.answers].map(([id, how]) => [id, how in CODES ? Reflect.get(CODES, how) : how]));
  if (!state.broken) {
    assert.equal(requests, state.nextId - 1);
    assert.deepEqual(answers, expected);
  } else if (!state.vague) for (const [id, how] of answers) assert.deepEqual([id, how], [id, expected.get(id)]);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("the peer, fed by a stranger", () => {
  it("does exactly what a second reading of the protocol says, whatever bytes come in whatever order [S1-13]", async () => {
    const steps = fc.array(step, { minLength: 5, maxLength: 60 });
    const count = await feed("peer", { short: 6000, share: 0.6, examples: REGRESSIONS }, steps, play);
    for (const kind of ["answer", "request", "notification", "refused"])
      expect(count.kinds.get(kind)).toBeGreaterThan(100);
  });
});
