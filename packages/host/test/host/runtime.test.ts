import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StoredPlugin } from "../../src/store/index.ts";
import { gate, makeRuntime, type RuntimeBench } from "./runtime-parts.ts";

const OPERATOR = "operator:tester";
const UNLOAD = { actor: OPERATOR, reason: "unloaded" };

let bench: RuntimeBench;
let plugin: StoredPlugin;
beforeEach(async () => {
  bench = await makeRuntime();
  plugin = await bench.record();
});
afterEach(() => bench.remove());

/** Resolves when the plugin is in this state. */
async function reaches(state: string): Promise<void> {
  const done = gate();
  const look = (): void => {
    if (bench.state(plugin) === state) done.open();
  };
  const stop = bench.catalog.onChange(look);
  look();
  await done.promise;
  stop();
}

/** Lets everything that is ready run, the store's thread too. */
const settle = () => bench.audit.query({});

describe("at most one process of a plugin", () => {
  it("is kept by a load that comes while the last process is on its way out", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    const linger = (bench.launched[0]!.linger = gate());
    const unloaded = bench.runtime.stop(plugin, "stopped", UNLOAD);
    const loaded = bench.runtime.start(plugin, OPERATOR);
    await reaches("stopped");
    await settle();
    expect(bench.launched).toHaveLength(1);
    linger.open();
    await Promise.all([unloaded, loaded]);
    expect(bench.alive()).toEqual([bench.launched[1]]);
    expect(bench.runtime.running(plugin.ref, "a")).toBe(bench.launched[1]);
    expect(bench.state(plugin)).toBe("running");
  });

  it("is kept by starts that come together, and by a start of another version", async () => {
    const started = await Promise.all([1, 2, 3].map(() => bench.runtime.start(plugin, OPERATOR)));
    expect(new Set(started).size).toBe(1);
    const other = await bench.record("2.0.0");
    await expect(bench.runtime.start(other, OPERATOR)).rejects.toMatchObject({ code: "conflict" });
    expect(bench.launched).toHaveLength(1);
  });
});

describe("an operator who stops a plugin", () => {
  it.each(["stopped", "disabled", "revoked"] as const)(
    "has the last word over a start in its gates: %s",
    async (to) => {
      const permit = gate();
      bench.onPermit = () => permit.promise;
      const started = bench.runtime.start(plugin, OPERATOR);
      const stopped = bench.runtime.stop(plugin, to, UNLOAD).catch((error: unknown) => error);
      permit.open();
      await expect(started).rejects.toMatchObject({ code: "plugin_not_running" });
      await stopped;
      expect(bench.launched).toEqual([]);
      expect(bench.state(plugin)).toBe(to === "stopped" ? "approved" : to);
    },
  );

  it.each(["stopped", "disabled", "revoked"] as const)(
    "ends a start at its launch, and no process is left: %s",
    async (to) => {
      const launching = gate();
      bench.onLaunch = (_process, signal) => {
        launching.open();
        return new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
      };
      const started = bench.runtime.start(plugin, OPERATOR);
      started.catch(() => undefined);
      await launching.promise;
      expect(await bench.runtime.stop(plugin, to, UNLOAD)).toMatchObject({ state: to });
      await expect(started).rejects.toThrow();
      expect(bench.alive()).toEqual([]);
      expect((await bench.edges()).slice(-2)).toEqual(["approved→starting", `starting→${to}`]);
    },
  );

  it("ends a start whose process is up already but not yet recorded as running", async () => {
    const launching = gate();
    const launched = gate();
    bench.onLaunch = async () => {
      launching.open();
      await launched.promise;
    };
    const started = bench.runtime.start(plugin, OPERATOR);
    started.catch(() => undefined);
    await launching.promise;
    launched.open();
    await bench.runtime.stop(plugin, "stopped", UNLOAD);
    await expect(started).rejects.toThrow();
    expect(bench.alive()).toEqual([]);
    expect(bench.state(plugin)).toBe("stopped");
    expect(bench.runtime.running(plugin.ref, "a")).toBeUndefined();
  });

  it("is not overruled by the restart after a crash", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    bench.launched[0]!.crash("it fell over");
    await bench.launched[0]!.exited;
    await bench.runtime.stop(plugin, "stopped", UNLOAD);
    await settle();
    expect(bench.state(plugin)).toBe("stopped");
    expect(bench.launched).toHaveLength(1);
    await expect(bench.runtime.wake(plugin.ref, "a")).rejects.toMatchObject({ code: "plugin_not_running" });
  });

  it("is not overruled by a call that wakes the plugin", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    await bench.runtime.stop(plugin, "idle", { actor: "host" });
    const permit = gate();
    bench.onPermit = () => permit.promise;
    const woken = bench.runtime.wake(plugin.ref, "a");
    const stopped = bench.runtime.stop(plugin, "stopped", UNLOAD);
    permit.open();
    await expect(woken).rejects.toMatchObject({ code: "plugin_not_running" });
    expect(await stopped).toMatchObject({ state: "stopped" });
    expect(bench.alive()).toEqual([]);
  });
});

