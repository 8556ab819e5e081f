import { join } from "node:path";
import { wordOf } from "./list.ts";
import { layerOf } from "./layer.ts";
import { buildPackage } from "./packages.ts";
import type { Attack, AttackResult, AttackStep, Ending, LevelResult, Setting } from "./types.ts";
import { NEIGHBOUR, openWorld, type Snapshot, untilGone, type World } from "./world.ts";

export interface RunOptions {
  /** The folder of the example plugins, with `hostile/` in it. */
  readonly plugins: string;
  readonly attacks: readonly Attack[];
  readonly onStep?: (step: AttackStep) => void;
  readonly signal?: AbortSignal;
}

const CANCEL_AFTER_MS = 200;
/** The supervisor looks every two seconds and ends what runs on in two looks; more is a failure. */
const ENDS_MS = 15_000;

/** Runs attacks one after another against one host of its own at one setting, and takes everything away again. */
export async function runSetting(setting: Setting, options: RunOptions): Promise<LevelResult> {
  const world = await openWorld(setting, options.plugins);
  const results: AttackResult[] = [];
  let left: readonly string[] = [];
  try {
    await installAll(world, options);
    const stage = createStage(world);
    for (const [index, attack] of options.attacks.entries()) {
      options.signal?.throwIfAborted();
      options.onStep?.({ name: attack.name, index, of: options.attacks.length });
      results.push(await runOne(world, stage, setting, attack));
    }
    await stage.leave();
  } finally {
    left = await world.close();
  }
  results.push(afterwards(left));
  const counted = results.filter(({ guaranteed }) => guaranteed);
  return {
    ...setting,
    attacks: results,
    contained: counted.filter(({ contained }) => contained).length,
    escaped: counted.filter(({ contained }) => !contained).length,
    not_guaranteed: results.length - counted.length,
  };
}

async function installAll(world: World, { attacks, plugins }: RunOptions): Promise<void> {
  for (const plugin of new Set(attacks.filter(({ stage }) => stage !== "install").map((attack) => attack.plugin))) {
    if (plugin === NEIGHBOUR) continue;
    const scopes = plugin === "granted-files" ? [`filesystem=${world.grounds.granted}:rw`] : [];
    // One that cannot be installed is seen when it is attacked with: its load is refused.
    await world.host().ending({
      do: "install",
      source: join(plugins, "hostile", plugin),
      approve: { scopes, allowTools: ["attack"] },
    });
  }
}

/** Which hostile plugin is loaded now: one at a time, kept over its attacks while its process lives. */
interface Stage {
  enter(plugin: string): Promise<Ending | null>;
  leave(): Promise<void>;
}

function createStage(world: World): Stage {
  let loaded: { readonly plugin: string; readonly pids: readonly number[] } | null = null;
  const alive = (): boolean => {
    const now = new Set(world.plugins());
    return loaded !== null && loaded.pids.length > 0 && loaded.pids.every((pid) => now.has(pid));
  };
  const stage: Stage = {
    async enter(plugin) {
      await world.restore();
      if (loaded?.plugin === plugin && alive()) return null;
      await stage.leave();
      const ending = await world.host().ending({ do: "load", plugin });
      if ("code" in ending) return ending;
      loaded = { plugin, pids: world.plugins() };
      return null;
    },
    async leave() {
      if (loaded !== null && !world.host().ended) await world.host().ending({ do: "unload", plugin: loaded.plugin });
      loaded = null;
    },
  };
  return stage;
}

async function runOne(world: World, stage: Stage, setting: Setting, attack: Attack): Promise<AttackResult> {
  const started = performance.now();
  const { ending, before, after } = await perform(world, stage, attack);
  const word = wordOf(attack, ending);
  const harm = [...after, ...(await world.harm(before)), ...(await tales(world, ending))];
  const problems = [...harm, ...word.succeeded.map((what) => `it says that it managed: ${what}`)];
  if (!word.expected) problems.push(`it did not end as a contained attack does: ${word.how}`);
  const contained = problems.length === 0;
  return {
    name: attack.name,
    layer: contained ? layerOf(attack, setting, ending, word.attempts) : null,
    contained,
    evidence: contained
      ? `${word.how}; seen from the host: planted files, listeners, neighbour and kernel objects are untouched`
      : problems.join("; "),
    tries: attack.tries,
    group: attack.group,
    guaranteed: !attack.notPromised.includes(setting.level),
    duration_ms: Math.round(performance.now() - started),
  };
}

