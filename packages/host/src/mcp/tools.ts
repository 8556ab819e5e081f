import {
  type CallToolResult,
  ProtocolError,
  ProtocolErrorCode,
  type Tool,
  type ToolAnnotations,
} from "@modelcontextprotocol/server";
import type { ContentMark, InvokeAnswer, ToolSummary } from "../host-api.ts";
import type { Effect } from "../kernel/index.ts";
import type { JsonSchema } from "../manifest/index.ts";
import { jsonText, plainText } from "./text.ts";

type ObjectSchema = { type: "object"; [key: string]: unknown };

/** A tool as MCP clients see it. Annotations say what the host computed, never what the plugin claims. */
export function toMcpTool(tool: ToolSummary): Tool {
  const outputSchema = advertisedOutput(tool.outputSchema);
  return {
    name: tool.name,
    description: plainText(tool.description),
    inputSchema: objectSchema(tool.inputSchema),
    ...(outputSchema && { outputSchema }),
    annotations: annotationsOf(tool.effect),
    _meta: {
      "sallyport/plugin": tool.plugin,
      "sallyport/effect": tool.effect,
      "sallyport/decision": tool.decision,
      "sallyport/isolation": tool.isolation ?? "none",
      ...(tool.contained !== null && { "sallyport/contained": tool.contained }),
    },
  };
}

/** What a client is told of the output; a schema that says nothing is not told. */
export function advertisedOutput(schema: JsonSchema | undefined): Record<string, unknown> | undefined {
  return schema === undefined || typeof schema === "boolean" ? undefined : { ...schema };
}

function annotationsOf(effect: Effect): ToolAnnotations {
  return {
    readOnlyHint: effect === "read",
    destructiveHint: effect === "destructive",
    openWorldHint: effect === "external" || effect === "destructive",
  };
}

/* Arguments are always an object in MCP; a schema that leaves the type open means that. */
function objectSchema(schema: JsonSchema): ObjectSchema {
  if (typeof schema === "boolean") return schema ? { type: "object" } : { type: "object", not: {} };
  return { ...schema, type: "object" };
}

/** The answer to `tools/call`. @throws {ProtocolError} for a tool that this agent does not have. */
export function toMcpResult(answer: InvokeAnswer, output: Record<string, unknown> | undefined): CallToolResult {
  if (!answer.success) return failureOf(answer);
  const { result, content } = answer;
  const text = typeof result === "string" ? plainText(result) : jsonText(result);
  // Which words are a stranger's is said beside the data, so that programs can read the data as it is.
  const untrusted = { "sallyport/untrusted": true, ...originOf(answer.callId, content) };
  const cut = content?.truncated;
  return {
    content: [
      { type: "text", text, _meta: untrusted },
      // Models read text only. The host's words come last, so that nothing of the plugin's stands behind them.
      ...(cut
        ? [{ type: "text" as const, text: `[Sallyport: the text was cut; ${cut.bytes} of ${cut.of} bytes are left.]` }]
        : []),
    ],
    ...(output && { structuredContent: result }),
    _meta: { "sallyport/call": answer.callId, ...untrusted, ...changesOf(content) },
  };
}

/** Whose words they are, in the host's. */
function originOf(call: string, content: ContentMark | undefined): Record<string, unknown> {
  if (content === undefined) return {};
  const { plugin, version, tool, isolation } = content;
  return { "sallyport/origin": { plugin, version, tool, isolation: isolation ?? "none", call } };
}

function changesOf(content: ContentMark | undefined): Record<string, unknown> {
  return {
    ...(content?.truncated && { "sallyport/truncated": content.truncated }),
    ...(content?.removed && { "sallyport/removed": content.removed }),
    ...(content?.escaped && { "sallyport/escaped": true }),
  };
}

function failureOf(answer: Extract<InvokeAnswer, { success: false }>): CallToolResult {
  if (answer.code === "unknown_tool") {
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, plainText(answer.error), { code: answer.code });
  }
  const lines = [answer.error];
  if (answer.detail !== undefined) lines.push(answer.detail);
  if (answer.code === "approval_required" && answer.approval) {
    lines.push(
      `Waiting for an operator: run \`sallyport approval approve ${answer.approval.id}\`. Then call the tool again with the same arguments.`,
    );
  } else if (answer.fix !== undefined) lines.push(`Fix: ${answer.fix}`);
  lines.push(`Code: ${answer.code}`);
  return {
    isError: true,
    content: [{ type: "text", text: plainText(lines.join("\n")) }],
    _meta: {
      "sallyport/call": answer.callId,
      "sallyport/code": answer.code,
      ...(answer.content && { "sallyport/untrusted": true, ...originOf(answer.callId, answer.content) }),
      ...(answer.approval && { "sallyport/approval": answer.approval.id }),
    },
  };
}
