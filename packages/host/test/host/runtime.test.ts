import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SallyportError } from "../../src/kernel/index.ts";
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

/** A call of this agent, as far as the runtime sees it. */
async function call(agent: string) {
  const process = bench.runtime.running(plugin.ref, agent) ?? (await bench.runtime.wake(plugin.ref, agent));
  const fake = bench.launched.find((one) => one === process)!;
  fake.served++;
  return fake;
}

/** The bench's idle time is 40 s. */
const SLEEPS_AFTER = 40_000;

describe("an idle plugin", () => {
  it("sleeps after its time, is not listed as stopped, and wakes at a call", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    bench.timers.pass(SLEEPS_AFTER - 1);
    expect(bench.alive()).toHaveLength(1);
    bench.timers.pass(1);
    await reaches("idle");
    expect(bench.alive()).toEqual([]);
    const woken = await call("a");
    expect(bench.alive()).toEqual([woken]);
    expect((await bench.edges()).slice(-4)).toEqual([
      "starting→running",
      "running→idle",
      "idle→starting",
      "starting→running",
    ]);
  });

  it("stays awake while calls come or one is in flight, and for ever when the operator says so", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    for (let n = 0; n < 10; n++) {
      await call("a");
      bench.timers.pass(SLEEPS_AFTER - 10_000);
    }
    bench.launched[0]!.busy = true;
    bench.timers.pass(10 * SLEEPS_AFTER);
    bench.launched[0]!.busy = false;
    bench.settings = { ...bench.settings, idleAfterMs: 0 };
    bench.timers.pass(100 * SLEEPS_AFTER);
    await settle();
    expect(bench.state(plugin)).toBe("running");
    expect(bench.alive()).toEqual([bench.launched[0]]);
  });

  it("that a call reaches on its way to sleep wakes again, and the call never fails for it", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    const linger = (bench.launched[0]!.linger = gate());
    bench.timers.pass(SLEEPS_AFTER);
    const woken = Promise.all([call("a"), call("b")]);
    await reaches("idle");
    await settle();
    expect(bench.launched).toHaveLength(1);
    linger.open();
    expect(new Set(await woken)).toEqual(new Set([bench.launched[1]]));
    expect(bench.state(plugin)).toBe("running");
  });

  it.each(["stopped", "disabled", "revoked"] as const)(
    "that an operator stops on its way to sleep is stopped, whatever calls come: %s",
    async (to) => {
      await bench.runtime.start(plugin, OPERATOR);
      const linger = (bench.launched[0]!.linger = gate());
      bench.timers.pass(SLEEPS_AFTER);
      const woken = call("a").catch((error: unknown) => error);
      const stopped = bench.runtime.stop(plugin, to, UNLOAD);
      linger.open();
      expect(await stopped).toMatchObject({ state: to });
      expect(await woken).toMatchObject({ code: "plugin_not_running" });
      expect(bench.alive()).toEqual([]);
    },
  );

  it("whose sleep cannot be recorded is found gone by the next call, and started", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    bench.failMovesTo = "idle";
    bench.timers.pass(SLEEPS_AFTER);
    await bench.launched[0]!.exited;
    await settle();
    bench.failMovesTo = undefined;
    expect(await call("a")).toBe(bench.launched[1]);
    expect(bench.state(plugin)).toBe("running");
  });

  it("keeps its tools while it wakes; one that crashed is waited for, and one that was stopped has none", async () => {
    const permit = gate();
    await bench.runtime.start(plugin, OPERATOR);
    await bench.runtime.stop(plugin, "idle", { actor: "host" });
    bench.onPermit = () => permit.promise;
    const woken = call("a");
    permit.open();
    await reaches("starting");
    expect(bench.runtime.presence(plugin.ref)).toBe("listed");
    (await woken).crash("it fell over");
    await reaches("unhealthy");
    expect(bench.runtime.presence(plugin.ref)).toBe("waiting");
    expect(await call("a")).toBe(bench.launched[2]);
    expect(bench.runtime.presence(plugin.ref)).toBe("listed");
    await bench.runtime.stop(plugin, "stopped", UNLOAD);
    expect(bench.runtime.presence(plugin.ref)).toBeNull();
  });
});

describe("a call that comes while a plugin is restarted", () => {
  it("waits for the restart; an operator's unload ends the wait", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    for (const crash of [1, 2]) {
      bench.launched.at(-1)!.crash(`crash ${crash}`);
      await reaches("unhealthy");
      await settle();
      if (crash === 1) await reaches("running");
    }
    const waits = call("a").catch((error: unknown) => error);
    await settle();
    expect(bench.launched).toHaveLength(2);
    await bench.runtime.stop(plugin, "stopped", UNLOAD);
    expect(await waits).toMatchObject({ code: "plugin_not_running" });
    bench.timers.pass(10_000);
    await settle();
    expect(bench.launched).toHaveLength(2);
  });
});