interface Performed {
  readonly ending: Ending;
  readonly before: Snapshot;
  /** Harm that only this kind of attack can do. */
  readonly after: readonly string[];
}

async function perform(world: World, stage: Stage, attack: Attack): Promise<Performed> {
  if (attack.stage === "install") return install(world, attack);
  if (attack.stage === "load") return load(world, stage, attack);
  // The neighbour is there already, and stays.
  const refused = attack.plugin === NEIGHBOUR ? null : await stage.enter(attack.plugin);
  const before = await world.look();
  if (refused !== null)
    return { ending: refused, before, after: ["the attack could not start: its plugin did not load"] };
  const ending = await call(world, attack);
  // A process that ended, or is about to, is no ground for the next attack.
  if ("code" in ending && attack.next === undefined) await stage.leave();
  if (attack.next === "unload") return { ending, before, after: await unload(world, stage) };
  if (attack.next === "kill_host") return { ending, before, after: await killHost(world, stage) };
  if (attack.next === "ends") return { ending, before, after: await untilGone([...before.views.keys()], ENDS_MS) };
  return { ending, before, after: [] };
}

async function install(world: World, attack: Attack): Promise<Performed> {
  await world.restore();
  const before = await world.look();
  const source = await buildPackage(attack.plugin, world.grounds.folder, world.grounds);
  return {
    ending: await world.host().ending({ do: "install", source, approve: { scopes: [], allowTools: [] } }),
    before,
    after: [],
  };
}

async function load(world: World, stage: Stage, attack: Attack): Promise<Performed> {
  await stage.leave();
  await world.restore();
  const before = await world.look();
  const ending = await world.host().ending({ do: "load", plugin: attack.plugin });
  if ("code" in ending) return { ending, before, after: await untilGone(world.plugins()) };
  await world.host().ending({ do: "unload", plugin: attack.plugin });
  return { ending: { answer: null }, before, after: ["it was loaded"] };
}

function call(world: World, attack: Attack): Promise<Ending> {
  if (attack.plugin === NEIGHBOUR) return world.host().ending({ do: "swap", plugin: attack.plugin });
  const input = attack.told ? { ...attack.input, target: world.target() } : attack.input;
  return world.host().ending({
    do: "call",
    plugin: attack.plugin,
    tool: "attack",
    input,
    ...(attack.next === "cancel" ? { cancelAfterMs: CANCEL_AFTER_MS } : {}),
  });
}

async function unload(world: World, stage: Stage): Promise<readonly string[]> {
  const pids = world.plugins();
  if (pids.length === 0) return ["it was gone before it was unloaded"];
  await stage.leave();
  return untilGone(pids);
}

async function killHost(world: World, stage: Stage): Promise<readonly string[]> {
  const pids = [...world.plugins(), world.neighbour()];
  await world.host().kill();
  const left = await untilGone(pids);
  await stage.leave();
  await world.restore();
  return left;
}

/** Planted text that came out by an answer or a log, and what an attack left in the host's own objects. */
async function tales(world: World, ending: Ending): Promise<readonly string[]> {
  const { marker } = world.grounds;
  const found: string[] = [];
  if (JSON.stringify(ending).includes(marker)) found.push("a planted text came out in the answer");
  if (world.host().ended) return found;
  const { polluted, logs, audit } = await world.host().health();
  if (logs.includes(marker)) found.push("a planted text came out in the log");
  if (polluted.length > 0) found.push(`the host's prototypes hold ${polluted.join(", ")}`);
  if (audit === false) found.push("the audit cannot be written");
  const echoed = await world
    .host()
    .ending({ do: "call", plugin: NEIGHBOUR, tool: "echo", input: { text: "still here" } });
  if (JSON.stringify(echoed) !== '{"answer":{"text":"still here"}}') found.push("the neighbour no longer answers");
  return found;
}

function afterwards(left: readonly string[]): AttackResult {
  return {
    name: "afterwards",
    layer: left.length === 0 ? "supervisor" : null,
    contained: left.length === 0,
    evidence: left.length === 0 ? "no process is left and the audit verifies" : left.join("; "),
    tries: "leaves something behind when all is over",
    group: "lifecycle",
    guaranteed: true,
    duration_ms: 0,
  };
}
