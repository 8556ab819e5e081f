import type { JSONRPCMessage, RequestId } from "@modelcontextprotocol/server";
import { LIMITS, parseBoundedJson, SallyportError } from "../kernel/index.ts";

export interface Refusal {
  /** Of the message refused, or null where it cannot be known. */
  readonly id: RequestId | null;
  readonly code: number;
  readonly message: string;
}

/** `message` is absent for what is dropped: an answer, since this side never asks. */
export type ReadMessage = { readonly message?: JSONRPCMessage } | { readonly refusal: Refusal };

const MAX_ID_LENGTH = 256;
const PARSE_ERROR = -32_700;
const INVALID_REQUEST = -32_600;

/** One line of a client, as a JSON-RPC request or notification; anything else is refused with the error to answer. */
export function readMessage(line: string): ReadMessage {
  let value: unknown;
  try {
    value = parseBoundedJson(line, { maxDepth: LIMITS.jsonDepth });
  } catch (error) {
    const code = error instanceof SallyportError && error.code === "usage" ? PARSE_ERROR : INVALID_REQUEST;
    return refusal(null, code, error instanceof SallyportError ? error.message : "This is not valid JSON.");
  }
  if (Array.isArray(value))
    return refusal(null, INVALID_REQUEST, "Batches are not supported. Send one message a line.");
  if (!isRecord(value) || value.jsonrpc !== "2.0")
    return refusal(null, INVALID_REQUEST, 'A message is an object with "jsonrpc": "2.0".');

  const { id, method, params } = value;
  if (method === undefined && ("result" in value || "error" in value)) return {};
  const known = isRequestId(id) ? id : null;
  if (typeof method !== "string") return refusal(known, INVALID_REQUEST, 'A message has a "method".');
  if (params !== undefined && !isRecord(params)) return refusal(known, INVALID_REQUEST, '"params" must be an object.');
  const body = params === undefined ? {} : { params };
  if (id === undefined) return { message: { jsonrpc: "2.0", method, ...body } };
  if (known === null)
    return refusal(null, INVALID_REQUEST, `"id" must be an integer or a text of at most ${MAX_ID_LENGTH} characters.`);
  return { message: { jsonrpc: "2.0", id: known, method, ...body } };
}

function refusal(id: RequestId | null, code: number, message: string): ReadMessage {
  return { refusal: { id, code, message } };
}

function isRequestId(id: unknown): id is RequestId {
  return typeof id === "string" ? id.length <= MAX_ID_LENGTH : Number.isSafeInteger(id);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
