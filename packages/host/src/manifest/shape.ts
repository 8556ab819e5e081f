import { Range, SemVer } from "semver";
import { z } from "zod";
import {
  canonicalArguments,
  canonicalCommand,
  canonicalFacet,
  canonicalFilePath,
  canonicalPathPattern,
  HOOK_EVENTS,
  isTopicPattern,
  markPath,
  networkScope,
  secretUse,
} from "../capability/index.ts";
import { LIMITS, SallyportError } from "../kernel/index.ts";
import { canonicalPath } from "./entry.ts";
import { checkPluginId, checkToolName, foldId } from "./ids.ts";
import { CATEGORIES, PROGRAM_INTERPRETERS } from "./types.ts";

/** Adds a check that throws `SallyportError`; its message, fix and code become those of the problem. */
function checked<T>(schema: z.ZodType<T>, check: (value: T) => unknown): z.ZodType<T> {
  return schema.superRefine((value, context) => {
    try {
      check(value);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { fix: error.fix, code: error.code } });
    }
  });
}

function invalid(message: string, fix: string): never {
  throw new SallyportError("manifest_invalid", message, { fix });
}

/**
 * Whether a text is a semantic version, strictly: no `v`, three numbers.
 * @throws {SallyportError} `manifest_invalid`.
 */
function checkVersion(text: string): void {
  try {
    void new SemVer(text);
    if (/^\d\S*$/.test(text)) return; // SemVer itself forgives white space and a leading v
  } catch {
    // reported below
  }
  invalid("The version is not a semantic version.", "Write three numbers, as in 1.2.0 or 1.2.0-beta.1.");
}

function checkRange(text: string): void {
  try {
    void new Range(text);
  } catch {
    invalid("This is not a range of semantic versions.", "Write it as in ^2.0.0 or >=0.1.");
  }
}

const line = (max: number, about: string) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\r\n\t]*$/, "has a line break or a tab")
    .describe(about);
const text = (max: number, about: string) => z.string().min(1).max(max).describe(about);
const schema = (about: string) => z.union([z.boolean(), z.record(z.string(), z.unknown())]).describe(about);

const why = {
  reason: line(300, "Why the plugin wants this, shown to the operator as the plugin's words.").optional(),
  optional: z.boolean().describe("The plugin works without it; denying it does not deny the plugin.").optional(),
};

const tool = z.strictObject({
  name: checked(line(64, "[a-z][a-z0-9_]*, no two underscores in a row."), checkToolName),
  description: text(4000, "What the tool does; agents read it."),
  effect: line(40, "read, write, external or destructive; absent or unknown counts as destructive.").optional(),
  input_schema: schema("JSON Schema (2020-12 subset) of the input, an object."),
  output_schema: schema("JSON Schema of the answer.").optional(),
  timeout_ms: z.int().min(1).max(LIMITS.maxTimeoutMs).describe("Deadline of one call in milliseconds.").optional(),
});

const commandName = line(64, "[a-z][a-z0-9-]*").regex(
  /^[a-z][a-z0-9-]*$/,
  "is not made of lower-case letters, digits and hyphens",
);
const command = z.strictObject({
  name: commandName,
  description: line(500, "Shown in the list of commands."),
  tool: line(64, "A declared tool."),
});

const route = z.strictObject({
  method: z.enum(["GET", "POST", "PUT", "PATCH", "DELETE"]),
  path: line(200, "Absolute path below the plugin's own prefix.").regex(
    /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$|^\/$/,
    "is not a plain absolute path",
  ),
  tool: line(64, "A declared tool."),
});

