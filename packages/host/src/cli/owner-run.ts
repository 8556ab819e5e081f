import { writeSync, fstatSync, closeSync } from "node:fs";
import { toFailure } from "../wire/index.ts";
import type { Host } from "../host-api.ts";
import { displayText, SallyportError, toSallyportError } from "../kernel/index.ts";
import { agentSetup } from "./agent-setup.ts";
import type { CommandContext } from "./commands/define.ts";
import { openHome } from "../home/index.ts";
import { ownerStatus, stopOwner } from "./owner-stop.ts";
import { safeJson } from "./render/index.ts";
import { untilStopped } from "./signals.ts";
import type { Session } from "./session.ts";

/** Where a background owner tells its starter why it does not start. */
const REPORT_FD = 3;

const LINGER_MS = 3_000;

/** Serves the home until a signal, a stop, or, in the background, until it is idle. */
export async function runOwner(
  session: Session,
  context: CommandContext,
  options: { readonly background: boolean; readonly idleMs: number },
): Promise<void> {
  try {
    await serve(session, context, options);
  } catch (error) {
    if (options.background) report(toSallyportError(error));
    throw error;
  }
}

async function serve(
  session: Session,
  context: CommandContext,
  options: { readonly background: boolean; readonly idleMs: number },
): Promise<void> {
  const { io } = session;
  const home = openHome(session.home);
  if (!options.background) await takeOver(home, io.env);
  // Loaded here and not above: every thin client reads this file, and none of them needs a host.
  const [{ createHost }, { serveOwner }] = await Promise.all([import("../host.ts"), import("./owner-server.ts")]);
  const onDefect = (error: unknown): void => void io.stderr.write(`${displayText(describe(error), 4000)}\n`);
  const host = await createHost({ home, env: io.env, onDefect });
  try {
    const owner = await serveOwner(host, {
      home,
      env: io.env,
      version: context.version,
      background: options.background,
      idleMs: options.idleMs,
      onDefect,
    });
    const stopped = untilStopped(owner);
    if (options.background) closeReport();
    else await announce(session, host, home, owner.socket);
    await stopped;
  } finally {
    await host.close();
    // The home is free now; whatever still keeps this process is a defect, and must not keep it for good.
    setTimeout(() => process.exit(), LINGER_MS).unref();
  }
}

/* A background owner gives way to a person who wants to see it run; another `start` does not. */
async function takeOver(home: string, env: NodeJS.ProcessEnv): Promise<void> {
  const status = await ownerStatus(home, env);
  if (!status) return;
  if (!status.background) {
    throw new SallyportError("home_locked", "This home is served already.", {
      detail: `Process ${status.pid} serves it.`,
      fix: "Use it as it is, or end that process first.",
    });
  }
  await stopOwner(home, env);
}

async function announce(session: Session, host: Host, home: string, socket: string): Promise<void> {
  const { level } = await host.doctor();
  const setup = agentSetup(home);
  const guarded = host.operators.passphraseSet;
  session.print({ success: true, level, socket, passphrase_set: guarded, mcp: setup }, () =>
    [
      `${session.style.good("✔")} Serving ${home}\n`,
      `Isolation: ${session.style.bold(level ?? "none")}\nSocket:    ${socket}\n`,
      guarded ? "" : `${session.style.warn("!")} Approvals are advisory against agents that have a shell.\n`,
      `Connect an agent: paste this into its MCP configuration.\n${safeJson(setup, 2)}\n`,
      "Stop with Ctrl-C.\n",
    ].join(""),
  );
}

function report(error: SallyportError): void {
  try {
    if (fstatSync(REPORT_FD).isFIFO() || fstatSync(REPORT_FD).isSocket())
      writeSync(REPORT_FD, JSON.stringify(toFailure(error)));
  } catch {
    // Started by hand: there is nobody to tell but the log.
  }
}

function closeReport(): void {
  try {
    closeSync(REPORT_FD);
  } catch {
    // Started by hand.
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
