import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LevelResult, runSetting } from "../../src/cli/attack/index.ts";
import { lackingRuntime } from "../hostile/levels.ts";
import { attackBy, pluginFolder, type PluginFolder } from "./support.ts";

/**
 * What the host sees when a wall is missing: the same run without the kernel's file wall and without the runtime's permissions,
 * against plugins that do harm and say that they were refused.
 */
const LIARS: Readonly<Record<string, { readonly code: string; readonly seen: RegExp }>> = {
  "reads-quietly": { code: "Deno.readTextFileSync(target.file)", seen: /outside\/secret\.txt was read/ },
  "overwrites-quietly": {
    code: 'Deno.writeTextFileSync(target.json, "changed")',
    seen: /outside\/secret\.json was changed/,
  },
  "plants-quietly": {
    code: 'Deno.writeTextFileSync(target.folder + "/planted", "x")',
    seen: /outside holds planted/,
  },
  "tells-in-its-log": {
    code: 'console.log(Deno.readTextFileSync(target.granted + "-beside/secret.txt"))',
    seen: /came out in the log/,
  },
  "tells-in-its-answer": {
    code: "return { evidence: [{ attempt: Deno.readTextFileSync(target.file), outcome: 'refused' }] }",
    seen: /came out in the answer/,
  },
  "holds-quietly": {
    code: "globalThis.kept = Deno.openSync(target.json)",
    seen: /the plugin: it holds .*secret\.json/,
  },
  "does-nothing": { code: "", seen: /nothing was tried/ },
};

const lacking = await lackingRuntime();

describe.skipIf(lacking !== undefined)(
  `the eyes of doctor --attack, where a wall is missing${lacking === undefined ? "" : ` (not on this machine: ${lacking})`}`,
  () => {
    let plugins: PluginFolder;
    let result: LevelResult;
    beforeAll(async () => {
      plugins = await pluginFolder(Object.fromEntries(Object.entries(LIARS).map(([id, { code }]) => [id, code])));
      result = await runSetting(
        { level: "runtime", permissions: "open" },
        { plugins: plugins.path, attacks: Object.keys(LIARS).map((id) => attackBy(id)) },
      );
    }, 120_000);
    afterAll(() => plugins?.remove());

    it.each(Object.keys(LIARS).filter((id) => id !== "does-nothing"))(
      "see a plugin that %s, whatever it says",
      (id) => {
        const found = result.attacks.find(({ name }) => name === id);
        expect(found).toMatchObject({ contained: false, layer: null });
        expect(found?.evidence).toMatch(LIARS[id]?.seen ?? /^$/);
      },
    );

    it("count what escaped, and find nothing where nothing was done", () => {
      expect(result.attacks.find(({ name }) => name === "does-nothing")).toMatchObject({ contained: true });
      expect(result.escaped).toBe(Object.keys(LIARS).length - 1);
      expect(result.contained).toBe(2);
    });
  },
);