describe("a process that dies", () => {
  it("while its start is being recorded is a crash, not a plugin that runs without a process", async () => {
    const launched = gate();
    bench.onLaunch = async (process) => {
      if (bench.launched.length === 1) process.crash("it died at once");
      else launched.open();
      await Promise.resolve();
    };
    await bench.runtime.start(plugin, OPERATOR);
    await launched.promise;
    await reaches("running");
    expect(await bench.edges()).toEqual([
      "discovered→validated",
      "validated→pending_approval",
      "pending_approval→approved",
      "approved→starting",
      "starting→running",
      "running→unhealthy",
      "unhealthy→starting",
      "starting→running",
    ]);
    expect(bench.runtime.running(plugin.ref, "a")).toBe(bench.launched[1]);
  });

  it("and may not be restarted, ends as failed with the reason, not unhealthy for ever", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    bench.onPermit = () => Promise.reject(new Error("no"));
    bench.launched[0]!.crash("it fell over");
    await reaches("failed");
    expect(bench.catalog.current(plugin.ref)?.lastError).toContain("went wrong");
  });

  it("is given up after three crashes, and an operator's load starts counting anew [S1-12]", async () => {
    for (const round of [0, 1]) {
      await bench.runtime.start(plugin, OPERATOR);
      for (let crash = 1; crash <= 3; crash++) {
        await reaches("running");
        bench.launched.at(-1)!.crash(`crash ${crash}`);
        await reaches(crash < 3 ? "unhealthy" : "failed");
        if (crash !== 2) continue;
        await settle();
        bench.timers.pass(999);
        await settle();
        expect(bench.state(plugin)).toBe("unhealthy");
        bench.timers.pass(1);
      }
      expect(bench.launched).toHaveLength(3 * (round + 1));
    }
  });
});

describe("when the audit cannot be written", () => {
  it("a start that cannot be recorded leaves no process", async () => {
    bench.failMovesTo = "running";
    await expect(bench.runtime.start(plugin, OPERATOR)).rejects.toMatchObject({ code: "audit_unavailable" });
    expect(bench.launched).toHaveLength(1);
    expect(bench.alive()).toEqual([]);
    expect(bench.runtime.running(plugin.ref, "a")).toBeUndefined();
  });

  it("stopping still ends the process, and says that it could not be recorded", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    bench.failMovesTo = "stopped";
    await expect(bench.runtime.stop(plugin, "stopped", UNLOAD)).rejects.toMatchObject({ code: "audit_unavailable" });
    expect(bench.alive()).toEqual([]);
  });

  it("closing still ends every process", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    bench.failMovesTo = "idle";
    await expect(bench.runtime.close()).rejects.toMatchObject({ code: "audit_unavailable" });
    expect(bench.alive()).toEqual([]);
  });
});

describe("closing", () => {
  it("ends a start that is under way, and starts nothing any more", async () => {
    const launching = gate();
    bench.onLaunch = (_process, signal) => {
      launching.open();
      return new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
    };
    const started = bench.runtime.start(plugin, OPERATOR);
    started.catch(() => undefined);
    await launching.promise;
    await bench.runtime.close();
    expect(bench.alive()).toEqual([]);
    expect(bench.state(plugin)).toBe("stopped");
    await expect(bench.runtime.start(plugin, OPERATOR)).rejects.toMatchObject({ code: "plugin_not_running" });
  });
});
