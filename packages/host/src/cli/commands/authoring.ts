import type { Command } from "commander";
import type { CommandContext } from "./define.ts";

export function defineAuthoringCommands(_plugin: Command, _context: CommandContext): void {}
