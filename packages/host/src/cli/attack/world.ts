import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Grounds, plantGrounds } from "./canaries.ts";
import { type Decoys, openDecoys } from "./decoys.ts";
import { type AttackedHost, startHost } from "./host-client.ts";
import { changesIn, descendantsOf, familyOf, isRunning, kernelTime, type ProcessView, viewOf } from "./kernel-view.ts";
import type { Setting } from "./types.ts";

/** One setting's host with its neighbour plugin, the planted things around it, and the eyes on all of them. */
export interface World {
  readonly grounds: Grounds;
  readonly decoys: Decoys;
  readonly host: () => AttackedHost;
  readonly neighbour: () => number;
  /** What a plugin is told about the places that it may try. */
  target(): Readonly<Record<string, unknown>>;
  /** Processes of plugins other than the neighbour. */
  plugins(): readonly number[];
  /** Takes two looks or more, until what it sees stands still. */
  look(): Promise<Snapshot>;
  /** Everything that is not as it was, in words; waits for contacts that are under way. */
  harm(before: Snapshot): Promise<readonly string[]>;
  /** Makes sure that there is a host with a living neighbour, whatever an attack did. */
  restore(): Promise<void>;
  close(): Promise<readonly string[]>;
}

export interface Snapshot {
  /** When it was taken, as the kernel counts. */
  readonly at: number;
  readonly views: ReadonlyMap<number, ProcessView>;
  readonly neighbour: ProcessView | null;
  readonly host: ProcessView | null;
}

/** A well-behaved plugin that must not notice anything. */
export const NEIGHBOUR = "echo";
const GONE_MS = 3_000;
const POLL_MS = 10;
/** Looks until two in a row agree; who keeps starting processes for longer is caught in the act. */
const LOOKS = 20;

/** Opens the world. `plugins` is the folder of the example plugins, the neighbour among them. */
export async function openWorld(setting: Setting, plugins: string): Promise<World> {
  const grounds = await plantGrounds(setting.level);
  const decoys = await openDecoys(grounds.folder, grounds.marker);
  const planted = [grounds.file, grounds.json, join(grounds.home, "vault"), join(grounds.home, "state.db")];
  let host = startHost(grounds.environment);
  let neighbour = 0;

  async function open(): Promise<void> {
    await host.order({
      do: "open",
      home: grounds.home,
      ...setting,
      grantedPort: decoys.granted,
      decoyPort: decoys.http,
    });
  }

  async function loadNeighbour(): Promise<void> {
    const before = new Set(descendantsOf(host.pid));
    await host.order({ do: "load", plugin: NEIGHBOUR });
    // The innermost process is the one that runs its code.
    neighbour =
      descendantsOf(host.pid)
        .filter((pid) => !before.has(pid))
        .at(-1) ?? 0;
  }

  async function start(): Promise<void> {
    await open();
    await host.order({ do: "install", source: join(plugins, NEIGHBOUR), approve: { scopes: [], allowTools: [] } });
    await host.order({
      do: "secret",
      name: "CANARY_KEY",
      value: `${grounds.marker}-key`,
      origin: "https://granted.test",
    });
    await loadNeighbour();
  }

  try {
    await start();
  } catch (error) {
    await host.kill();
    await decoys.close();
    await grounds.remove();
    throw error;
  }

  const pluginPids = (): readonly number[] => {
    const family = familyOf(host.pid);
    const own = family.find(({ pid }) => pid === neighbour)?.branch;
    return family.filter(({ branch }) => branch !== own).map(({ pid }) => pid);
  };

  const lookOnce = (): Snapshot => {
    const at = kernelTime();
    const views = pluginPids().flatMap((pid): [number, ProcessView][] => {
      const view = viewOf(pid, planted);
      return view === null ? [] : [[pid, view]];
    });
    return { at, views: new Map(views), neighbour: viewOf(neighbour, planted), host: viewOf(host.pid, []) };
  };

  const world: World = {
    grounds,
    decoys,
    host: () => host,
    neighbour: () => neighbour,
    target: () => ({
      file: grounds.file,
      json: grounds.json,
      folder: grounds.outside,
      granted: grounds.granted,
      home: grounds.home,
      host_pid: host.pid,
      neighbour_pid: neighbour,
      host_name: hostname(),
      http: decoys.http,
      tcp: decoys.tcp,
      udp: decoys.udp,
      dns: decoys.dns,
      unix: decoys.unix,
      abstract: decoys.abstract,
    }),
    plugins: pluginPids,
    async look() {
      let seen = lookOnce();
      for (let tries = 0; tries < LOOKS; tries++) {
        await pause(POLL_MS);
        const again = lookOnce();
        if (sameProcesses(seen, again)) return again;
        seen = again;
      }
      return seen;
    },
    async harm(before) {
      const found = [...(await decoys.contacts()), ...grounds.touched()];
      if (host.ended) found.push("the host ended");
      if (!isRunning(neighbour)) found.push("the neighbour's process ended");
      const now = await world.look();
      for (const [pid, view] of now.views) {
        const was = before.views.get(pid);
        if (was?.startTime === view.startTime)
          found.push(...changesIn(was, view).map((change) => `the plugin: ${change}`));
        // The kernel's lists may miss a process while others end: one that is older was only not seen.
        else if (before.views.size > 0 && now.views.size > before.views.size && Number(view.startTime) >= before.at)
          found.push(`a new process, ${view.name}`);
      }
      for (const whose of ["neighbour", "host"] as const) {
        const [was, is] = [before[whose], now[whose]];
        // The broker's connections are the host's own, and the listeners see where they lead.
        const holds = whose === "host" ? [] : is?.holds;
        const same = was?.pid === is?.pid && was?.startTime === is?.startTime;
        if (was && is && holds && same)
          found.push(...changesIn(was, { ...is, holds }).map((change) => `the ${whose}: ${change}`));
      }
      return [...new Set(found)];
    },
    async restore() {
      if (host.ended) {
        host = startHost(grounds.environment);
        await open();
        await loadNeighbour();
      } else if (!isRunning(neighbour)) {
        await host.ending({ do: "unload", plugin: NEIGHBOUR });
        await loadNeighbour();
      }
    },
    async close() {
      const found: string[] = [];
      const left = descendantsOf(host.pid);
      if (!host.ended) {
        const end = await host.ending({ do: "close" });
        if ("code" in end) found.push(`the host did not close: ${end.code}`);
        else if (JSON.stringify(end.answer) !== '{"audit":true}') found.push("the audit does not verify");
      }
      await host.kill();
      found.push(...(await untilGone(left)));
      await decoys.close();
      await grounds.remove();
      return found;
    },
  };
  return world;
}

/** The kernel's lists are whole only while nothing starts or ends, so that one look proves nothing. */
function sameProcesses(a: Snapshot, b: Snapshot): boolean {
  return (
    a.views.size === b.views.size && [...a.views].every(([pid, view]) => b.views.get(pid)?.startTime === view.startTime)
  );
}

/** Waits until none of these processes runs; tells of those that still do after three seconds. */
export async function untilGone(pids: readonly number[], limitMs = GONE_MS): Promise<readonly string[]> {
  const deadline = performance.now() + limitMs;
  while (pids.some(isRunning)) {
    if (performance.now() > deadline) return [`${pids.filter(isRunning).length} of its processes still run`];
    await pause(POLL_MS);
  }
  return [];
}
