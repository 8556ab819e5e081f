import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { storeRoot } from "../../isolation/index.ts";
import { displayLine, SallyportError } from "../../kernel/index.ts";
import { agentSetup } from "../agent-setup.ts";
import { type Attack, type Ending, readAttacks } from "../attack/index.ts";
import type { Io } from "../io.ts";
import { createStyle } from "../render/index.ts";
import { connectAgent, type DemoAgent } from "./agent.ts";
import { askAndAnswer } from "./ask.ts";
import { judge } from "./attacks.ts";
import { isRecord, type Ran, runCommand, textOf } from "./shell.ts";
import { createTeller, type Teller } from "./tell.ts";

export interface DemoOptions {
  /** The folder of the example plugins; the repository's unless told. */
  readonly plugins?: string | undefined;
}

/** A home that the demo leaves behind for whoever goes on serving it. */
export interface DemoEnd {
  readonly home: string;
  /** Every promise of the transcript was kept. */
  readonly held: boolean;
  remove(): Promise<void>;
}

interface Stage {
  readonly tell: Teller;
  readonly home: string;
  readonly plugins: string;
  readonly env: NodeJS.ProcessEnv;
  sallyport(...args: string[]): Promise<Ran>;
}

const REPOSITORY_PLUGINS = fileURLToPath(new URL("../../../../../plugins/", import.meta.url));

