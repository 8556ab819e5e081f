import type { CreateHostOptions } from "../../src/host.ts";
import type { Host } from "../../src/host-api.ts";
import type { Caller } from "../../src/kernel/index.ts";
import { installed, makeHome, type TestHome } from "../support/home.ts";

/** A plugin that keeps a list of the calls that reached it; `seen` answers and empties it. */
const MANIFEST = `id: ledger
name: Ledger
version: 1.0.0
description: Remembers which of its tools were called.
entry: plugin.js
contributes:
  tools:
    - { name: look, description: Reads., effect: read, input_schema: { type: object, properties: { what: { type: string } } } }
    - { name: save, description: Writes., effect: write, input_schema: { type: object, properties: { what: { type: string } } } }
    - { name: send, description: Sends., effect: external, input_schema: { type: object, properties: { what: { type: string } } } }
    - { name: wipe, description: Removes., effect: destructive, input_schema: { type: object, properties: { what: { type: string } } } }
    - { name: seen, description: Tells., effect: read, input_schema: { type: object, properties: { what: { type: string } } } }
    - { name: hold, description: Waits for the next hold or for its end., effect: read, input_schema: { type: object, properties: { what: { type: string } } } }
  commands:
    - { name: look, description: "/look WHAT", tool: look }
    - { name: save, description: "/save WHAT", tool: save }
    - { name: send, description: "/send WHAT", tool: send }
    - { name: wipe, description: "/wipe WHAT", tool: wipe }
  routes:
    - { method: GET, path: /look, tool: look }
    - { method: POST, path: /save, tool: save }
    - { method: PUT, path: /send, tool: send }
    - { method: DELETE, path: /wipe, tool: wipe }
    - { method: PATCH, path: /notes/look, tool: look }
permissions: {}
config_schema: {}
`;

const CODE = `
let seen = [];
let waiting;
const keep = (tool) => (input) => { seen.push({ tool, input }); return { tool, input }; };
export default { tools: {
  look: keep("look"), save: keep("save"), send: keep("send"), wipe: keep("wipe"),
  seen() { const calls = seen; seen = []; return { calls }; },
  hold(_input, ctx) {
    waiting?.();
    return new Promise((resolve) => {
      waiting = () => resolve({ held: true });
      ctx.signal.addEventListener("abort", () => resolve({ held: false }));
    });
  },
} };
`;

/** A plugin that calls tools on behalf of whoever calls it. */
const DEPUTY = `id: deputy
name: Deputy
version: 1.0.0
description: Calls tools of another plugin.
entry: plugin.js
contributes:
  tools:
    - { name: ask, description: Calls a tool., effect: read, input_schema: { type: object } }
permissions:
  agent: [{ tools: ["ledger__*"] }]
config_schema: {}
`;

const DEPUTY_CODE = `
export default { tools: {
  async ask({ tool, input }, ctx) {
    try {
      return { answer: await ctx.agent.callTool(tool, input) };
    } catch (error) {
      return { refused: String(error.code ?? error.message) };
    }
  },
} };
`;

export const TOOLS = ["look", "save", "send", "wipe"] as const;

export interface Ledger {
  readonly home: TestHome;
  readonly host: Host;
  /** What reached the plugin since the last time. */
  seen(): Promise<readonly { readonly tool: string; readonly input: unknown }[]>;
}

const READER: Caller = { kind: "agent", agent: "reader-of-the-test" };

/** Everything allowed by policy, so that what is refused is refused by what a test adds. */
export const ALLOWING = `plugins: { enabled: true }
policy:
  defaults: { read: allow, write: allow, external: allow, destructive: allow }
`;

export async function openLedger(config = ALLOWING, options: Partial<CreateHostOptions> = {}): Promise<Ledger> {
  const home = await makeHome(config);
  const host = await home.open(options);
  await installed(host, await home.plugin("ledger", { "plugin.yml": MANIFEST, "plugin.js": CODE }));
  await installed(host, await home.plugin("deputy", { "plugin.yml": DEPUTY, "plugin.js": DEPUTY_CODE }));
  return {
    home,
    host,
    async seen() {
      const answer = await host.tools.call(READER, { tool: "ledger__seen", input: {} });
      const { calls } = answer as { calls: { tool: string; input: unknown }[] };
      return calls;
    },
  };
}

/** Resolves once a change of the configuration is in force. */
export async function configure({ home, host }: Ledger, text: string): Promise<void> {
  const changed = new Promise<void>((resolve) => {
    const stop = host.onToolsChanged(() => {
      stop();
      resolve();
    });
  });
  await home.writeConfig(text);
  await changed;
}
