import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { definePlugin, Plugin } from "../src/index.ts";

/** As `sallyport plugin types` writes it. */
interface ToolTypes {
  forecast: { input: { city: string }; output: { celsius: number } };
}

const typed = definePlugin<ToolTypes>({
  initialize: (config) => config["units"] !== "kelvin",
  tools: {
    forecast({ city }, ctx) {
      ctx.log.info(city.toUpperCase(), { agent: ctx.call.agent });
      return { celsius: city.length };
    },
  },
});

const untyped = definePlugin({ tools: { go: (input: { a: number }) => input.a, other: async ({ b }) => b } });

export const wrong = [
  // @ts-expect-error -- the output lacks celsius
  definePlugin<ToolTypes>({ tools: { forecast: () => ({}) } }),
  // @ts-expect-error -- the input has no such member
  definePlugin<ToolTypes>({ tools: { forecast: ({ town }) => ({ celsius: town }) } }),
  // @ts-expect-error -- a declared tool is missing
  definePlugin<ToolTypes>({ tools: {} }),
  // @ts-expect-error -- a tool that is not declared
  definePlugin<ToolTypes>({ tools: { forecast: () => ({ celsius: 1 }), extra: () => 1 } }),
  // @ts-expect-error -- initialize says whether it succeeded
  definePlugin<ToolTypes>({ initialize() {}, tools: { forecast: () => ({ celsius: 1 }) } }),
];

export class Skill extends Plugin {
  override initialize(config: Readonly<Record<string, unknown>>): boolean {
    return config["token"] !== undefined;
  }
  override execute(action: string, params: { task?: string }): unknown {
    return { success: true, result: [action, params.task] };
  }
}

it("gives a plugin its types and returns it as it is", () => {
  const definition = { tools: { go: () => 1 } };
  expect(definePlugin(definition)).toBe(definition);
  expect([Object.keys(typed.tools), Object.keys(untyped.tools)]).toEqual([["forecast"], ["go", "other"]]);
});

it("tells the compiler what is wrong with a plugin", async () => {
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  const project = join(dirname(fileURLToPath(import.meta.url)), "tsconfig.json");
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, "-p", project]).catch(
    (error: { stdout: string }) => error,
  );
  expect(stdout).toBe("");
});
