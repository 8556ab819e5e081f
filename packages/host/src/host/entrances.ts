import type { CommandsApi, CommandSummary, InvokeAnswer, InvokeRequest, RoutesApi } from "../host-api.ts";
import { type Caller, SallyportError } from "../kernel/index.ts";
import { inputFromTexts, type JsonSchema, type Manifest, wordsOf } from "../manifest/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { AgentGate } from "./agents.ts";
import { type CallRoute, pluginOfTool, type RouteTable, toolName } from "./route.ts";
import { isVisible } from "./tools.ts";

export interface EntranceDeps {
  readonly routes: RouteTable;
  readonly gate: Pick<AgentGate, "admit">;
  /** The active version of a plugin. */
  active(id: string): StoredPlugin | undefined;
  invoke(caller: Caller, request: InvokeRequest): Promise<InvokeAnswer>;
}

type CommandDefinition = Manifest["commands"][number];

/** Commands of plugins: names for tools, and no way around a gate. */
export function createCommandsApi(deps: EntranceDeps): CommandsApi {
  function visible(caller: Caller): readonly CommandSummary[] {
    const found: CommandSummary[] = [];
    let manifest: Manifest | undefined;
    let of: string | undefined;
    for (const route of deps.routes.behind(caller)) {
      if (route.plugin.id !== of) manifest = deps.active((of = route.plugin.id))?.manifest;
      for (const command of manifest?.commands ?? [])
        if (command.tool === route.tool.name && isVisible(caller, route)) found.push(summaryOf(command, route));
    }
    return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  function find(caller: Caller, name: string): CommandSummary | undefined {
    const id = pluginOfTool(name);
    if (id === "") {
      const [one, ...more] = visible(caller).filter(({ command }) => command === name);
      return more.length === 0 ? one : undefined;
    }
    const command = deps.active(id)?.manifest.commands.find((own) => commandName(id, own) === name);
    const route = command && deps.routes.find(caller, toolName(id, command.tool));
    return command && route && summaryOf(command, route);
  }

  return {
    async list(caller) {
      deps.gate.admit(caller);
      return visible(caller);
    },
    async run(caller, { name, input = {}, words = [], values = {}, ...rest }) {
      const command = find(caller, name);
      const route = command && deps.routes.find(caller, command.tool);
      const there = command !== undefined && route !== undefined && isVisible(caller, route);
      // One that is not there passes the gates like any other, so that the attempt is written down.
      const answer = await deps.invoke(caller, {
        tool: command?.tool ?? `command ${name}`,
        input: there ? { ...input, ...fromWords(command, words), ...inputFromTexts(command.inputSchema, values) } : {},
        ...rest,
      });
      return hide(answer, () => unknownCommand(name));
    },
  };
}

/** Routes of plugins: paths for tools, and no way around a gate. */
export function createRoutesApi(deps: EntranceDeps): RoutesApi {
  return {
    async call(caller, { plugin, method, path, query, body, signal }) {
      const definition = deps
        .active(plugin)
        ?.manifest.routes.find((route) => route.method === method && route.path === path);
      const tool = definition && toolName(plugin, definition.tool);
      const route = tool === undefined ? undefined : deps.routes.find(caller, tool);
      const there = route !== undefined && isVisible(caller, route);
      const answer = await deps.invoke(caller, {
        tool: tool ?? `route ${method} /plugins/${plugin}${path}`,
        input: there ? routeInput(route.tool.inputSchema, query, body) : {},
        ...(signal && { signal }),
      });
      return hide(answer, unknownRoute);
    },
  };
}

/** What is given twice is an error: two readers could each pick another one. */
function routeInput(
  schema: JsonSchema,
  query: Readonly<Record<string, string>>,
  body: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const twice = Object.keys(query).find((name) => Object.hasOwn(body, name));
  if (twice === undefined) return { ...body, ...inputFromTexts(schema, query) };
  throw new SallyportError("usage", "The query and the body give the same value.", {
    detail: `Both have "${twice.slice(0, 100)}".`,
    fix: "Give it once.",
  });
}

function fromWords(command: CommandSummary, words: readonly string[]): Readonly<Record<string, unknown>> {
  if (words.length > command.words.length) {
    const takes = command.words.length === 0 ? "no words without a name" : command.words.join(", ");
    throw new SallyportError("usage", `${command.name} takes ${takes}.`, {
      detail: `${words.length} were given.`,
      fix: "Write KEY=VALUE, give --input '{…}', or quote a text of several words.",
    });
  }
  const values = Object.fromEntries(words.map((word, index) => [command.words[index] ?? "", word]));
  return inputFromTexts(command.inputSchema, values);
}

function summaryOf(command: CommandDefinition, { plugin, name, tool }: CallRoute): CommandSummary {
  return {
    name: commandName(plugin.id, command),
    plugin: plugin.id,
    command: command.name,
    description: command.description,
    tool: name,
    inputSchema: tool.inputSchema,
    words: wordsOf(command.description, tool.inputSchema),
  };
}

function commandName(plugin: string, command: CommandDefinition): string {
  return toolName(plugin, command.name);
}

/** The tool's name is not told of what the caller does not have. */
function hide(answer: InvokeAnswer, unknown: () => SallyportError): InvokeAnswer {
  if (answer.success || answer.code !== "unknown_tool") return answer;
  const { code, message, fix } = unknown();
  return { success: false, callId: answer.callId, error: message, code, ...(fix !== undefined && { fix }) };
}

function unknownCommand(name: string): SallyportError {
  return new SallyportError("not_found", `There is no command "${name.slice(0, 200)}" for this agent.`, {
    fix: "List the commands: sallyport command list",
  });
}

function unknownRoute(): SallyportError {
  return new SallyportError("not_found", "There is no such route.", {
    fix: "See docs/api.md for the routes and their methods.",
  });
}