const hook = z
  .strictObject({
    event: z.enum(HOOK_EVENTS),
    handler: line(64, "Name of the function in the plugin's code.").regex(
      /^[A-Za-z_$][A-Za-z0-9_$]*$/,
      "is not the name of a function",
    ),
    tools: z
      .array(line(64, "<plugin>__<tool>").regex(/^[a-z][a-z0-9_-]*$/, "is not the name of a tool"))
      .min(1)
      .max(64)
      .describe("Other plugins' tools to watch; absent means its own.")
      .optional(),
    payload: z.boolean().describe("Also see arguments and results.").optional(),
    mark: z
      .strictObject({
        pointer: line(200, "JSON pointer, as in /labels/checked.").refine(
          (pointer) => markPath(pointer) !== null,
          "is not a JSON pointer to a member",
        ),
        value: z.union([line(200, "Text."), z.number(), z.boolean()]),
      })
      .describe("tool.before_call only: the one value that the hook may write into the arguments.")
      .optional(),
    background: z
      .boolean()
      .describe("Not tool.before_call: while it runs, the plugin may use all that it was granted, not only log and kv.")
      .optional(),
    ...why,
  })
  .refine(({ event, mark }) => mark === undefined || event === "tool.before_call", {
    path: ["mark"],
    message: "is for tool.before_call only",
  })
  .refine(({ event, background }) => background !== true || event !== "tool.before_call", {
    path: ["background"],
    message: "is not for tool.before_call, which a call waits for",
  });

const mcpServer = z.strictObject({
  name: commandName,
  description: line(500, "What the server offers.").optional(),
  program: checked(line(200, "The plugin's entry, which is the server."), checkProgram).optional(),
  args: z.array(line(200, "One argument.")).max(32).optional(),
  url: line(500, "Address of a server that runs elsewhere.")
    .regex(/^https:\/\/[^\s@\\]+$/, "is not an https URL")
    .optional(),
  tools: z
    .record(
      checked(line(64, "A declared tool."), checkToolName),
      line(128, "Its name at the server.").regex(/^[A-Za-z0-9_./-]+$/, "is not the name of a tool"),
    )
    .describe("Declared tool: its name at the server, where the two differ.")
    .optional(),
});

