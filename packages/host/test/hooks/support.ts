import type { Host, InvokeAnswer } from "../../src/host-api.ts";
import type { StoredAuditEvent } from "../../src/audit/index.ts";
import { type Caller } from "../../src/kernel/index.ts";
import { AGENT, installed, manifestOf, type TestHome } from "../support/home.ts";

/** Everything may be called, so that only hooks and grants decide. */
export const OPEN_CONFIG = `
plugins: { enabled: true }
agents: { enabled_tools: ["*"] }
policy: { defaults: { read: allow, write: allow, external: allow, destructive: allow } }
`;

/** A plugin of a manifest with these tools and whatever else, and its code. */
export async function addPlugin(
  home: TestHome,
  host: Host,
  id: string,
  files: {
    readonly tools?: readonly string[];
    readonly contributes?: string;
    readonly more?: string;
    readonly code: string;
  },
  approve: Parameters<Host["plugins"]["approve"]>[2] = {},
): Promise<void> {
  const text = manifestOf(id, files.tools ?? [], files.more ?? "permissions: {}");
  const tools = files.tools === undefined ? text.replace("  tools:\n\n", "") : text;
  const manifest =
    files.contributes === undefined ? tools : tools.replace("contributes:\n", `contributes:\n${files.contributes}\n`);
  const source = await home.plugin(id, { "plugin.yml": manifest, "plugin.js": files.code });
  await installed(host, source, approve);
}

export async function resultOf(host: Host, tool: string, input: unknown, caller: Caller = AGENT): Promise<unknown> {
  const answer = await host.invoke(caller, { tool, input });
  if (answer.success) return answer.result;
  throw new Error(`${answer.code}: ${answer.error} ${answer.detail ?? ""}`);
}

export function failureOf(answer: InvokeAnswer): Extract<InvokeAnswer, { success: false }> {
  if (answer.success) throw new Error("it succeeded");
  return answer;
}

export async function eventsOf(host: Host, filter: Parameters<Host["audit"]["query"]>[0]) {
  await host.audit.flush();
  return host.audit.query({ order: "asc", ...filter });
}

/** The next event that is wanted, from now on. */
export function nextEvent(host: Host, wanted: (event: StoredAuditEvent) => boolean): Promise<StoredAuditEvent> {
  return new Promise((resolve) => {
    const stop = host.audit.subscribe((event) => {
      if (!wanted(event)) return;
      stop();
      resolve(event);
    });
  });
}
