import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { HOST_NOTIFICATIONS, HOST_REQUESTS, PLUGIN_NOTIFICATIONS, PLUGIN_REQUESTS } from "@sallyport/sdk/protocol/v1";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { sentenceOf } from "../../src/capability/index.ts";
import { buildProgram } from "../../src/cli/index.ts";
import { isErrorCode } from "../../src/kernel/index.ts";
import { readManifest } from "../../src/manifest/index.ts";
import {
  brokenLinks,
  commandLines,
  commandsInTexts,
  complaint,
  fences,
  page,
  PAGES,
  REPOSITORY,
  section,
  SOURCES,
} from "./support.ts";

const io = { env: {}, stdin: Readable.from([]), stdout: new PassThrough(), stderr: new PassThrough(), now: Date.now };
const program = buildProgram({ io, version: "0.0.0", exitWith: () => undefined });
const plugins = page("docs/plugins.md");
const sdk = (path: string): string => readFileSync(join(REPOSITORY, "packages/sdk", path), "utf8");

function codeIn(text: string): readonly string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
}

function manifestOf(yaml: string) {
  return readManifest({ name: "plugin.yml", bytes: Buffer.from(yaml) }).manifest;
}

describe("every page", () => {
  it.each(PAGES)("%s leads only to what is there", (path) => {
    expect(brokenLinks(path)).toEqual([]);
  });

  it.each(PAGES.filter((path) => commandLines(page(path)).length > 0))("%s names commands that exist", (path) => {
    expect(commandLines(page(path)).flatMap((line) => complaint(program, line) ?? [])).toEqual([]);
  });

  it("would be told of a verb, an option or a page that there is not", () => {
    expect(complaint(program, "sallyport plugin frobnicate x")).toContain('no "frobnicate"');
    expect(complaint(program, "sallyport plugin approve x --scope a --everything")).toContain("--everything");
    expect(complaint(program, "sallyport plugin # and then?")).toContain("which verb");
    expect(complaint(program, "sallyport tool call a__b --input '{\"--x\":1}' # as agent")).toBeNull();
    expect(commandLines("Run `sallyport plugin logs`:\n```sh\ncd x && sallyport init\n```\n")).toEqual([
      "sallyport init",
      "sallyport plugin logs",
    ]);
  });
});

describe("every text of the program", () => {
  const commands = SOURCES.flatMap((path) => {
    const source = readFileSync(join(REPOSITORY, "packages/host/src", path), "utf8");
    return commandsInTexts(source).map((command) => ({ path, command }));
  });

  it("names commands that exist, so that every fix can be done", () => {
    expect(commands.length).toBeGreaterThan(60);
    const wrong = commands.flatMap(({ path, command }) => {
      const problem = complaint(program, command);
      return problem === null ? [] : [`${path}: ${problem}`];
    });
    expect(wrong).toEqual([]);
  });

  it("would be told of one that there is not", () => {
    const source =
      "f({ fix: `Run: sallyport plugin mend ${a.id}, or more.` }); // sallyport no where\nx('sallyport tool list.');";
    const found = commandsInTexts(source);
    expect(found).toEqual(["sallyport plugin mend X", "sallyport tool list"]);
    expect(found.map((command) => complaint(program, command) === null)).toEqual([false, true]);
    expect(commands).toContainEqual({ path: "home/home.ts", command: "sallyport init" });
    expect(commands).toContainEqual({ path: "catalog/gates.ts", command: "sallyport plugin approve X" });
  });
});

