import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isErrorCode, SallyportError } from "../kernel/index.ts";
import { failureAnswer } from "../wire/index.ts";
import type { OwnerClient } from "./owner-client.ts";

/** How long an owner may take until its socket answers, and a loser of the race waits for the winner. */
const START_MS = 30_000;
const POLL_MS = 20;

const INHERITED = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "LANG",
  "LC_ALL",
  "TZ",
  "TMPDIR",
  "XDG_RUNTIME_DIR",
  "PLUGIN_DIR",
  "REGISTRY_DIR",
  "PLUGIN_SECRET_KEY",
  "PLUGIN_SECRET_KEY_PREVIOUS",
  "SALLYPORT_VAULT_KEY",
  "SALLYPORT_VAULT_KEY_PREVIOUS",
  // The way to the system's keyring, where the vault's key may be.
  "DBUS_SESSION_BUS_ADDRESS",
  "NODE_EXTRA_CA_CERTS",
];

/**
 * Starts an owner in the background and waits until it serves. Of several starters one wins; the others become its clients.
 * @throws {SallyportError} the reason that the owner gave for not starting.
 */
export async function startOwner(
  home: string,
  env: NodeJS.ProcessEnv,
  find: () => Promise<OwnerClient | undefined>,
): Promise<OwnerClient> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
  const log = await open(join(home, "owner.log"), flags, 0o600);
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL("./main.js", import.meta.url)), "start", "--background", "--home", home],
    // The owner lives longer than this terminal and project: nothing of their environment or folder goes with it.
    { detached: true, cwd: home, env: pick(env), stdio: ["ignore", log.fd, log.fd, "pipe"] },
  );
  await log.close();
  let report = "";
  let ended = false;
  const channel = child.stdio[3];
  channel?.on("data", (chunk: Buffer) => (report += chunk.toString("utf8").slice(0, 65_536)));
  channel?.on("error", () => undefined);
  child.once("error", () => (ended = true));
  child.once("close", () => (ended = true));
  try {
    const deadline = performance.now() + START_MS;
    while (performance.now() < deadline) {
      const owner = await find();
      if (owner) return owner;
      if (ended) throwUnlessLostTheRace(report);
      await pause(POLL_MS);
    }
  } finally {
    channel?.destroy();
    child.unref();
  }
  throw new SallyportError("home_locked", "The owner of this home does not answer.", {
    detail: ended
      ? "Another process holds the home's lock and serves no socket that this command can find."
      : "It was started and is not ready after 30 seconds.",
    fix: "Look at owner.log in the home; end the process that uses the home, then try again.",
  });
}

function throwUnlessLostTheRace(report: string): void {
  const failure = failureAnswer.safeParse(report === "" ? undefined : JSON.parse(report));
  if (!failure.success) {
    throw new SallyportError("internal", "The owner of this home did not start.", {
      detail: "It ended without a reason.",
      fix: "Look at owner.log in the home.",
    });
  }
  const { code, error, detail, fix } = failure.data;
  if (code === "home_locked") return;
  throw new SallyportError(isErrorCode(code) ? code : "internal", error, {
    ...(detail !== undefined && { detail }),
    ...(fix !== undefined && { fix }),
    ...(failure.data.data && { data: failure.data.data }),
  });
}

function pick(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(INHERITED.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
