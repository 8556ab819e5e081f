import { describe, expect, it } from "vitest";
import { SallyportError } from "../../src/kernel/index.ts";
import type { PeerAnswer } from "../../src/rpc/index.ts";
import { createWire, line } from "./support.ts";

const result = (id: number, value: unknown = {}) => line({ jsonrpc: "2.0", id, result: value });
const request = (id: number, method = "kv.get", params: unknown = {}) => line({ jsonrpc: "2.0", id, method, params });

describe("requests of ours", () => {
  it("settles each with its own answer, in any order", () => {
    const wire = createWire();
    const answers: [string, PeerAnswer][] = [];
    const first = wire.peer.send("call", {}, 1000, (answer) => answers.push(["first", answer]));
    const second = wire.peer.send("call", {}, 1000, (answer) => answers.push(["second", answer]));
    wire.receive(result(second, "b") + result(first, "a"));
    expect(answers.map(([name, answer]) => [name, answer.kind === "result" && answer.result])).toEqual([
      ["second", "b"],
      ["first", "a"],
    ]);
    expect(wire.violations).toEqual([]);
  });

  it("writes what one turn produced in one write", async () => {
    const wire = createWire();
    let writes = 0;
    wire.writable.on("data", () => writes++);
    for (let count = 0; count < 5; count++) wire.peer.send("call", {}, 1000, () => undefined);
    expect(await wire.sent()).toHaveLength(5);
    expect(writes).toBe(1);
  });

  it("returns a remote error as data", async () => {
    const wire = createWire();
    const answer = wire.peer.request("call", {}, 1000);
    wire.receive(
      line({ jsonrpc: "2.0", id: 1, error: { code: -32000, message: "no", data: { kind: "tool_failed" } } }),
    );
    expect(await answer).toMatchObject({ kind: "error", error: { code: -32000, message: "no" } });
  });

  it("fails at the deadline, drops and counts the late answer, and takes a second one as a violation", async () => {
    const wire = createWire();
    const answer = wire.peer.request("call", {}, 1000);
    const slower = wire.peer.request("call", {}, 5000);
    slower.catch(() => undefined);
    wire.time.advance(1000);
    await expect(answer).rejects.toMatchObject({ code: "deadline_exceeded" });
    expect(wire.peer.stats.outstanding).toBe(1);
    wire.receive(result(1));
    expect(wire.violations).toEqual([]);
    expect(wire.peer.stats.lateAnswers).toBe(1);
    wire.receive(result(1));
    expect(wire.violations).toHaveLength(1);
  });

  it("meets every deadline with one timer, also one that is set later and due earlier", async () => {
    const wire = createWire();
    const order: string[] = [];
    const fail = (name: string) => () => void order.push(name);
    wire.peer.send("call", {}, 3000, fail("late"));
    wire.peer.send("call", {}, 1000, fail("early"));
    wire.time.advance(1000);
    expect(order).toEqual(["early"]);
    wire.time.advance(2000);
    expect(order).toEqual(["early", "late"]);
  });

  it("forgets the oldest abandoned id when there are too many", () => {
    const wire = createWire({ limits: { abandonedIds: 2 } });
    for (let count = 0; count < 3; count++) {
      const id = wire.peer.send("call", {}, 1000, () => undefined);
      wire.peer.abandon(id, new SallyportError("cancelled", "Cancelled."));
    }
    wire.receive(result(3));
    expect(wire.violations).toEqual([]);
    wire.receive(result(1));
    expect(wire.violations).toHaveLength(1);
  });

  it("refuses more than it may have outstanding, and what does not fit into the outbound queue or a line", async () => {
    const full = createWire({ limits: { outstanding: 1 } });
    full.peer.send("call", {}, 1000, () => undefined);
    await expect(full.peer.request("call", {}, 1000)).rejects.toMatchObject({ code: "busy" });
    const slow = createWire({ limits: { outboundBytes: 100 } });
    await expect(slow.peer.request("call", { text: "x".repeat(100) }, 1000)).rejects.toMatchObject({ code: "busy" });
    const long = createWire({ limits: { lineBytes: 100 } });
    await expect(long.peer.request("call", { text: "ä".repeat(50) }, 1000)).rejects.toMatchObject({
      code: "limit_exceeded",
    });
  });

  it("fails everything outstanding when closed, and everything sent later", async () => {
    const wire = createWire();
    const answer = wire.peer.request("call", {}, 1000);
    wire.peer.close(new SallyportError("plugin_crashed", "Gone."));
    await expect(answer).rejects.toMatchObject({ code: "plugin_crashed" });
    await expect(wire.peer.request("call", {}, 1000)).rejects.toMatchObject({ code: "plugin_crashed" });
  });
});

