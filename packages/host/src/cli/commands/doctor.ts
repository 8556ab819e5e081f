import type { Command } from "commander";
import { attack } from "./doctor-attack.ts";
import { collectCommas, type CommandContext, flag, usage, verb } from "./define.ts";
import { doctor } from "../doctor/index.ts";

export function defineDoctorCommand(program: Command, context: CommandContext): void {
  verb(
    program,
    context,
    "doctor",
    "say what this machine can guarantee, and how to get more",
    "sallyport doctor --attack",
    async (session, _args, options) => {
      if (flag(options, "attack")) return attack(session, context, options);
      for (const name of ["level", "only", "plugins"]) {
        if (options[name] !== undefined) throw usage(`--${name} goes with --attack.`, "Add --attack.");
      }
      if (!(await doctor(session))) context.exitWith(1);
    },
  )
    .option("--attack", "attack each level of this machine with hostile plugins, in a throw-away home")
    .option("--level <level>", "with --attack: only this level", collectCommas)
    .option("--only <name>", "with --attack: only this group, plugin or attack", collectCommas)
    .option("--plugins <dir>", "with --attack: folder of other plugins than Sallyport's own");
}
