import { fileURLToPath } from "node:url";

/** What a person pastes into an MCP client's configuration. Absolute paths, since clients start servers in folders of their own. */
export function agentSetup(home: string, agent = "local"): Record<string, unknown> {
  return {
    mcpServers: {
      sallyport: {
        command: process.execPath,
        args: [fileURLToPath(new URL("./main.js", import.meta.url)), "mcp", "--agent", agent, "--home", home],
      },
    },
  };
}