describe("requests of the other side", () => {
  it("answers with the result, or with code, message and fix of an error, and no more [S1-9]", async () => {
    const wire = createWire({
      onRequest: (method) =>
        method === "good"
          ? Promise.resolve({ value: 1 })
          : Promise.reject(
              method === "bad"
                ? new SallyportError("permission_denied", "No.", {
                    fix: "Ask.",
                    detail: "secret detail",
                    data: { a: 1 },
                  })
                : new TypeError("secret path"),
            ),
    });
    wire.receive(request(1, "good") + request(2, "bad") + request(3, "worse"));
    const sent = await wire.sent();
    expect(sent[0]).toEqual({ jsonrpc: "2.0", id: 1, result: { value: 1 } });
    expect(sent[1]).toEqual({
      jsonrpc: "2.0",
      id: 2,
      error: { code: -32001, message: "No.", data: { code: "permission_denied", fix: "Ask." } },
    });
    expect(JSON.stringify(sent)).not.toContain("secret");
  });

  it("answers `busy` over the cap and kills at a flood [S1-13]", async () => {
    const wire = createWire({
      limits: { inboundRequests: 1, unaskedPerSecond: 2 },
      onRequest: () => new Promise(() => undefined),
    });
    wire.receive(request(1) + request(2) + request(3));
    expect((await wire.sent()).map((message) => message["error"])).toMatchObject([
      { data: { code: "busy" } },
      { data: { code: "busy" } },
    ]);
    expect(wire.violations).toEqual([]);
    wire.receive(request(4));
    expect(wire.violations).toHaveLength(1);
  });

  it("kills a side that asks and never reads its answers [S1-13]", async () => {
    const wire = createWire({ limits: { outboundBytes: 200 }, onRequest: () => Promise.resolve("x".repeat(150)) });
    wire.receive(request(1) + request(2));
    await wire.sent();
    expect(wire.violations).toHaveLength(1);
  });

  it("answers with an error when a result has no JSON form or no place in a line", async () => {
    const wire = createWire({
      limits: { lineBytes: 400 },
      onRequest: (method) => Promise.resolve(method === "long" ? "x".repeat(400) : 1n),
    });
    wire.receive(request(1, "long") + request(2, "big"));
    expect((await wire.sent()).map((message) => message["error"])).toMatchObject([
      { data: { code: "limit_exceeded" } },
      { data: { code: "internal" } },
    ]);
  });
});

