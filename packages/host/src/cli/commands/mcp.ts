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
    async (session, _args, options) =>
      runMcp(session.io, await session.owner(), text(options, "agent") ?? DEFAULT_AGENT),
  ).option("--agent <name>", "who this client is: its profile, policy and name in the audit", DEFAULT_AGENT);
}

const DEFAULT_AGENT = "local";
