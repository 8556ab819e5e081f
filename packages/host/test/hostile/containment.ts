import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CreateHostOptions } from "../../src/host.ts";
import type { Host } from "../../src/host-api.ts";
import type { IsolationLevel } from "../../src/kernel/index.ts";
import { AGENT, makeHome, OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";
import { type Attack, ATTACKS, Evidence } from "./attacks.ts";

export interface Setting {
  readonly name: string;
  readonly level: IsolationLevel;
  /** Why this machine cannot run it; the tests are then reported as skipped. */
  readonly lacking?: string | undefined;
  readonly config: string;
  readonly options: Partial<CreateHostOptions>;
}

/** Runs every attack of plugins/hostile against a real host, each followed by a look at what must be unharmed. */
export function describeContainment(setting: Setting): void {
  const title =
    setting.lacking === undefined ? setting.name : `${setting.name} (not on this machine: ${setting.lacking})`;
  describe.skipIf(setting.lacking !== undefined)(`hostile plugins at ${title}`, () => {
    let home: TestHome;
    let host: Host;
    let canary: string;
    let trap: Server;
    let trapped = 0;

    beforeAll(async () => {
      home = await makeHome(setting.config);
      host = await home.open(setting.options);
      canary = join(await mkdtemp(join(tmpdir(), "sallyport-canary-")), "secret.txt");
      await writeFile(canary, "the canary", { mode: 0o644 });
      trap = createServer((_request, response) => {
        trapped++;
        response.end();
      }).on("connection", () => trapped++);
      trap.listen(0, "127.0.0.1");
      await once(trap, "listening");
      await install(host, "echo");
      for (const folder of new Set(ATTACKS.map(({ plugin }) => plugin))) await install(host, `hostile/${folder}`);
      await host.plugins.load(OPERATOR, "echo");
    });

    afterAll(async () => {
      await home?.remove();
      trap?.close();
      if (canary) await rm(join(canary, ".."), { recursive: true, force: true });
    });

    it.each(ATTACKS.map((attack) => [titleOf(attack), attack] as const))(
      "contains a plugin that %s",
      async (_title, attack) => {
        if (attack.stage === "load") await refusedAtLoad(attack);
        else await containedInCall(attack);
        await unharmed();
      },
    );

    it("contains a plugin that goes for what really is there: a file, and a server on this machine [S1-14] [S1-17]", async () => {
      const before = trapped;
      for (const [plugin, input] of [
        [
          "file-theft",
          {
            paths: [
              canary,
              join(home.path, "state.db"),
              join(home.path, "keys", "audit.pem"),
              join(home.path, "vault"),
            ],
          },
        ],
        ["broker-abuse", { paths: [canary, home.path, join(home.path, "config.yml"), `/proc/${process.pid}/environ`] }],
        ["network-exfiltration", { port: (trap.address() as AddressInfo).port }],
      ] as const) {
        await host.plugins.load(OPERATOR, plugin);
        const answer = await host.invoke(AGENT, { tool: `${plugin}__attack`, input });
        expect(answer).toMatchObject({ success: true });
        if (answer.success) expect(succeededIn(answer.result)).toEqual([]);
        await host.plugins.unload(OPERATOR, plugin);
      }
      expect(readFileSync(canary, "utf8")).toBe("the canary");
      expect(trapped).toBe(before);
    });

    it("ends a plugin that does not want to end, when it is unloaded [S0-38] [S3-9]", async () => {
      const before = children();
      await host.plugins.load(OPERATOR, "outlives-unload");
      await host.invoke(AGENT, { tool: "outlives-unload__attack", input: {} });
      expect(children().length).toBeGreaterThan(before.length);
      await host.plugins.unload(OPERATOR, "outlives-unload");
      expect(children()).toEqual(before);
      expect(await host.invoke(AGENT, { tool: "outlives-unload__attack", input: {} })).toMatchObject({
        success: false,
      });
    });

    it("leaves a chain that verifies, at the level it says, and no process behind", async () => {
      expect((await host.plugins.info("echo")).isolation).toBe(setting.level);
      expect(await host.audit.verify()).toMatchObject({ ok: true, problems: [] });
      await host.close();
      expect(children()).toEqual([]);
    });

    async function refusedAtLoad(attack: Attack): Promise<void> {
      const before = children();
      await expect(host.plugins.load(OPERATOR, attack.plugin)).rejects.toSatisfy((error: { code: string }) =>
        attack.contained.codes.includes(error.code),
      );
      expect(children()).toEqual(before);
      expect((await host.tools.list(AGENT)).filter(({ plugin }) => plugin === attack.plugin)).toEqual([]);
    }

    async function containedInCall(attack: Attack): Promise<void> {
      await host.plugins.load(OPERATOR, attack.plugin);
      const answer = await host.invoke(AGENT, { tool: `${attack.plugin}__attack`, input: attack.input });
      if (!answer.success) expect(attack.contained.codes).toContain(answer.code);
      else if (attack.contained.evidence === "refused") expect(succeededIn(answer.result)).toEqual([]);
      else expect(attack.contained.evidence).toBe("any");
      // A plugin that ended by its attack is already on its way out.
      await host.plugins.unload(OPERATOR, attack.plugin).catch(() => undefined);
    }

    async function unharmed(): Promise<void> {
      expect(await host.invoke(AGENT, { tool: "echo__echo", input: { text: "still here" } })).toMatchObject({
        success: true,
        result: { text: "still here" },
      });
      expect(Object.keys(Object.prototype)).toEqual([]);
      expect("polluted" in {}).toBe(false);
    }
  });
}

async function install(host: Host, folder: string): Promise<void> {
  const { plugin } = await host.plugins.install(OPERATOR, { source: repositoryPlugin(folder) });
  await host.plugins.approve(OPERATOR, plugin.id, {});
}

function succeededIn(result: unknown): readonly unknown[] {
  return Evidence.parse(result).evidence.filter(({ outcome }) => outcome === "succeeded");
}

function titleOf({ plugin, tries }: Attack): string {
  const rows = ROWS[plugin];
  return `${tries}${rows === undefined ? "" : ` ${rows}`}`;
}

const ROWS: Readonly<Record<string, string>> = {
  "file-theft": "[S1-10] [S1-14]",
  "environment-theft": "[S1-14]",
  "network-exfiltration": "[S1-17]",
  "broker-abuse": "[S0-10] [S1-11]",
  "undeclared-tool": "[S2-18]",
  "forged-answers": "[S1-9]",
  "memory-bomb": "[S1-12] [S1-13]",
  "busy-loop": "[S1-13]",
  "message-flood": "[S1-13]",
  "never-answers": "[S1-13]",
  fork: "[S3-83]",
};

/** Processes that this one started and that are still there, as their command names. */
function children(): string[] {
  const ids = readdirSync("/proc/self/task").flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, "utf8").trim().split(" ").filter(Boolean),
  );
  return ids
    .map((id) => {
      try {
        return `${readFileSync(`/proc/${id}/comm`, "utf8").trim()} ${id}`;
      } catch {
        return "";
      }
    })
    .filter((name) => name !== "" && !name.startsWith("esbuild"))
    .toSorted();
}
