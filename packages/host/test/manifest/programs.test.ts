import { describe, expect, it } from "vitest";
import { minimal, read, refusal } from "./support.ts";

const tool = { name: "a", description: "d", effect: "read", input_schema: { type: "object" } };

describe("programs in the manifest", () => {
  it.each([
    ["python", "src/main.py"],
    ["node", "server.cjs"],
    ["node", "server.mjs"],
    ["none", "bin/server"],
  ])("reads the interpreter %s and what it runs", (interpreter, entry) =>
    expect(read(minimal({ interpreter, entry })).manifest).toMatchObject({ interpreter, entry }),
  );

  it("writes nothing for the default, so that manifests keep their digest", () => {
    const plain = read(minimal());
    expect(plain.manifest).not.toHaveProperty("interpreter");
    expect(read(minimal({ interpreter: "deno" })).digest).toBe(plain.digest);
    expect(read(minimal({ interpreter: "node" })).digest).not.toBe(plain.digest);
  });

  it.each(["ruby", "/usr/bin/python3", "python3", "sh -c x", "", ["python"], { path: "x" }])(
    "refuses the interpreter %j: a manifest names no command",
    (interpreter) =>
      expect(refusal(() => read(minimal({ interpreter, entry: "a.py" }))).paths).toContain("interpreter"),
  );

  it.each([
    ["python", "plugin.js"],
    ["python", "../main.py"],
    ["node", "main.py"],
    ["node", "plugin.ts"],
    ["none", "/bin/sh"],
    ["none", "bin/../../x"],
    ["none", ".hidden"],
    ["deno", "main.py"],
  ])("refuses for %s the entry %j", (interpreter, entry) =>
    expect(refusal(() => read(minimal({ interpreter, entry }))).paths).toContain("entry"),
  );

  it("takes a server that is the entry of a program, and no other [S2-10] [S4-8]", () => {
    const server = (entry: string, program: string, more: object = {}) =>
      minimal({
        interpreter: "node",
        entry,
        contributes: { tools: [tool], mcp_servers: [{ name: "s", program, ...more }] },
      });
    expect(read(server("./s.mjs", "s.mjs", { args: ["--x"] })).manifest.mcpServers).toEqual([
      { name: "s", program: "s.mjs", args: ["--x"] },
    ]);
    expect(refusal(() => read(server("s.mjs", "other.mjs"))).paths).toContain("contributes.mcp_servers[0].program");
    expect(refusal(() => read(server("s.mjs", "s.mjs", { tools: { b: "B" } }))).paths).toContain(
      "contributes.mcp_servers[0].tools.b",
    );
    const module = minimal({ contributes: { tools: [tool], mcp_servers: [{ name: "s", program: "plugin.js" }] } });
    expect(refusal(() => read(module)).paths).toContain("contributes.mcp_servers[0].program");
  });
});
