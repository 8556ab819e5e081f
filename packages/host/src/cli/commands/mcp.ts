import type { Command } from "commander";
import { runMcp } from "../mcp.ts";
import { type CommandContext, text, verb } from "./define.ts";

export function defineMcpCommand(program: Command, context: CommandContext): void {
  verb(
    program,
    context,
    "mcp",
    "serve the tools to one agent over MCP, on standard input and output",
    "sallyport mcp --agent research",
    async (session, _args, options) => {
      const credentials = session.credentials();
      const named = text(options, "agent");
      // A token says whose it is.
      const agent = Object.keys(credentials).length > 0 ? named : (named ?? DEFAULT_AGENT);
      await runMcp(session.io, await session.owner(), agent, credentials);
    },
  ).option(
    "--agent <name>",
    `who this client is: its profile, policy and name in the audit (default: ${DEFAULT_AGENT}, or the token's)`,
  );
}

const DEFAULT_AGENT = "local";
