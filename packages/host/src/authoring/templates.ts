export interface TemplateFacts {
  readonly id: string;
  readonly title: string;
  /** Name of the npm package. */
  readonly package: string;
  readonly sdk: string;
}

/** Files of a new plugin by path. */
export type Template = (facts: TemplateFacts) => Readonly<Record<string, string>>;

export type TemplateName = "tool" | "http";

export const TEMPLATES: Readonly<Record<TemplateName, Template>> = {
  tool: (facts) => ({
    ...shared(facts),
    "plugin.yml": manifest(
      facts,
      "Greets people by name.",
      TOOL_CONTRIBUTIONS,
      "permissions: {}                # what the plugin needs from outside; nothing, so far",
    ),
    "src/plugin.ts": TOOL_SOURCE,
    "test/plugin.test.ts": TOOL_TEST,
    "README.md": readme(facts, "Greets people by name. It asks for no permissions."),
  }),
  http: (facts) => ({
    ...shared(facts),
    "plugin.yml": manifest(
      facts,
      "Looks up how a repository on GitHub is doing.",
      HTTP_CONTRIBUTIONS,
      HTTP_PERMISSIONS,
    ),
    "src/plugin.ts": HTTP_SOURCE,
    "test/plugin.test.ts": HTTP_TEST,
    "README.md": readme(
      facts,
      "Looks up a repository on GitHub. It asks to read from api.github.com and nothing else.",
    ),
  }),
};

function shared(facts: TemplateFacts): Readonly<Record<string, string>> {
  return {
    "package.json": `${JSON.stringify(
      {
        name: facts.package,
        version: "0.1.0",
        private: true,
        type: "module",
        scripts: { dev: "sallyport plugin dev .", types: "sallyport plugin types .", check: "tsc", test: "vitest run" },
        devDependencies: {
          "@sallyport/sdk": facts.sdk,
          "@types/node": "^20.19.0",
          typescript: ">=5.8.0",
          vitest: "^4.1.0",
        },
      },
      undefined,
      2,
    )}\n`,
    "tsconfig.json": TSCONFIG,
    ".gitignore": "node_modules/\n",
  };
}

function manifest(facts: TemplateFacts, description: string, contributes: string, permissions: string): string {
  return `# yaml-language-server: $schema=./node_modules/@sallyport/sdk/schemas/manifest.schema.json
manifest_version: 1
id: ${facts.id}
name: ${facts.title}
version: 0.1.0
description: ${description}
license: Apache-2.0
entry: src/plugin.ts           # TypeScript as it is: installing bundles it
categories: [integration]
contributes:
  tools:
${contributes}${permissions}
config_schema: { type: object, properties: {}, additionalProperties: false }
`;
}

const TOOL_CONTRIBUTIONS = `    - name: greet
      description: Greets somebody.
      effect: read             # read, write, external or destructive
      input_schema:
        type: object
        properties: { name: { type: string, minLength: 1, maxLength: 80 } }
        required: [name]
        additionalProperties: false
      output_schema:
        type: object
        properties: { greeting: { type: string } }
        required: [greeting]
        additionalProperties: false
      timeout_ms: 5000
`;

const TOOL_SOURCE = `import { definePlugin } from "@sallyport/sdk";
import type { ToolTypes } from "./tool-types.ts";

export default definePlugin<ToolTypes>({
  tools: {
    greet({ name }, ctx) {
      ctx.log.info("greeting");
      return { greeting: \`Hello, \${name}!\` };
    },
  },
});
`;

const TOOL_TEST = `import { runPlugin } from "@sallyport/sdk/testing";
import { expect, it } from "vitest";
import plugin from "../src/plugin.ts";

it("greets by name", async () => {
  const running = await runPlugin(plugin);
  expect(await running.call("greet", { name: "Ada" })).toEqual({ greeting: "Hello, Ada!" });
  await running.close();
});
`;

const HTTP_CONTRIBUTIONS = `    - name: stars
      description: Says how many stars a repository on GitHub has.
      effect: read             # a plugin with network counts as external all the same
      input_schema:
        type: object
        properties:
          owner: { type: string, minLength: 1, maxLength: 80 }
          repository: { type: string, minLength: 1, maxLength: 120 }
        required: [owner, repository]
        additionalProperties: false
      output_schema:
        type: object
        properties: { stars: { type: integer } }
        required: [stars]
        additionalProperties: false
      timeout_ms: 10000
`;

const HTTP_PERMISSIONS = `permissions:
  network:
    - { host: api.github.com, port: 443, scheme: https, methods: [GET], paths: ["/repos/*/*"], reason: "Looks up repositories." }`;

const HTTP_SOURCE = `import { definePlugin } from "@sallyport/sdk";
import type { ToolTypes } from "./tool-types.ts";

export default definePlugin<ToolTypes>({
  tools: {
    async stars({ owner, repository }, ctx) {
      const url = \`https://api.github.com/repos/\${encodeURIComponent(owner)}/\${encodeURIComponent(repository)}\`;
      const answer = await ctx.fetch(url, { signal: ctx.signal });
      if (!answer.ok) throw new Error(\`GitHub answered \${answer.status}.\`);
      const body: unknown = await answer.json();
      if (typeof body === "object" && body !== null && "stargazers_count" in body && typeof body.stargazers_count === "number") {
        return { stars: body.stargazers_count };
      }
      throw new Error("GitHub's answer has no stars.");
    },
  },
});
`;

const HTTP_TEST = `import { runPlugin } from "@sallyport/sdk/testing";
import { expect, it } from "vitest";
import plugin from "../src/plugin.ts";

it("reads the number of stars", async () => {
  const running = await runPlugin(plugin, {
    fetch: (request) => {
      expect(request.url).toBe("https://api.github.com/repos/acme/rocket");
      return Response.json({ stargazers_count: 7 });
    },
  });
  expect(await running.call("stars", { owner: "acme", repository: "rocket" })).toEqual({ stars: 7 });
  await running.close();
});
`;

const TSCONFIG = `{
  "compilerOptions": {
    "target": "ES2023",
    "lib": ["ES2024", "DOM", "DOM.Iterable"],
    "module": "NodeNext",
    "moduleResolution": "NodeNext",
    "types": ["node"],
    "strict": true,
    "noEmit": true,
    "skipLibCheck": true,
    "verbatimModuleSyntax": true,
    "allowImportingTsExtensions": true
  },
  "include": ["src", "test"]
}
`;

function readme(facts: TemplateFacts, what: string): string {
  return `# ${facts.title}

A plugin for Sallyport. ${what}

| File | What it is |
| --- | --- |
| \`plugin.yml\` | the manifest: tools and permissions. Pure data, read without running anything |
| \`src/plugin.ts\` | the code |
| \`src/tool-types.ts\` | types of the tools, written from the manifest by \`sallyport plugin types .\` |
| \`test/plugin.test.ts\` | a test that runs the plugin with fake grants |

\`\`\`sh
npm install                    # for editors and tests; installing into Sallyport does not need it
npm test
sallyport plugin dev .         # bundles, and again at every change
sallyport plugin install .
sallyport plugin approve ${facts.id}
\`\`\`
`;
}
