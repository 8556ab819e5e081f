import type { Host, InvokeAnswer, InvokeRequest, PluginInfo, ToolSummary } from "../../src/host-api.ts";
import type { Caller } from "../../src/kernel/index.ts";
import type { CommandDefinition } from "../../src/manifest/index.ts";

export interface Invocation {
  readonly caller: Caller;
  readonly request: InvokeRequest;
}

export interface FakeHost {
  readonly host: Host;
  readonly invocations: Invocation[];
  tools: ToolSummary[];
  answer: (request: InvokeRequest) => Promise<InvokeAnswer>;
  changed(): void;
  readonly listeners: Set<() => void>;
}

export function tool(name: string, more: Partial<ToolSummary> = {}): ToolSummary {
  const [plugin = "", action = ""] = name.split("__");
  return {
    name,
    plugin,
    tool: action,
    description: `Does ${action}.`,
    effect: "read",
    decision: "allow",
    inputSchema: {
      type: "object",
      properties: { text: { type: "string", description: "Any text." } },
      required: ["text"],
    },
    isolation: "namespace",
    contained: true,
    ...more,
  };
}

export function success(result: unknown): InvokeAnswer {
  return { success: true, callId: "call-1", result, durationMs: 1 };
}

const unused = (name: string) => () => {
  throw new Error(`An agent's surface reached ${name}.`);
};

/** The parts of a host that an agent's surface may touch; every other one fails the test. */
export function fakeHost(tools: ToolSummary[], commands: readonly CommandDefinition[] = []): FakeHost {
  const fake: FakeHost = {
    tools,
    invocations: [],
    answer: async ({ input }) => success(input),
    listeners: new Set(),
    changed() {
      for (const listener of fake.listeners) listener();
    },
    host: new Proxy(
      {
        tools: {
          list: async () => fake.tools,
          info: async (_caller: Caller, name: string) => {
            const found = fake.tools.find((one) => one.name === name);
            if (!found) throw new Error("unknown");
            return found;
          },
        },
        // The owner's: an agent's surface asks whose token it is, and for nothing else.
        tokens: { onEnded: () => () => undefined, authenticate: unused("authenticate") },
        plugins: { info: async () => ({ manifest: { commands } }) as unknown as PluginInfo },
        invoke: (caller: Caller, request: InvokeRequest) => {
          fake.invocations.push({ caller, request });
          return fake.answer(request);
        },
        onToolsChanged: (listener: () => void) => {
          fake.listeners.add(listener);
          return () => fake.listeners.delete(listener);
        },
      } as unknown as Host,
      { get: (target, name) => (name in target ? Reflect.get(target, name) : unused(String(name))()) },
    ),
  };
  return fake;
}
