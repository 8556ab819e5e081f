import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { SallyportError } from "../../src/kernel/index.ts";
import { createMcpPeer } from "../../src/supervisor/mcp-peer.ts";
import { listTools } from "../../src/supervisor/mcp-tools.ts";

describe("an MCP server's list of tools", () => {
  it("is given up when all its pages together are too large, before they are kept", async () => {
    let pages = 0;
    const ask = () => {
      pages++;
      const tools = [{ name: `tool${pages}`, description: "", inputSchema: {} }];
      return Promise.resolve({ kind: "result" as const, result: { tools, nextCursor: "more" }, bytes: 1024 * 1024 });
    };
    await expect(listTools(ask)).rejects.toMatchObject({ code: "load_failed", detail: /over 4194304 bytes/ });
    expect(pages).toBe(5);
  });

  it("has the time of one question for all its pages", async () => {
    let now = 0;
    const waiting = new Set<{ at: number; callback: () => void }>();
    const clock = { now: () => now, monotonic: () => now };
    const [toHost, toServer] = [new PassThrough(), new PassThrough()];
    const peer = createMcpPeer(
      {
        readable: toHost,
        writable: toServer,
        clock,
        timers: {
          set(callback, milliseconds) {
            const timer = { at: now + milliseconds, callback };
            waiting.add(timer);
            return () => void waiting.delete(timer);
          },
        },
        onRequest: () => Promise.resolve({}),
        onNotification: () => undefined,
        onViolation: () => undefined,
      },
      [],
    );
    let pages = 0;
    toServer.on("data", (chunk: Buffer) => {
      for (const line of chunk.toString().split("\n").filter(Boolean)) {
        const { id, method } = JSON.parse(line);
        if (id === undefined) continue;
        now += 3_000;
        for (const timer of waiting) if (timer.at <= now && waiting.delete(timer)) timer.callback();
        if (method === "tools/list") pages++;
        const result = method === "initialize" ? { protocolVersion: "2025-11-25" } : { tools: [], nextCursor: "more" };
        toHost.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
      }
    });
    await expect(peer.request("bind", {}, 10_000)).rejects.toMatchObject({ code: "deadline_exceeded" });
    expect(pages).toBeLessThan(5);
  });

  it("is not looked at again and again because the server says so", async () => {
    const [toHost, toServer] = [new PassThrough(), new PassThrough()];
    const changed = `${JSON.stringify({ jsonrpc: "2.0", method: "notifications/tools/list_changed" })}\n`;
    let looks = 0;
    const violation = new Promise<SallyportError>((resolve) => {
      createMcpPeer(
        {
          readable: toHost,
          writable: toServer,
          onRequest: () => Promise.resolve({}),
          onNotification: () => undefined,
          onViolation: resolve,
        },
        [],
      );
    });
    toServer.on("data", (chunk: Buffer) => {
      for (const line of chunk.toString().split("\n").filter(Boolean)) {
        looks++;
        toHost.write(
          `${changed}${JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(line).id, result: { tools: [] } })}\n`,
        );
      }
    });
    toHost.write(changed);
    expect(await violation).toMatchObject({ code: "protocol_violation", detail: /again and again/ });
    expect(looks).toBe(20);
  });
});