describe("a process that does not answer", () => {
  it("makes the plugin unhealthy until it answers again, and both are edges; calls still find it", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    bench.launched[0]!.answers(false);
    await reaches("unhealthy");
    expect(bench.catalog.current(plugin.ref)?.lastError).toContain("does not answer");
    expect(bench.runtime.presence(plugin.ref)).toBe("listed");
    expect(await call("a")).toBe(bench.launched[0]);
    bench.launched[0]!.answers(true);
    await reaches("running");
    expect((await bench.edges()).slice(-2)).toEqual(["running→unhealthy", "unhealthy→running"]);
  });

  it("and is then killed counts as a crash, and is restarted", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    bench.launched[0]!.answers(false);
    await reaches("unhealthy");
    bench.launched[0]!.crash("the process no longer answers");
    await reaches("running");
    expect(bench.alive()).toEqual([bench.launched[1]]);
  });
});

describe("with a process for each agent", () => {
  beforeEach(() => {
    bench.settings = { ...bench.settings, perAgent: true, processes: 2 };
  });

  it("two agents never meet in one, and the process of the load is the first agent's", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    const [a, b, again] = [await call("a"), await call("b"), await call("a")];
    expect(a).toBe(bench.launched[0]);
    expect(b).toBe(bench.launched[1]);
    expect(again).toBe(a);
    expect(await bench.edges()).toHaveLength(5);
  });

  it("a process that served everybody is given to nobody when the setting is turned on", async () => {
    bench.settings = { ...bench.settings, perAgent: false };
    await bench.runtime.start(plugin, OPERATOR);
    const shared = await call("b");
    bench.settings = { ...bench.settings, perAgent: true };
    expect(await call("a")).not.toBe(shared);
  });

  it("the idle one that was used longest ago makes room; when all work, the call is refused and says so", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    const [a, b] = [await call("a"), await call("b")];
    await call("a");
    const c = await call("c");
    expect(bench.alive()).toEqual([a, c]);
    expect(b.state).toBe("gone");
    a.busy = c.busy = true;
    await expect(call("d")).rejects.toMatchObject({ code: "busy" });
    expect(bench.alive()).toEqual([a, c]);
    expect(bench.state(plugin)).toBe("running");
  });

  it("one crash leaves the others alone and starts nothing; three crashes end them all", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    const [a, b] = [await call("a"), await call("b")];
    b.crash("it fell over");
    await reaches("unhealthy");
    await reaches("running");
    await settle();
    expect(bench.alive()).toEqual([a]);
    (await call("b")).crash("it fell over");
    await reaches("unhealthy");
    await reaches("running");
    await settle();
    const waits = call("b");
    await settle();
    bench.timers.pass(1000);
    (await waits).crash("it fell over");
    await reaches("failed");
    await settle();
    expect(bench.alive()).toEqual([]);
    await expect(call("a")).rejects.toMatchObject({ code: "plugin_not_running" });
  });

  it("only the last one that sleeps makes the plugin idle; unloading ends all", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    const [a, b] = [await call("a"), await call("b")];
    a.busy = true;
    bench.timers.pass(2 * SLEEPS_AFTER);
    await b.exited;
    await settle();
    expect(bench.alive()).toEqual([a]);
    expect(bench.state(plugin)).toBe("running");
    a.busy = false;
    bench.timers.pass(2 * SLEEPS_AFTER);
    await reaches("idle");
    expect(bench.alive()).toEqual([]);
    await Promise.all([call("a"), call("b")]);
    expect(bench.alive()).toHaveLength(2);
    await bench.runtime.stop(plugin, "stopped", UNLOAD);
    expect(bench.alive()).toEqual([]);
  });
});

describe("a start that fails", () => {
  it("is shown with its cause, and without the secrets in it", async () => {
    bench.onLaunch = () =>
      Promise.reject(
        new SallyportError("initialize_failed", "The plugin's initialize() failed.", {
          detail: "no route with hunter2",
        }),
      );
    await expect(bench.runtime.start(plugin, OPERATOR)).rejects.toMatchObject({ code: "initialize_failed" });
    expect(bench.catalog.current(plugin.ref)?.lastError).toBe(
      "The plugin's initialize() failed. no route with [secret]",
    );
  });
});

describe("a second stop", () => {
  it("that does not wait ends the wait of the first, and says where the plugin is", async () => {
    await bench.runtime.start(plugin, OPERATOR);
    const linger = (bench.launched[0]!.linger = gate());
    const first = bench.runtime.stop(plugin, "stopped", UNLOAD, 60_000);
    await reaches("stopped");
    const second = bench.runtime.stop(plugin, "stopped", UNLOAD, 0);
    linger.open();
    expect(await second).toMatchObject({ state: "stopped" });
    expect(await first).toMatchObject({ state: "stopped" });
  });
});
