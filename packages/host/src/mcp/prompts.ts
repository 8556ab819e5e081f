import {
  type GetPromptResult,
  type Prompt,
  type PromptArgument,
  ProtocolError,
  ProtocolErrorCode,
} from "@modelcontextprotocol/server";
import type { Host, PluginInfo, ToolSummary } from "../host-api.ts";
import type { Caller } from "../kernel/index.ts";
import {
  type CommandDefinition,
  inputFromTexts,
  type JsonSchema,
  propertiesOf,
  requiredOf,
} from "../manifest/index.ts";
import { type Page, pageOf } from "./pages.ts";
import { jsonText, plainText } from "./text.ts";

interface Command {
  /** `<plugin>__<command>`, with the plugin as its tools spell it. */
  readonly name: string;
  readonly command: CommandDefinition;
  readonly tool: ToolSummary;
}

/** Commands of plugins, as prompts: those whose tool the caller has. */
export async function listPrompts(host: Host, caller: Caller, cursor: string | undefined): Promise<Page<Prompt>> {
  const plugins = pluginsOf(await host.tools.list(caller));
  return pageOf(
    [...plugins],
    ([plugin]) => plugin,
    cursor,
    async ([plugin, tools]) => commandsOf(await host.plugins.info(plugin), tools).map(toPrompt),
  );
}

/** Runs nothing: gives the words, written by the host, that ask the model to call the tool. */
export async function getPrompt(
  host: Host,
  caller: Caller,
  name: string,
  values: Readonly<Record<string, string>>,
): Promise<GetPromptResult> {
  const tools = (await host.tools.list(caller)).filter((tool) => prefixOf(tool) === name.slice(0, name.indexOf("__")));
  for (const [plugin, ofPlugin] of pluginsOf(tools)) {
    const found = commandsOf(await host.plugins.info(plugin), ofPlugin).find((command) => command.name === name);
    if (found) return promptOf(found.tool, values);
  }
  throw new ProtocolError(ProtocolErrorCode.InvalidParams, "There is no such prompt.");
}

function pluginsOf(tools: readonly ToolSummary[]): Map<string, ToolSummary[]> {
  const plugins = new Map<string, ToolSummary[]>();
  for (const tool of tools) {
    const known = plugins.get(tool.plugin);
    if (known) known.push(tool);
    else plugins.set(tool.plugin, [tool]);
  }
  return plugins;
}

function commandsOf({ manifest }: PluginInfo, tools: readonly ToolSummary[]): readonly Command[] {
  return manifest.commands.flatMap((command) => {
    const tool = tools.find((candidate) => candidate.tool === command.tool);
    return tool ? [{ name: `${prefixOf(tool)}__${command.name}`, command, tool }] : [];
  });
}

function prefixOf(tool: ToolSummary): string {
  return tool.name.slice(0, tool.name.indexOf("__"));
}

function toPrompt({ name, command, tool }: Command): Prompt {
  return { name, description: plainText(command.description), arguments: argumentsOf(tool.inputSchema) };
}

function promptOf(tool: ToolSummary, values: Readonly<Record<string, string>>): GetPromptResult {
  const names = Object.keys(propertiesOf(tool.inputSchema));
  const unknown = Object.keys(values).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new ProtocolError(
      ProtocolErrorCode.InvalidParams,
      `This prompt takes ${names.length === 0 ? "no arguments" : names.join(", ")}.`,
    );
  }
  const input = inputFromTexts(tool.inputSchema, values);
  const text = `Call the tool \`${tool.name}\` with these arguments: ${jsonText(input)}`;
  return { messages: [{ role: "user", content: { type: "text", text } }] };
}

function argumentsOf(schema: JsonSchema): PromptArgument[] {
  const required = requiredOf(schema);
  return Object.entries(propertiesOf(schema)).map(([name, property]) => ({
    name,
    ...(isRecord(property) &&
      typeof property.description === "string" && { description: plainText(property.description) }),
    required: required.includes(name),
  }));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
