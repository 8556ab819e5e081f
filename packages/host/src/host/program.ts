import { type PermissionRequest, sentenceOf } from "../capability/index.ts";
import type { IsolationLevel } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import type { ProgramPlan } from "../supervisor/index.ts";

const KINDS = { python: "a Python program", node: "a Node program", none: "an executable" } as const;

/** A request in plain words. Offering tools as a program is more than offering tools, and says so. */
export function wishSentence({ interpreter }: Manifest, request: PermissionRequest): string {
  const sentence = sentenceOf(request);
  if (interpreter === undefined || request.capability !== "tools") return sentence;
  return `${sentence}, RUNNING AS ${KINDS[interpreter].toUpperCase()} of its own: contained by the kernel, without the JavaScript layer`;
}

/** What keeps a program to a grant, where that is not what keeps a module to it. */
export function programEnforcement(
  { interpreter, mcpServers }: Manifest,
  capability: string,
  level: IsolationLevel,
): string | { readonly not: string } | undefined {
  if (interpreter === undefined || capability !== "network") return undefined;
  if (level === "namespace")
    return "the only way out of the process is the host's proxy, which checks host, port and address, and all of what is not encrypted";
  return mcpServers.length === 0
    ? undefined
    : { not: "at this level an MCP server can have no network, so the plugin does not start with it" };
}

/** How the plugin's process runs, when it is a program. */
export function programPlan(manifest: Manifest): ProgramPlan | undefined {
  const { interpreter, mcpServers, tools } = manifest;
  if (interpreter === undefined) return undefined;
  const server = mcpServers.find(({ program }) => program !== undefined);
  if (server === undefined) return { interpreter, args: [] };
  const mcpTools = tools.map(({ name, description, inputSchema, outputSchema }) => ({
    name,
    serverName: server.tools?.[name] ?? name,
    description,
    inputSchema,
    ...(outputSchema === undefined ? {} : { outputSchema }),
  }));
  return { interpreter, args: server.args ?? [], mcpTools };
}
