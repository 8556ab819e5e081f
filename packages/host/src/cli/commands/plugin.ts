import type { Command } from "commander";
import { z } from "zod";
import { pluginSummaryAnswer } from "../../wire/index.ts";
import { displayLine, levelInWords } from "../../kernel/index.ts";
import { table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { approve } from "./approve.ts";
import { install } from "./install.ts";
import { configure } from "./plugin-config.ts";
import { defineLearnCommand } from "./learn.ts";
import { info } from "./plugin-info.ts";
import { showLogs } from "./plugin-logs.ts";
import { defineUpgradeCommands } from "./upgrade.ts";
import { collect, collectCommas, type CommandContext, flag, globalOptions, path, query, text, verb } from "./define.ts";
import { defineRevocationCommands } from "./revoke.ts";
import { parseObject, signerOf, summaryLine } from "./views.ts";

const API = "/api/plugins";

export function definePluginCommands(program: Command, context: CommandContext): Command {
  const plugin = globalOptions(program.command("plugin")).description("install, approve, run and remove plugins");

  verb(
    plugin,
    context,
    "install [source]",
    "install a plugin from a folder, an archive (.tgz), a registry (ID@RANGE) or npm (npm:NAME@RANGE); runs none of its code",
    "sallyport plugin install acme:weather@1.2.0",
    install,
  )
    .option("--load", "load it right after, when nothing has to be approved")
    .option("--no-dependencies", "only this one; without it, plugins that it needs come along, from its own registry")
    .option("--project <dir>", "pin it in this folder's plugin.lock.json too")
    .option("--frozen", "install exactly what the lock pins (the home's, or the project's), and nothing else");
  verb(plugin, context, "list", "list the installed plugins", "sallyport plugin list", listPlugins).alias("ls");
  verb(
    plugin,
    context,
    "info <id>",
    "show a plugin: what it asks for, what it was granted, its tools",
    "sallyport plugin info weather",
    info,
  ).option("--version <version>", "which installed version");
  verb(
    plugin,
    context,
    "approve <id>",
    "grant what a plugin asks for, after showing it in plain words",
    "sallyport plugin approve weather --allow-tools forecast",
    approve,
  )
    .option(
      "--only <permission>",
      "grant only these: a capability or a permission's key; repeat or split by commas",
      collectCommas,
    )
    .option("--scope <scope>", "fill in or narrow a scope, such as filesystem=/data:r; repeat for more", collect)
    .option(
      "--allow-tools <tool>",
      "tools that agents may call without being asked; repeat or split by commas",
      collectCommas,
    )
    .option(
      "--enable-tools <tool>",
      "of the tools that can do more than read, only these are there for agents; all, unless given",
      collectCommas,
    )
    .option("--no-enable-tools", "none of them is; see `sallyport tool enable`")
    .option("--expires <time>", "when the grant ends: 30m, 12h, 7d or an ISO date")
    .option("--version <version>", "which installed version")
    .option(
      "--keep-data [owner]",
      "hand on what another author's plugin of this id kept here; whose, when there are several",
    )
    .option("--in-process", "run it in the host's process, WITH THE HOST'S RIGHTS; signed plugins only")
    .option("--grant-only", "write only the grant: no allow-list entry, ceiling or tool rule")
    .option("-y, --yes", "do not ask");
  verb(
    plugin,
    context,
    "deny <id>",
    "refuse what a plugin asks for",
    "sallyport plugin deny weather --reason 'not needed'",
    change("deny", "Denied"),
  )
    .option("--version <version>", "which installed version")
    .option("--reason <text>", "why, for the audit");
  verb(plugin, context, "load <id>", "start an approved plugin in its sandbox", "sallyport plugin load weather", load)
    .option("--version <version>", "which installed version")
    .option("--config <json>", "the operator's values for its configuration");
  verb(
    plugin,
    context,
    "unload <id>",
    "stop a plugin; its tools are gone until it is loaded",
    "sallyport plugin unload weather",
    change("unload", "Unloaded"),
  )
    .option("--now", "do not wait for calls in flight")
    .option("--force", "leave plugins that depend on it without it")
    .option("--with-dependants", "stop plugins that depend on it first");
  verb(
    plugin,
    context,
    "enable <id>",
    "let a disabled plugin be loaded again",
    "sallyport plugin enable weather",
    change("enable", "Enabled"),
  );
  verb(
    plugin,
    context,
    "disable <id>",
    "stop a plugin and keep it from being loaded",
    "sallyport plugin disable weather",
    change("disable", "Disabled"),
  )
    .option("--now", "do not wait for calls in flight")
    .option("--force", "leave plugins that depend on it without it")
    .option("--with-dependants", "stop plugins that depend on it first");
  verb(
    plugin,
    context,
    "uninstall <id>",
    "remove a plugin; its data stays unless --purge",
    "sallyport plugin uninstall weather --purge",
    uninstall,
  )
    .option("--version <version>", "only this version")
    .option("--purge", "remove its data, files and configuration too, for good")
    .option("--force", "leave plugins that depend on it without it")
    .option("--with-dependants", "stop plugins that depend on it first");
  defineUpgradeCommands(plugin, context);
  defineRevocationCommands(plugin, context);
  defineLearnCommand(plugin, context);
  verb(
    plugin,
    context,
    "logs <id>",
    "show the last lines that a plugin logged since the host started; one JSON document a line with --follow --json",
    "sallyport plugin logs weather --follow --limit 20",
    showLogs,
  )
    .option("-f, --follow", "go on with each new line, until Ctrl-C")
    .option("--limit <n>", "at most this many of the last lines, up to 1000");
  verb(
    plugin,
    context,
    "config <id>",
    "show a plugin's configuration, or replace the operator's values",
    `sallyport plugin config weather --set '{"units":"metric"}'`,
    configure,
  )
    .option("--edit", "ask for each value on the terminal; sensitive ones unseen")
    .option("--set <json>", "the operator's values, as a JSON object; replaces all but sensitive ones")
    .option("--file <file>", "the same from a YAML or JSON file");
  return plugin;
}

async function listPlugins(session: Session) {
  const { result } = await session.call("GET", API);
  session.print(result, () => {
    const plugins = z.array(pluginSummaryAnswer).parse(result);
    return table(
      ["ID", "VERSION", "STATE", "HEALTH", "ISOLATION", "CALLS", "ERRORS", "SIGNED BY", "SOURCE"],
      plugins.map((plugin) => [
        plugin.id,
        plugin.version,
        plugin.enabled ? plugin.state : "disabled",
        plugin.health.status,
        plugin.isolation === null ? "none is enough" : levelInWords(plugin.isolation),
        String(plugin.execution_count),
        String(plugin.error_count),
        signerOf(plugin),
        plugin.source,
      ]),
      "No plugin is installed. Install one: sallyport plugin install DIR",
    );
  });
}

function change(name: "deny" | "unload" | "enable" | "disable", said: string) {
  return async (
    session: Session,
    [id = ""]: readonly string[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<void> => {
    const reason = text(options, "reason");
    const version = text(options, "version");
    const now = flag(options, "now");
    const { plugin } = await session.call("POST", path(`${API}/${name}`, id), {
      body: {
        ...(reason !== undefined && { reason }),
        ...(version !== undefined && { version }),
        ...(now && { now }),
        ...(flag(options, "force") && { force: true }),
        ...(flag(options, "withDependants") && { with_dependants: true }),
      },
    });
    session.print({ success: true, plugin }, () => summaryLine(session, said, plugin));
  };
}

async function load(session: Session, [id = ""]: readonly string[], options: Readonly<Record<string, unknown>>) {
  const version = text(options, "version");
  const config = text(options, "config");
  const body = {
    ...(version !== undefined && { version }),
    ...(config !== undefined && { config: parseObject(config, "--config") }),
  };
  const { plugin } = await session.call("POST", path(`${API}/load`, id), { body });
  session.print({ success: true, plugin }, () => summaryLine(session, "Loaded", plugin));
}

async function uninstall(session: Session, [id = ""]: readonly string[], options: Readonly<Record<string, unknown>>) {
  const before = await session.get(pluginSummaryAnswer, "GET", path(`${API}/info`, id));
  const version = text(options, "version");
  const yes = (name: string): "true" | undefined => (flag(options, name) ? "true" : undefined);
  const wanted = query({
    version,
    purge: yes("purge"),
    force: yes("force"),
    with_dependants: yes("withDependants"),
  });
  await session.call("DELETE", `${path(`${API}/uninstall`, id)}${wanted}`);
  const plugin = { id: before.id, version: version ?? before.version };
  session.print(
    { success: true, plugin },
    `${session.style.good("✔")} Uninstalled ${displayLine(plugin.id)} ${displayLine(plugin.version)}\n`,
  );
}
