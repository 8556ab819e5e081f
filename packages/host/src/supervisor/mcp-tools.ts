import { canonicalJson, displayLine, SallyportError } from "../kernel/index.ts";
import { isRecord, type PeerAnswer } from "../rpc/index.ts";
import type { McpToolPin } from "./types.ts";

type Ask = (method: string, params: object) => Promise<Exclude<PeerAnswer, { kind: "failed" }>>;

/** A tool as the server lists it; everything else that it says of a tool is neither shown nor used. */
interface ListedTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: unknown;
  readonly outputSchema: unknown;
}

const MAX_PAGES = 64;
const MAX_TOOLS = 512;
/** Of all pages together. What was approved came from a manifest, which is far smaller. */
const MAX_BYTES = 4 * 1024 * 1024;
const SHOWN = 160;

/**
 * The server's whole list of tools. @throws {SallyportError} `load_failed`.
 */
export async function listTools(ask: Ask): Promise<readonly ListedTool[]> {
  const found: ListedTool[] = [];
  let cursor: string | undefined;
  let bytes = 0;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await ask("tools/list", cursor === undefined ? {} : { cursor });
    const result = answer.kind === "result" && isRecord(answer.result) ? answer.result : {};
    const { tools, nextCursor } = result;
    bytes += answer.bytes;
    if (bytes > MAX_BYTES) throw badList(`its list of tools is over ${MAX_BYTES} bytes`);
    if (!Array.isArray(tools)) throw badList("it gave no list of tools");
    found.push(...tools.map(readTool));
    if (found.length > MAX_TOOLS) throw badList(`it has more than ${MAX_TOOLS} tools`);
    if (nextCursor === undefined) return found;
    if (typeof nextCursor !== "string") throw badList("a cursor is no text");
    cursor = nextCursor;
  }
  throw badList("its list of tools does not end");
}

function readTool(value: unknown): ListedTool {
  if (!isRecord(value) || typeof value["name"] !== "string") throw badList("a tool has no name");
  const { name, description = "", inputSchema, outputSchema } = value;
  if (typeof description !== "string") throw badList("a description is no text");
  return { name, description, inputSchema, outputSchema };
}

function badList(problem: string): SallyportError {
  return new SallyportError("load_failed", "The MCP server did not say which tools it has.", {
    detail: `In short: ${problem}.`,
  });
}

/**
 * What differs between the tools that were declared, and so approved, and those that the server has now; in plain words,
 * empty when nothing does. Names are compared by whoever asked for the list.
 */
export function differencesOf(pins: readonly McpToolPin[], listed: readonly ListedTool[]): readonly string[] {
  return pins.flatMap((pin) => {
    const tools = listed.filter((tool) => tool.name === pin.serverName);
    if (tools.length > 1) return [`${pin.serverName} is there ${tools.length} times`];
    return tools.flatMap((tool) => differences(pin, tool));
  });
}

function differences(pin: McpToolPin, tool: ListedTool): string[] {
  const found: string[] = [];
  const compare = (what: string, declared: string, own: string): void => {
    if (declared !== own)
      found.push(
        `${pin.name}: its ${what} is declared as ${displayLine(declared, SHOWN)} and now is ${displayLine(own, SHOWN)}`,
      );
  };
  compare("description", pin.description.trim(), tool.description.trim());
  compare("input_schema", textOf(pin.inputSchema), textOf(tool.inputSchema));
  compare("output_schema", textOf(pin.outputSchema), textOf(tool.outputSchema));
  return found;
}

/** `$schema` names a dialect; what it allows is the same. */
function textOf(schema: unknown): string {
  if (schema === undefined) return "absent";
  if (!isRecord(schema)) return JSON.stringify(schema);
  const { $schema: _dialect, ...rest } = schema;
  return canonicalJson(rest);
}

export function changedTools(differing: readonly string[]): SallyportError {
  return new SallyportError("undeclared_tool", "The MCP server's tools are not the ones that were approved.", {
    detail: `${differing.slice(0, 3).join("; ")}${differing.length > 3 ? `; and ${differing.length - 3} more` : ""}.`,
    fix: "Declare the tools as the server describes them under contributes.tools, and approve that version.",
  });
}

/** The server's tools under the names that the manifest gives them. */
export function declaredNames(pins: readonly McpToolPin[], listed: readonly ListedTool[]): readonly string[] {
  return listed.map(({ name }) => pins.find((pin) => pin.serverName === name)?.name ?? name);
}
