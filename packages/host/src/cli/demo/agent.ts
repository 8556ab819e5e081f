import { fileURLToPath } from "node:url";
import { type CallToolResult, Client, ProtocolError } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import type { Ending } from "../attack/index.ts";
import { isRecord, textOf } from "./shell.ts";

/** An agent as any other: the official MCP client, with `sallyport mcp` as its server. */
export interface DemoAgent {
  tools(): Promise<readonly string[]>;
  call(name: string, input: Readonly<Record<string, unknown>>): Promise<Ending>;
  close(): Promise<void>;
}

export async function connectAgent(home: string, env: Record<string, string>): Promise<DemoAgent> {
  const main = fileURLToPath(new URL("../main.js", import.meta.url));
  const client = new Client({ name: "sallyport-demo", version: "1.0.0" });
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [main, "mcp", "--home", home],
      env,
      stderr: "inherit",
    }),
  );
  return {
    tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    async call(name, input) {
      try {
        return endingOf(await client.callTool({ name, arguments: input }, { timeout: 60_000 }));
      } catch (error) {
        // A tool that the agent may not see is an error of the protocol, not a result.
        if (error instanceof ProtocolError && isRecord(error.data)) return { code: textOf(error.data, "code") };
        throw error;
      }
    },
    close: () => client.close(),
  };
}

function endingOf(result: CallToolResult): Ending {
  if (result.isError === true) return { code: codeIn(result._meta) };
  const [first] = result.content;
  return { answer: result.structuredContent ?? (first?.type === "text" ? first.text : null) };
}

/** The error code that Sallyport puts beside the words for people. */
function codeIn(meta: unknown): string {
  if (!isRecord(meta)) return "unknown";
  const found = Object.entries(meta).find(([key, value]) => key.endsWith("/code") && typeof value === "string");
  return typeof found?.[1] === "string" ? found[1] : "unknown";
}
