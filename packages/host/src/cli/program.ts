import { Command, CommanderError } from "commander";
import { toFailure } from "../wire/index.ts";
import { exitCodeOf, SallyportError, toSallyportError } from "../kernel/index.ts";
import {
  type CommandContext,
  defineAgentCommands,
  defineApprovalCommands,
  defineAuditCommands,
  defineAuthoringCommands,
  defineBackupCommands,
  defineCommandCommands,
  defineDatabaseCommands,
  defineDemoCommand,
  defineDoctorCommand,
  defineHostCommands,
  defineKeyCommands,
  defineMcpCommand,
  definePluginCommands,
  defineRegistryCommands,
  definePolicyCommands,
  defineSecretCommands,
  defineSigningCommands,
  defineStatsCommand,
  defineTokenCommands,
  defineToolCommands,
  globalOptions,
} from "./commands/index.ts";
import type { Io } from "./io.ts";
import { createStyle, renderError, safeJson } from "./render/index.ts";

/** The `sallyport` command with all its verbs, not yet run. */
export function buildProgram(context: CommandContext): Command {
  const program = new Command("sallyport")
    .description("Runs plugins that nobody here trusts, and lets them do exactly what you granted.")
    .version(context.version)
    .exitOverride()
    .enablePositionalOptions();
  globalOptions(program);
  defineHostCommands(program, context);
  defineDoctorCommand(program, context);
  const plugin = definePluginCommands(program, context);
  defineAuthoringCommands(plugin, context);
  defineSigningCommands(plugin, context);
  defineToolCommands(program, context);
  defineCommandCommands(program, context);
  defineAgentCommands(program, context);
  defineTokenCommands(program, context);
  defineApprovalCommands(program, context);
  definePolicyCommands(program, context);
  defineSecretCommands(program, context);
  defineDatabaseCommands(program, context);
  defineKeyCommands(program, context);
  defineRegistryCommands(program, plugin, context);
  defineAuditCommands(program, context);
  defineBackupCommands(program, context);
  defineStatsCommand(program, context);
  defineMcpCommand(program, context);
  defineDemoCommand(program, context);
  return program;
}

/** Runs one command line (without node and script). @returns the exit code. */
export async function run(argv: readonly string[], io: Io, version: string): Promise<number> {
  const json = argv.includes("--json");
  let exitCode = 0;
  const program = buildProgram({ io, version, exitWith: (code) => (exitCode = code) });
  let complaint = "";
  const listen = (command: Command): void => {
    command.configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => (complaint += text) });
    command.commands.forEach(listen);
  };
  listen(program);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    if (thrown instanceof CommanderError && thrown.code === "commander.help" && !json) {
      io.stderr.write(complaint);
      return exitCodeOf("usage");
    }
    const error = thrown instanceof CommanderError ? usageError(thrown, argv) : toSallyportError(thrown);
    if (json) io.stdout.write(`${safeJson(toFailure(error), 2)}\n`);
    else io.stderr.write(renderError(error, createStyle(io.stderr, io.env)));
    if (error.code === "internal" && io.env["SALLYPORT_DEBUG"]) io.stderr.write(`${String(error.cause)}\n`);
    return exitCodeOf(error.code);
  }
}

function usageError(error: CommanderError, argv: readonly string[]): SallyportError {
  const words = argv.filter((word) => !word.startsWith("-")).slice(0, 1);
  const help = `See sallyport ${[...words, "--help"].join(" ")}.`;
  if (error.code === "commander.help") {
    return new SallyportError("usage", "Which verb?", { detail: "A command is `sallyport OBJECT VERB`.", fix: help });
  }
  const [what = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const suggestion = /\(Did you mean (.+)\?\)/.exec(more.join(" "))?.[1];
  return new SallyportError("usage", `${what.charAt(0).toUpperCase()}${what.slice(1)}.`, {
    fix: suggestion === undefined ? help : `Did you mean ${suggestion}? ${help}`,
  });
}