describe("the author's guide", () => {
  it("states the practices [S3-102]", () => {
    const names = [...section(plugins, "## Good practice").matchAll(/^\d+\. \*\*(.+?)\.?\*\* \S/gm)].map(
      ([, name]) => name,
    );
    expect(names).toEqual([
      "Always sign",
      "Minimal permissions",
      "Error handling",
      "Documentation",
      "Tests",
      "Semantic versioning",
      "Few dependencies",
      "Performance",
      "Logging",
      "Cleanup",
    ]);
  });

  it("describes every key of a manifest and of a tool, and every member of the context [S3-110]", () => {
    const shape = z.object({ properties: z.record(z.string(), z.looseObject({})) });
    const tool = z.object({
      properties: z.object({
        contributes: z.object({ properties: z.object({ tools: z.object({ items: shape }) }) }),
      }),
    });
    const schema: unknown = JSON.parse(sdk("schemas/manifest.schema.json"));
    const tools = tool.parse(schema).properties.contributes.properties.tools.items.properties;
    const named = new Set(codeIn(section(plugins, "## The manifest")).flatMap((code) => code.split(".")));
    const keys = Object.keys(tools).concat(Object.keys(shape.parse(schema).properties));
    expect(keys.filter((key) => key !== "$schema" && !named.has(key))).toEqual([]);

    const context = /interface Context \{([\s\S]*?)^\}/m.exec(sdk("src/plugin/context.ts"))?.[1] ?? "";
    const members = [...context.matchAll(/^ {2}(?:readonly )?(\w+)[:(]/gm)].map(([, name = ""]) => name);
    expect(members.length).toBeGreaterThan(8);
    const table = codeIn(section(plugins, "## The code"));
    expect(
      members.filter((name) => !table.some((code) => code === name || new RegExp(`^${name}[.(]`).test(code))),
    ).toEqual([]);
  });

  it("shows manifests that are valid, and the sentences that an operator sees for them", () => {
    const yaml = fences(plugins, "yaml");
    const whole = yaml.filter((text) => text.includes("id: ")).map(manifestOf);
    expect(whole.map(({ id }) => id)).toContain("one-file");

    const [permissions = ""] = yaml.filter((text) => text.startsWith("permissions:"));
    const rest = "id: example-one\nname: x\nversion: 1.0.0\ndescription: x\nentry: plugin.js\nconfig_schema: {}\n";
    const asked = manifestOf(`${rest}contributes: {}\n${permissions}`).permissions;
    expect(asked.length).toBe(4);
    const table = section(plugins, "## Permissions");
    for (const sentence of asked.map((request) => sentenceOf(request))) expect(table).toContain(`| ${sentence} |`);
  });

  it("names error codes that exist", () => {
    const rows = section(plugins, "## What is refused, and why").matchAll(/^\| ((?:`\w+`(?:, )?)+) \|/gm);
    const codes = [...rows].flatMap(([, cell = ""]) => codeIn(cell));
    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => !isErrorCode(code))).toEqual([]);
  });
});

describe("the protocol's page", () => {
  it("describes every message of the code [S3-110]", () => {
    const named = codeIn(section(page("docs/protocol.md"), "## Messages"));
    const methods = [...HOST_REQUESTS, ...HOST_NOTIFICATIONS, ...PLUGIN_REQUESTS, ...PLUGIN_NOTIFICATIONS];
    expect(methods.filter((method) => !named.includes(method))).toEqual([]);
  });
});

describe("the page on isolation", () => {
  const text = page("docs/isolation.md");

  it("explains every argument of the sandbox and of the runtime", () => {
    const source = ["namespace.ts", "deno-command.ts"]
      .map((file) => readFileSync(join(REPOSITORY, "packages/host/src/isolation", file), "utf8"))
      .join("\n");
    const flags = [...source.matchAll(/["`](--[a-z][a-z0-9-]+)/g)].map(([, flag = ""]) => flag);
    expect(new Set(flags).size).toBeGreaterThan(20);
    // Everything is opened in tests of the outer wall only.
    expect([...new Set(flags)].filter((flag) => flag !== "--allow-all" && !text.includes(flag))).toEqual([]);
  });

  it("names tests and sources that are there", () => {
    const paths = codeIn(text).filter((code) => /^(?:test|src)\//.test(code));
    expect(paths.length).toBeGreaterThan(10);
    expect(paths.filter((path) => !existsSync(join(REPOSITORY, "packages/host", path)))).toEqual([]);
  });
});

describe("guidance on trust", () => {
  const trust = section(page("docs/security.md"), "### Plugins or MCP servers").replaceAll(/\s+/g, " ");

  it("says what is for plugins and what is safer apart [S2-5]", () => {
    expect(trust).toMatch(/Use a \*\*plugin\*\* to extend what is local to your gateway/);
    expect(trust).toMatch(/a node or an MCP server,\*\* .*safer separation/);
  });

  it("puts integrations of one vendor or application into capability providers, with scopes and blast radius as the reason [S4-3]", () => {
    expect(trust).toMatch(
      /capability provider .* integration with one vendor or application .* scopes are stated .* smaller blast radius/,
    );
  });
});

describe("the decisions", () => {
  it("are numbered without a gap, and each says what and why", () => {
    const decisions = PAGES.filter((path) => path.startsWith("docs/decisions/"));
    expect(decisions.map((path) => path.slice("docs/decisions/".length, "docs/decisions/".length + 4))).toEqual(
      decisions.map((_, index) => String(index + 1).padStart(4, "0")),
    );
    for (const path of decisions) {
      expect([path, page(path)]).toEqual([path, expect.stringMatching(/^# \d{4} .+\n\n\*\*Decision\.\*\*/)]);
      expect([path, page(path)]).toEqual([path, expect.stringMatching(/^\*\*Why/m)]);
    }
  });

  it("justify each direct runtime dependency of the host, and no other", () => {
    const [path = ""] = PAGES.filter((name) => name.startsWith("docs/decisions/0009-"));
    const rows = page(path).matchAll(/^\| ((?:`[^`]+`(?:, )?)+) \|/gm);
    const justified = [...rows].flatMap(([, cell = ""]) => codeIn(cell));
    const { dependencies } = z
      .object({ dependencies: z.record(z.string(), z.string()) })
      .parse(JSON.parse(page("packages/host/package.json")));
    expect(justified.toSorted()).toEqual(Object.keys(dependencies).toSorted());
  });
});
