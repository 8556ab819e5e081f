import assert from "node:assert/strict";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isErrorCode } from "../../src/kernel/index.ts";
import { planSandbox, spawnSandboxed } from "../../src/isolation/index.ts";
import { publicDir, specOf, testEngine } from "../isolation/support.ts";
import { anyLevel, createLab, type Lab, processesMentioning, toolCall } from "../supervisor/support.ts";
import { runs } from "./campaign.ts";
import { render, smallJson, type Template, template } from "./lines.ts";
import { anyProtocolLine } from "./requests.ts";

const codeOf = (thrown: unknown): string => String(Reflect.get(Object(thrown), "code"));

describe("a process that writes anything", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await createLab();
  });
  afterAll(() => lab.close());

  /** Where in its life it begins to. */
  const moment = fc.constantFrom("first", "hello", "bind", "initialize", "call", "call", "call");
  const lines = fc.array(fc.oneof(anyProtocolLine, template), { minLength: 1, maxLength: 12 });

  it("is served or killed, and the host goes on [S1-13]", async () => {
    const friend = await lab.start("export default { tools: { echo: (input) => input } };");
    await fc.assert(
      fc.asyncProperty(moment, lines, fc.boolean(), async (when, said, honest) => {
        const ids = {
          pools: { waiting: [1, 2, 3, 4, 5], "given up": [], answered: [1], any: [1, 2, 3, 4, 5] },
          lastOwn: 0,
        };
        let lastOwn = 0;
        const bytes = said.map((each) => {
          const text = render(each, { ...ids, lastOwn }).toString("base64");
          if (each.kind === "request") lastOwn += each.step;
          return text;
        });
        const source = `
          const pieces = ${JSON.stringify(bytes)}.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
          const babble = () => { for (const piece of pieces) { Deno.stdout.writeSync(piece); Deno.stdout.writeSync(new Uint8Array([10])); } };
          if (${JSON.stringify(when)} === "first") babble();
          for await (const message of messages()) {
            if (message.method === ${JSON.stringify(when)}) { babble(); if (!${honest}) continue; }
            if (message.method === "hello") answer(message.id, await proof(message.params));
            else if (message.method === "bind") answer(message.id, { tools: message.params.tools, hooks: [] });
            else if (message.method === "initialize") answer(message.id, { ok: true });
            else if (message.method === "ping" || message.method === "shutdown") answer(message.id, {});
            else if (message.method === "call") answer(message.id, { output: null });
          }`;
        const bounds = { handshakeMs: 500, importMs: 500, initializeMs: 500 };
        try {
          const process = await lab.startRaw(source, { bounds });
          await process.call(toolCall("echo", {}, { timeoutMs: 500 })).catch((thrown: unknown) => {
            assert(isErrorCode(codeOf(thrown)) && codeOf(thrown) !== "internal", String(thrown));
          });
          await process.kill("the session is over");
          assert.equal(process.state, "gone");
        } catch (thrown) {
          assert(isErrorCode(codeOf(thrown)) && codeOf(thrown) !== "internal", String(thrown));
        }
        assert.equal((await friend.call(toolCall("echo", "fine"))).output, "fine");
      }),
      runs(8),
    );
    await friend.kill("done");
    expect(processesMentioning(lab.path)).toEqual([]);
  });
});

describe("a runner that is told anything", () => {
  const text = fc.constantFrom(
    "t",
    "echo",
    "",
    "__proto__",
    "call-1",
    "file:///plugin/plugin.js",
    "file:///etc/passwd",
    "https://evil.test/x.js",
    "x".repeat(500),
  );
  const params = fc.oneof(
    fc.dictionary(
      fc.constantFrom(
        "protocols",
        "token",
        "nonce",
        "bundle",
        "tools",
        "call_id",
        "tool",
        "input",
        "reason",
        "plugin",
        "config",
        "scopes",
        "secrets",
      ),
      fc.oneof(smallJson, text),
    ),
    smallJson,
  );
  const told: fc.Arbitrary<string> = fc.oneof(
    fc
      .record({
        id: fc.oneof(fc.integer({ min: 1, max: 9 }), smallJson),
        method: fc.constantFrom(
          "hello",
          "bind",
          "initialize",
          "call",
          "cancel",
          "ping",
          "ping",
          "shutdown",
          "log",
          "nothing",
        ),
        params,
      })
      .map((message) => JSON.stringify({ jsonrpc: "2.0", ...message })),
    template.map((line: Template) =>
      render(line, { pools: { waiting: [1], "given up": [], answered: [], any: [1] }, lastOwn: 0 }).toString("latin1"),
    ),
  );
  const hello = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "hello",
    params: { protocols: [1], token: "ab".repeat(32), nonce: "cd".repeat(16) },
  });
  const bind = JSON.stringify({
    jsonrpc: "2.0",
    id: 2,
    method: "bind",
    params: {
      plugin: { id: "p", version: "1.0.0", digest: "sha256:00" },
      bundle: "file:///plugin/plugin.js",
      config: {},
      scopes: [],
      tools: ["t"],
      secrets: {},
    },
  });

  const last = JSON.stringify({ jsonrpc: "2.0", id: 1000, method: "ping", params: {} });

  it("answers or ends, and is gone when it is killed [S1-13]", async () => {
    const dir = publicDir();
    const { runner } = await testEngine(dir);
    dir.write("plugin/plugin.js", "export default { tools: { t: (input) => input } };");
    try {
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(0, 1, 2, 2), fc.array(told, { maxLength: 12 }), async (greeting, lines) => {
          const child = await spawnSandboxed(
            await planSandbox(specOf(runner, { level: anyLevel, root: `${dir.path}/plugin` })),
          );
          let output = "";
          let words = "";
          child.stderr.on("data", (chunk: Buffer) => (words += chunk.toString()));
          child.stdin.on("error", () => undefined);
          const said = async (mark: string): Promise<void> => {
            const heard = new Promise<void>((resolve) => {
              child.stdout.on("data", () => output.includes(mark) && resolve());
            });
            await Promise.race([heard, child.gone]);
          };
          child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
          if (greeting > 0) {
            child.stdin.write(`${hello}\n`);
            await said("\n");
            assert.match(output, /^\{"jsonrpc":"2.0","id":1,"result":\{"protocol":1,/);
          }
          child.stdin.write(
            [bind]
              .slice(0, Math.max(0, greeting - 1))
              .concat(lines, last, "")
              .join("\n"),
          );
          // One that neither answers nor ends is found by the test's own time limit.
          await said('"id":1000,');
          child.stdin.end();
          const { code, signal } = await child.gone;
          assert(code === 0 || code === 1, `it ended with ${code ?? signal}: ${words}`);
        }),
        runs(10),
      );
      const plan = await planSandbox(specOf(runner, { level: anyLevel, root: `${dir.path}/plugin` }));
      const child = await spawnSandboxed(plan);
      child.kill();
      expect((await child.gone).signal ?? "SIGKILL").toBe("SIGKILL");
    } finally {
      dir.remove();
    }
  });
});
