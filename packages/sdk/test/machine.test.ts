import { afterEach, describe, expect, it } from "vitest";
import { definePlugin } from "../src/index.ts";
import { type RunningPlugin, runPlugin } from "../src/testing/index.ts";

let running: RunningPlugin | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

const plugin = definePlugin({
  tools: {
    async count(input, ctx) {
      const { stdout, bytes, ...rest } = await ctx.exec("wc", ["-w", "a.txt"], {
        stdin: "one two",
        files: { "a.txt": `${ctx.data}/a.txt` },
        timeout: 1500.2,
      });
      return { stdout, bytes: bytes.length, ...rest };
    },
    name: async (input, ctx) => ctx.system.get("hostname"),
  },
});

describe("ctx.exec and ctx.system in a test", () => {
  it("ask the host as the protocol says, and are answered by fakes", async () => {
    running = await runPlugin(plugin, {
      exec: (command, args, { stdin, files }) => ({
        code: 3,
        stdout: `${command} ${args.join(" ")} ${stdin} ${JSON.stringify(files)}`,
        stderr: "é",
      }),
      system: { hostname: "box" },
    });
    const stdout = 'wc -w a.txt one two {"a.txt":"${data}/a.txt"}';
    expect(await running.call("count")).toEqual({
      stdout,
      bytes: stdout.length,
      code: 3,
      signal: null,
      stderr: "é",
      truncated: false,
    });
    expect(await running.call("name")).toBe("box");
    expect(running.requests[0]).toEqual({
      method: "exec",
      params: {
        call: "call_1",
        command: "wc",
        args: ["-w", "a.txt"],
        stdin: "b25lIHR3bw==",
        files: [{ name: "a.txt", path: "${data}/a.txt" }],
        timeout_ms: 1501,
      },
    });
  });

  it("are refused without a fake, as without a grant", async () => {
    running = await runPlugin(plugin);
    await expect(running.call("count")).rejects.toThrow('grants no "wc"');
    await expect(running.call("name")).rejects.toThrow('grants no "hostname"');
  });
});
