import type { Command } from "commander";
import { OPERATORS_AGENT } from "../../api/index.ts";
import type { CommandContext } from "./define.ts";

export function defineMcpCommand(_program: Command, _context: CommandContext): void {
  void OPERATORS_AGENT;
}
