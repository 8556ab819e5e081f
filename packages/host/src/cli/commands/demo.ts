import type { Command } from "commander";
import { SallyportError } from "../../kernel/index.ts";
import { runOwner } from "../owner-run.ts";
import { stopOwner } from "../owner-stop.ts";
import { createSession, type Session } from "../session.ts";
import { type CommandContext, flag, text, verb } from "./define.ts";

export function defineDemoCommand(program: Command, context: CommandContext): void {
  verb(
    program,
    context,
    "demo",
    "show the whole promise in a throw-away home, attacks included (needs Sallyport's repository)",
    "sallyport demo --once",
    (session, _args, options) => demo(session, context, options),
  )
    .option("--once", "end after the transcript: 0 only if each step held")
    .option("--plugins <dir>", "folder of the example plugins");
}

async function demo(
  session: Session,
  context: CommandContext,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { io } = session;
  // The client that it plays the agent with is needed by nothing else.
  const { nextSteps, runDemo } = await import("../demo/index.ts");
  const end = await runDemo(io, { plugins: text(options, "plugins") });
  const own = createSession(io, { home: end.home });
  try {
    if (!end.held) {
      throw new SallyportError("conflict", "The transcript shows a promise that was not kept.", {
        fix: "Look for ✘ above; please report it with the output of: sallyport doctor",
      });
    }
    io.stdout.write(nextSteps(end.home));
    if (!flag(options, "once")) await runOwner(own, context, { background: false, idleMs: 0 });
  } finally {
    await stopOwner(end.home, io.env);
    await end.remove();
  }
}