describe("violations [S1-9] [S1-13]", () => {
  const cases: [string, string | Buffer][] = [
    ["an answer to an id never used", result(7)],
    ["text that is not JSON", "hello\n"],
    ["an empty line", "\n"],
    ["a batch", `[${result(1).trim()}]\n`],
    ["a prototype key", '{"jsonrpc":"2.0","method":"log","params":{"__proto__":{"x":1}}}\n'],
    ["an escaped prototype key", '{"jsonrpc":"2.0","method":"log","params":{"\\u005f_proto__":{"x":1}}}\n'],
    ["a message without version", line({ method: "log", params: {} })],
    ["another version", line({ jsonrpc: "1.0", method: "log", params: {} })],
    ["an unknown member", line({ jsonrpc: "2.0", method: "log", params: {}, extra: 1 })],
    ["params that are no object", line({ jsonrpc: "2.0", method: "log", params: [1] })],
    ["a text as id", line({ jsonrpc: "2.0", id: "1", method: "log", params: {} })],
    ["a null id", line({ jsonrpc: "2.0", id: null, method: "log", params: {} })],
    ["id 0", request(0)],
    ["a fractional id", request(1.5)],
    ["a request id used twice", request(2) + request(2)],
    ["a request id out of order", request(2) + request(1)],
    ["result and error at once", line({ jsonrpc: "2.0", id: 1, result: 1, error: { code: 1, message: "" } })],
    ["an error without code", line({ jsonrpc: "2.0", id: 1, error: { message: "x" } })],
    ["a long method", line({ jsonrpc: "2.0", method: "m".repeat(65), params: {} })],
    ["bytes that are not UTF-8", Buffer.from([0x22, 0xff, 0x22, 0x0a])],
    ["nesting too deep", `{"jsonrpc":"2.0","method":"log","params":{"a":${"[".repeat(100)}${"]".repeat(100)}}}\n`],
    ["a line over the cap", `${"x".repeat(5000)}\n`],
    ["an unfinished line over the cap", "x".repeat(5000)],
  ];
  it.each(cases)("%s", async (_name, data) => {
    const wire = createWire({ limits: { lineBytes: 4096 } });
    const waiting = wire.peer.request("ping", {}, 1000);
    wire.receive(data);
    wire.receive(result(1));
    await expect(waiting).rejects.toMatchObject({ code: "protocol_violation" });
    expect(wire.violations).toHaveLength(1);
    expect(wire.notifications).toEqual([]);
  });

  it("is reported once, whatever follows", () => {
    const wire = createWire();
    wire.receive(`x\n${result(9)}y\n`);
    wire.receive(result(9));
    wire.peer.violate("again");
    expect(wire.violations).toHaveLength(1);
  });

  it("of too many notifications, or too many bytes of them, in a second", () => {
    const note = line({ jsonrpc: "2.0", method: "log", params: {} });
    const many = createWire({ limits: { unaskedPerSecond: 3 } });
    many.receive(note.repeat(3));
    many.time.advance(1000);
    many.receive(note.repeat(3));
    expect(many.violations).toEqual([]);
    many.receive(note);
    expect(many.violations).toHaveLength(1);
    const big = createWire({ limits: { unaskedBytesPerSecond: 100 } });
    big.receive(line({ jsonrpc: "2.0", method: "log", params: { text: "x".repeat(100) } }));
    expect(big.violations).toHaveLength(1);
  });

  it("of more values than an output can hold, which would stop everybody while they are parsed", async () => {
    const wire = createWire();
    const answer = (values: number): string =>
      `{"jsonrpc":"2.0","id":1,"result":{"output":[${"[],".repeat(values)}0]}}\n`;
    const fits = wire.peer.request("call", {}, 1000);
    wire.receive(answer(349_500));
    expect((await fits).bytes).toBeGreaterThan(1_048_000);
    wire.receive(answer(1_390_000));
    expect(wire.violations).toMatchObject([{ detail: expect.stringContaining("holds more than 699115 values") }]);
  });

  it("of too many values in the requests and notifications of a second", () => {
    const holding = (text: string, values: number): string => text.replace("{}", `{"a":[${"0,".repeat(values)}0]}`);
    for (const message of [request(1), line({ jsonrpc: "2.0", method: "log", params: {} })]) {
      const wire = createWire({ limits: { valuesPerSecond: 1000 } });
      wire.receive(holding(message, 900));
      wire.time.advance(1000);
      wire.receive(holding(message.replace('"id":1', '"id":2'), 900));
      expect(wire.violations).toEqual([]);
      wire.receive(holding(message.replace('"id":1', '"id":3'), 100));
      expect(wire.violations).toHaveLength(1);
    }
  });
});