function checkProgram(path: string): void {
  if (!/^(?:[A-Za-z0-9_][A-Za-z0-9._-]*\/)*[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(path)) {
    invalid("The program is not a plain relative path.", "Name a file below the plugin's root, as in bin/server.");
  }
}

const network = z.strictObject({
  host: checked(line(512, "Host name, *.name for all subdomains, or an address; host:port is read too."), (host) =>
    networkScope({ host }),
  ),
  port: z.int().min(1).max(65_535).optional(),
  scheme: z.enum(["https", "http", "wss", "ws"]).optional(),
  methods: z
    .array(checked(line(16, "HTTP method."), (method) => networkScope({ host: "a", methods: [method] })))
    .min(1)
    .max(16)
    .optional(),
  paths: z
    .array(checked(line(2048, "Path pattern: * is one segment, ** last the rest."), canonicalPathPattern))
    .min(1)
    .max(64)
    .optional(),
  ...why,
});

const filesystem = z.strictObject({
  path: checked(line(1024, "Absolute path, or ${data} and below: the plugin's own directory."), canonicalFilePath),
  mode: z.enum(["r", "rw"]).optional(),
  ...why,
});

const use = checked(
  z.strictObject({
    origin: line(500, "https://host[:port], the only place that receives the value."),
    in: line(100, "header:NAME, query:NAME, path:N or basic."),
    format: line(200, "Text with one {}, which the value replaces.").optional(),
  }),
  secretUse,
);

const name = (about: string) => line(128, about).regex(/^[A-Za-z][A-Za-z0-9_.-]*$/, "is not a plain name");
const secret = z.strictObject({
  name: name("Name of the secret in the vault."),
  use: use.optional(),
  expose: z.boolean().describe("The plugin receives the value itself.").optional(),
  ...why,
});
const database = z.strictObject({
  connection: name("Name of the operator's connection."),
  mode: z.enum(["r", "rw"]).optional(),
  ...why,
});
const exec = z.strictObject({
  command: checked(
    line(200, "Plain name or absolute path of a program; which file it is, the operator's approval says."),
    canonicalCommand,
  ),
  args: checked(
    z
      .array(line(500, "Exact text; * is any text of one argument, ** last any number of arguments, -** options too."))
      .max(64),
    canonicalArguments,
  ).optional(),
  ...why,
});
const agent = z.strictObject({
  tools: z
    .array(
      line(64, "<plugin>__<tool>, or a prefix and *.").regex(
        /^(?:\*|[a-z][a-z0-9_-]*\*?)$/,
        "is not the name of a tool",
      ),
    )
    .max(64)
    .optional(),
  notify: z.boolean().optional(),
  ...why,
});
const event = z
  .strictObject({
    direction: z.enum(["publish", "consume"]),
    topic: line(128, "Topic, or a prefix and *.")
      .regex(/^(?:\*|[a-z][a-z0-9_.-]*\*?)$/, "is not a topic")
      .refine(isTopicPattern, "is one of the host's own topics"),
    background: z
      .boolean()
      .describe("To consume: while it is told, the plugin may use all that it was granted, not only log and kv.")
      .optional(),
    ...why,
  })
  .refine(({ direction, background }) => background !== true || direction === "consume", {
    path: ["background"],
    message: "is for consuming only",
  });
const system = z.strictObject({ facet: checked(name("Name of the fact, as in hostname."), canonicalFacet), ...why });

const list = <T extends z.ZodType>(item: T, max = 64) => z.array(item).max(max).optional();

const permissions = z.strictObject({
  network: list(network),
  filesystem: list(filesystem),
  secrets: list(secret),
  database: list(database),
  exec: list(exec),
  agent: list(agent, 8),
  events: list(event),
  system: list(system),
});

/** The manifest as authors write it, in our own spelling. The published JSON Schema is made from this. */
export const manifestShape = z.strictObject({
  $schema: line(300, "Where editors find the JSON Schema of this file.").optional(),
  manifest_version: z.literal(1).optional(),
  id: checked(line(200, "[a-z][a-z0-9-]*, or publisher/id."), (id) => checkPluginId(foldId(id))),
  name: line(80, "Name for people."),
  version: checked(line(64, "Semantic version."), checkVersion),
  description: text(2000, "What the plugin is for."),
  author: line(200, "Name <address>").optional(),
  license: line(100, "SPDX expression.").optional(),
  homepage: line(500, "Web page.")
    .regex(/^https?:\/\/[^\s\\]+$/, "is not an http URL")
    .optional(),
  entry: checked(
    line(200, "Relative path of the ES module, or TypeScript in a source directory; of a program, what runs."),
    canonicalPath,
  ),
  interpreter: z
    .enum(["deno", ...PROGRAM_INTERPRETERS])
    .describe(
      "What runs the entry; all but deno (the default) make it a program of its own, without the JavaScript layer.",
    )
    .optional(),
  categories: z.array(z.enum(CATEGORIES)).max(CATEGORIES.length).optional(),
  contributes: z.strictObject({
    tools: list(tool, 128),
    commands: list(command),
    routes: list(route),
    hooks: list(hook, 32),
    mcp_servers: list(mcpServer, 16),
  }),
  permissions,
  config_schema: schema("JSON Schema of the plugin's configuration; unknown keys are refused unless it allows them."),
  dependencies: z
    .record(
      checked(line(200, "Id of a plugin."), (id) => checkPluginId(id)),
      checked(line(100, "Range of versions."), checkRange),
    )
    .optional(),
  engines: z
    .strictObject({ sallyport: checked(line(100, "Range of versions of Sallyport."), checkRange).optional() })
    .optional(),
  isolation: z.strictObject({ minimum: z.enum(["kernel", "runtime"]).optional() }).optional(),
  limits: z
    .strictObject({
      memory_mb: z.int().min(16).max(16_384).optional(),
      concurrency: z.int().min(1).max(LIMITS.mostConcurrency).optional(),
    })
    .optional(),
});

export type RawManifest = z.infer<typeof manifestShape>;
