import { SallyportError } from "../kernel/index.ts";
import { isRecord, type PeerAnswer } from "../rpc/index.ts";
import type { McpToolPin } from "./types.ts";

/** JSON-RPC code of a failure in the plugin's own code, in the protocol of plugins. */
const PLUGIN_FAILED = -32000;

/**
 * The answer to `tools/call` as the protocol of plugins has it. The output of a tool with an output_schema is the server's
 * `structuredContent`; of one without, the text when there is nothing but text (blocks joined by a line break), else
 * `{content}` with the blocks as they came. `isError` is a failure of the tool, with its text as the reason.
 */
export function toolAnswer(answer: PeerAnswer, pin: McpToolPin): PeerAnswer {
  if (answer.kind === "failed") return answer;
  const { bytes } = answer;
  if (answer.kind === "error") return failed(answer.error.message, bytes);
  const { result } = answer;
  const content = isRecord(result) ? result["content"] : undefined;
  if (!isRecord(result) || !Array.isArray(content)) return failed("The server answered without content.", bytes);
  const texts = content.map(textOf);
  if (result["isError"] === true) return failed(texts.filter((text) => text !== null).join("\n"), bytes);
  if (pin.outputSchema !== undefined) {
    if (!("structuredContent" in result)) return failed("The server answered without structured content.", bytes);
    return { kind: "result", result: { output: result["structuredContent"] }, bytes };
  }
  const output = texts.every((text) => text !== null) ? texts.join("\n") : { content };
  return { kind: "result", result: { output }, bytes };
}

function textOf(block: unknown): string | null {
  return isRecord(block) && block["type"] === "text" && typeof block["text"] === "string" ? block["text"] : null;
}

function failed(message: string, bytes: number): PeerAnswer {
  return { kind: "error", error: { code: PLUGIN_FAILED, message, data: null }, bytes };
}

/** What a server asks of a client that has nothing to give: no model, no folders, nobody to ask. */
export function refusedRequest(method: string): SallyportError {
  return new SallyportError("permission_denied", `The host does not answer ${method}.`, {
    fix: "Sampling, elicitation and roots are not offered to servers that nobody trusts.",
  });
}
