import { createFetch, createWebSocket, logParams } from "@sallyport/sdk/runtime";
import { createCalls } from "./calls.ts";
import type { LogSink } from "./console.ts";
import { keepRunning, prepareGlobals } from "./globals.ts";
import { createPeer, type HostMessage } from "./peer.ts";
import { createSession } from "./session.ts";
import { createPlaces } from "./places.ts";
import { createWriter, readLines } from "./wire.ts";

/* Everything that the runner needs is taken from the engine before the plugin's bundle is imported. */
const { exit, stderr } = Deno;
const { parse } = JSON;

/** Runs first in the plugin's process, until the host ends it or hangs up. `load` imports a module by URL. */
export async function run(load: (url: string) => Promise<unknown>): Promise<void> {
  const writer = createWriter();
  const peer = createPeer(writer);
  const calls = createCalls();
  const places = createPlaces();
  const log: LogSink = (level, message, call = calls.currentOrNull()) =>
    peer.notify("log", logParams(call, level, places.hide(message)));
  const leave = (code: number): void => {
    writer.flush();
    exit(code);
  };
  const prepare = (): void => {
    keepRunning(log);
    prepareGlobals(createFetch(peer, calls.current), createWebSocket(peer, calls.current), log);
  };
  const receive = createSession({ peer, calls, log, places, load, prepare, exit: leave });

  let first = true;
  try {
    await readLines(
      (line) => receive(parse(line) as HostMessage),
      (bytes) => {
        /* The first line carries the launch token. */
        if (first) bytes.fill(0);
        first = false;
      },
    );
    leave(0);
  } catch (error) {
    stderr.writeSync(new TextEncoder().encode(`runner: ${error instanceof Error ? error.message : "failed"}\n`));
    leave(1);
  }
}