/** The whole promise on real code, in a throw-away home: every line is a command that a person could type. */
export async function runDemo(io: Io, options: DemoOptions): Promise<DemoEnd> {
  const plugins = options.plugins ?? REPOSITORY_PLUGINS;
  if (!existsSync(join(plugins, "csv-insights", "plugin.yml"))) {
    throw new SallyportError("not_found", "The plugins of the demo are not here.", {
      detail: `There is no csv-insights in ${plugins}.`,
      fix: "Run `npm start` in Sallyport's repository, or pass --plugins DIR with its folder `plugins`.",
    });
  }
  const folder = await mkdtemp(join(tmpdir(), "sallyport-demo-"));
  const home = join(folder, "home");
  const env = { ...io.env, NO_COLOR: "1", SALLYPORT_PASSPHRASE: undefined };
  const tell = createTeller(io.stdout, createStyle(io.stdout, io.env));
  const stage: Stage = {
    tell,
    home,
    env,
    plugins,
    async sallyport(...args) {
      tell.command(`sallyport ${args.map((arg) => (/[\s"{]/.test(arg) ? `'${arg}'` : arg)).join(" ")}`);
      return runCommand(home, args, env);
    },
  };
  await play(stage);
  return {
    home,
    held: tell.broken.length === 0,
    remove: async () => {
      const hostIsRoot = process.getuid?.() === 0;
      if (hostIsRoot) await rm(dirname(storeRoot(home, { hostIsRoot })), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function play(stage: Stage): Promise<void> {
  const { tell } = stage;
  tell.chapter("A home, and what this machine can guarantee");
  const made = await stage.sallyport("init", "--enable-plugins", "--no-passphrase");
  tell.step(made.exitCode === 0, `a throw-away home in ${stage.home}`);
  tell.say("Without a passphrase, approvals are advisory against agents that have a shell.");
  const level = await machineLevel(stage);

  tell.chapter("A plugin that nobody here trusts: what it wants, and one yes");
  await installAndApprove(stage, "data-processor", []);
  if (level === "runtime") await lowerTheFloor(stage);
  await load(stage, "data-processor", level);
  const data = join(stage.plugins, "csv-insights", "data");
  await installAndApprove(stage, "csv-insights", ["--scope", `filesystem=${data}:r`]);
  await load(stage, "csv-insights", level);

  tell.chapter("An agent: the official MCP client, with `sallyport mcp` as its server");
  const agent = await connectAgent(stage.home, stringsOf(stage.env));
  try {
    await useTools(stage, agent, data);
    tell.chapter("A call that changes something: the agent asks, the operator answers");
    await installAndApprove(stage, "echo", []);
    await load(stage, "echo", level);
    await askAndAnswer(stage, agent);
    tell.chapter("Hostile plugins, each loaded and called for real");
    await attackAll(stage, agent);
  } finally {
    await agent.close();
  }

  tell.chapter("What happened, as the audit has it");
  await provenByAudit(stage);
}

async function machineLevel(stage: Stage): Promise<string> {
  const { tell } = stage;
  const { json } = await stage.sallyport("doctor");
  const level = textOf(json, "level");
  if (level === "")
    throw new SallyportError("isolation_unavailable", "No isolation level works on this machine.", {
      fix: "Run: sallyport doctor",
    });
  tell.step(true, `plugins run at level "${level}"`);
  if (level === "runtime") tell.say(`To raise it: ${fixOf(json, "isolation namespace")}`);
  return level;
}

function fixOf(doctor: unknown, name: string): string {
  const checks = isRecord(doctor) && Array.isArray(doctor["checks"]) ? doctor["checks"] : [];
  return (
    textOf(
      checks.find((check) => textOf(check, "name") === name),
      "fix",
    ) || "sallyport doctor"
  );
}

async function installAndApprove(stage: Stage, name: string, more: readonly string[]): Promise<void> {
  const { tell } = stage;
  const installed = await stage.sallyport("plugin", "install", join(stage.plugins, name));
  tell.step(
    installed.exitCode === 0,
    `${name}: ${textOf(installed.json, "plugin", "state")}, ${textOf(installed.json, "plugin", "digest").slice(0, 19)}…`,
  );
  const wishes =
    isRecord(installed.json) && Array.isArray(installed.json["permissions"]) ? installed.json["permissions"] : [];
  tell.say(
    wishes.length === 0 ? "It asks for nothing: no network, no files, no secrets." : "It asks to be allowed this:",
  );
  for (const wish of wishes) tell.say(`  • ${displayLine(textOf(wish, "sentence"))}`);
  const approved = await stage.sallyport("plugin", "approve", name, "--yes", ...more);
  tell.step(approved.exitCode === 0, `approved, for exactly these bytes`);
}

async function load(stage: Stage, name: string, level: string): Promise<void> {
  const loaded = await stage.sallyport("plugin", "load", name);
  const real = textOf(loaded.json, "plugin", "isolation");
  stage.tell.step(loaded.exitCode === 0 && real === level, `${name} runs in a process of its own at level "${real}"`);
}

/** Without a kernel level the right answer is no; then the operator, and nobody else, may give the wall up. */
async function lowerTheFloor(stage: Stage): Promise<void> {
  const { tell } = stage;
  const refused = await stage.sallyport("plugin", "load", "data-processor");
  const code = textOf(refused.json, "code");
  tell.step(refused.exitCode === 3 && code === "isolation_unavailable", `refused with ${code}: no kernel level here`);
  tell.say(`fix: ${textOf(refused.json, "fix")}`);
  const file = join(stage.home, "config.yml");
  tell.command(`sed -i 's/minimum: kernel/minimum: runtime/' ${file}`);
  await writeFile(file, (await readFile(file, "utf8")).replace("minimum: kernel", "minimum: runtime"));
  tell.say(
    "In this throw-away home the floor is lower now. Given up: the kernel's wall. Only the JavaScript runtime keeps a",
  );
  tell.say("plugin from the files, network and programs that the user nobody (or you, if you are not root) can reach.");
}

async function useTools(stage: Stage, agent: DemoAgent, data: string): Promise<void> {
  const { tell } = stage;
  tell.say(`tools/list → ${(await agent.tools()).join(", ")}`);
  const doubled = await agent.call("data-processor__transform", {
    data: [1, 2, 3, 4, 5],
    operation: "multiply",
    value: 2,
  });
  tell.step(
    /\[?2,\s*4,\s*6,\s*8,\s*10/.test(shown(doubled)),
    `data-processor__transform [1,2,3,4,5] × 2 → ${shown(doubled)}`,
  );
  const described = await agent.call("csv-insights__describe", { path: join(data, "seattle-weather-2012.csv") });
  const rows = "answer" in described ? textOf(described.answer, "rows") : "";
  tell.step(Number(rows) > 300, `csv-insights__describe a real data set → ${rows} rows, statistics per column`);
  const stolen = await agent.call("csv-insights__describe", { path: "/etc/passwd" });
  tell.step(
    "code" in stolen,
    `csv-insights__describe /etc/passwd → ${"code" in stolen ? "refused: not granted" : "an answer"}`,
  );
}

function shown(ending: Ending): string {
  return "code" in ending ? ending.code : displayLine(JSON.stringify(ending.answer), 200);
}

/** One attack of each of some hostile plugins; `sallyport doctor --attack` has them all. */
async function attackAll(stage: Stage, agent: DemoAgent): Promise<void> {
  const folder = join(stage.plugins, "hostile");
  for (const attack of (await readAttacks(folder)).filter(({ demo }) => demo)) {
    const ending = await perform(stage, agent, join(folder, attack.plugin), attack);
    const verdict = judge(attack, ending);
    const well = "answer" in (await agent.call("data-processor__aggregate", { data: [1, 2], operation: "sum" }));
    const outcome = verdict.contained ? (well ? "contained" : "the host no longer answers") : "NOT CONTAINED";
    stage.tell.step(verdict.contained && well, `${attack.plugin} ${attack.tries} → ${outcome}: ${verdict.how}`);
    await runCommand(stage.home, ["plugin", "revoke", attack.plugin, "--yes"], stage.env);
  }
}

async function perform(stage: Stage, agent: DemoAgent, source: string, attack: Attack): Promise<Ending> {
  const run = (...args: string[]): Promise<Ran> => runCommand(stage.home, args, stage.env);
  await run("plugin", "install", source);
  await run("plugin", "approve", attack.plugin, "--yes", "--allow-tools", "attack");
  const loaded = await run("plugin", "load", attack.plugin);
  if (loaded.exitCode !== 0 || attack.stage === "load")
    return loaded.exitCode === 0 ? { answer: null } : { code: textOf(loaded.json, "code") };
  return agent.call(`${attack.plugin}__attack`, attack.input);
}

async function provenByAudit(stage: Stage): Promise<void> {
  const { tell } = stage;
  const listed = await stage.sallyport("audit", "list", "--type", "plugin_tool.invoked", "--limit", "1000");
  const events = isRecord(listed.json) && Array.isArray(listed.json["answer"]) ? listed.json["answer"].length : 0;
  tell.step(events > 0, `${events} events of tool calls, intents and outcomes`);
  const verified = await stage.sallyport("audit", "verify");
  const ok = isRecord(verified.json) && verified.json["ok"] === true;
  tell.step(
    ok,
    `the chain of ${textOf(verified.json, "events")} events verifies; head ${textOf(verified.json, "head", "hash").slice(0, 23)}…`,
  );
}

function stringsOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
}

/** What a person does next. */
export function nextSteps(home: string): string {
  return [
    "",
    "Connect an agent: paste this into its MCP configuration",
    JSON.stringify(agentSetup(home), null, 2),
    "",
    "Make a home of your own:  sallyport init",
    "Write a plugin:           sallyport plugin new my-plugin",
    "",
  ].join("\n");
}
