import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { toFailure } from "../../wire/index.ts";
import { starterConfig } from "../../config/index.ts";
import { createHome } from "../../home/index.ts";
import type { Host, PluginInfo } from "../../host-api.ts";
import { displayLine, toSallyportError } from "../../kernel/index.ts";
import { VERSION } from "../../version.ts";
import { createLogReader, LOG_POLL_MS, toLearn, toLogLine } from "../../api/index.ts";
import { agentSetup } from "../agent-setup.ts";
import { serveOwner } from "../owner-server.ts";
import { renderError, safeJson } from "../render/index.ts";
import type { Session } from "../session.ts";
import { untilStopped } from "../signals.ts";
import { flag, list, text } from "./define.ts";
import { learnText, writeNew } from "./learn.ts";
import { logLine } from "./plugin-logs.ts";

const AUTHOR = { name: "author" };

/**
 * The author's own loop: a home that nobody else uses and that is gone afterwards, so that approving what one writes oneself
 * never widens anything in the home where agents work. With `--json` one document a round, and one for each line of the log.
 */
export async function develop(
  session: Session,
  [dir = "."]: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const [{ createHost }, { watchPlugin }, { storeRoot }] = await Promise.all([
    import("../../host.ts"),
    import("../../authoring/index.ts"),
    import("../../isolation/index.ts"),
  ]);
  const folder = resolve(dir);
  const root = await mkdtemp(join(tmpdir(), "sallyport-dev-"));
  // A root-run host keeps plugins outside its home, where their user can read them.
  let publicFolder: string | undefined;
  try {
    const config = starterConfig({ pluginsEnabled: true });
    const floor = flag(options, "runtime") ? config.replace("minimum: kernel", "minimum: runtime") : config;
    const { path: home } = await createHome(join(root, "home"), floor);
    publicFolder = process.getuid?.() === 0 ? dirname(storeRoot(home, { hostIsRoot: true })) : undefined;
    const { io } = session;
    const onDefect = (error: unknown): void => void io.stderr.write(`${displayLine(String(error), 2000)}\n`);
    const host = await createHost({ home, env: io.env, onDefect });
    try {
      const owner = await serveOwner(host, {
        home,
        env: io.env,
        version: VERSION,
        background: false,
        idleMs: 0,
        onDefect,
      });
      session.remark(`A throw-away home: ${home}\n${safeJson(agentSetup(home), 2)}\nStop with Ctrl-C.\n`);
      const log = tellLog(session, host);
      const watch = await watchPlugin({
        dir: folder,
        onChange: async () => {
          const plugin = await round(host, folder, list(options, "scope"), log).finally(() => log.tell());
          tellRound(session, plugin);
        },
        onError: (error) => tellFailure(session, error),
      });
      const timer = setInterval(() => log.tell(), LOG_POLL_MS);
      try {
        await untilStopped(owner);
        if (options["record"] !== undefined) await tellRecord(session, host, text(options, "record"));
      } finally {
        clearInterval(timer);
        await watch.close();
      }
    } finally {
      await host.close();
    }
  } finally {
    await rm(root, { recursive: true, force: true });
    if (publicFolder !== undefined) await rm(publicFolder, { recursive: true, force: true });
  }
}

interface LogTeller {
  of(pluginId: string): void;
  tell(): void;
}

/** Prints what the plugin logged since the last time. */
function tellLog(session: Session, host: Host): LogTeller {
  let id: string | undefined;
  const reader = createLogReader(() => (id === undefined ? [] : host.plugins.logs(id)));
  return {
    of: (pluginId) => void (id = pluginId),
    tell() {
      for (const line of reader.fresh().map(toLogLine))
        session.io.stdout.write(session.json ? `${safeJson({ log: line })}\n` : logLine(session, line));
    },
  };
}

/** Replaces what the last round installed by what the folder holds now, grants everything it asks for, and loads it. */
async function round(
  host: Host,
  source: string,
  scopes: readonly string[] | undefined,
  log: LogTeller,
): Promise<PluginInfo> {
  for (const { id } of await host.plugins.list()) {
    // Uninstalling takes the log along, so what its shutdown logs is told before. One that does not run cannot be unloaded.
    await host.plugins.unload(AUTHOR, id).catch(() => undefined);
    log.tell();
    await host.plugins.uninstall(AUTHOR, id);
  }
  const { plugin } = await host.plugins.install(AUTHOR, { source });
  log.of(plugin.id);
  const { tools } = await host.plugins.info(plugin.id);
  await host.plugins.approve(AUTHOR, plugin.id, {
    allowTools: tools.map(({ tool }) => tool),
    ...(scopes && { scopes }),
  });
  await host.plugins.load(AUTHOR, plugin.id);
  return host.plugins.info(plugin.id);
}

/** What the plugin did and was refused, over all rounds, as the least that it would have to ask for. It grants nothing. */
async function tellRecord(session: Session, host: Host, file: string | undefined): Promise<void> {
  for (const { id } of await host.plugins.list()) {
    const answer = toLearn(await host.plugins.learn(id, { includeRefused: true, allVersions: true }));
    if (file !== undefined) await writeNew(resolve(file), `${safeJson(answer, 2)}\n`);
    session.io.stdout.write(
      session.json ? `${safeJson({ learned: answer })}\n` : learnText(session.style, { ...answer, approve: null }),
    );
  }
}

function tellRound(session: Session, plugin: PluginInfo): void {
  const tools = plugin.tools.map(({ name }) => name);
  if (session.json) {
    const { id, version, state } = plugin;
    session.io.stdout.write(`${safeJson({ success: true, plugin: { id, version, state }, tools })}\n`);
    return;
  }
  const grants = plugin.permissions.map(({ sentence }) => `  - ${displayLine(sentence, 500)}\n`).join("");
  session.io.stdout.write(
    `${session.style.good("✔")} ${displayLine(plugin.id)} ${displayLine(plugin.version)}: ${plugin.state}, ${displayLine(tools.join(", "), 500)}\n${grants}`,
  );
}

function tellFailure(session: Session, thrown: unknown): void {
  const error = toSallyportError(thrown);
  if (session.json) session.io.stdout.write(`${safeJson(toFailure(error))}\n`);
  else session.io.stderr.write(renderError(error, session.style));
}
