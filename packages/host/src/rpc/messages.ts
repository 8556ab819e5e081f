/** A message of the other side, its shape checked and nothing else. */
export type Message =
  | { readonly kind: "result"; readonly id: number; readonly result: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: RemoteError }
  | { readonly kind: "request"; readonly id: RequestId; readonly method: string; readonly params: unknown }
  | { readonly kind: "notification"; readonly method: string; readonly params: unknown };

/** A number; a text only where any id is taken. */
export type RequestId = number | string;

/** A JSON-RPC error as the other side wrote it: a stranger's text. */
export interface RemoteError {
  readonly code: number;
  readonly message: string;
  readonly data: unknown;
}

const MAX_METHOD_LENGTH = 64;
const MAX_ID_LENGTH = 64;

/**
 * @param anyRequestId also takes 0 and short texts as ids of requests; answers are to ours, so that theirs are always numbers.
 * @returns a text that says what is wrong when `value` is not one message of JSON-RPC 2.0 with a positive integer id.
 */
export function readMessage(value: unknown, anyRequestId = false): Message | string {
  if (!isRecord(value)) return "a message is not an object";
  if (value["jsonrpc"] !== "2.0") return "a message is not JSON-RPC 2.0";
  return value["method"] === undefined ? readAnswer(value) : readCall(value, value["method"], anyRequestId);
}

function readAnswer(value: Record<string, unknown>): Message | string {
  const id = value["id"];
  if (!isId(id)) return "an answer has no positive integer id";
  if (countKeys(value) !== 3) return "an answer has not exactly one of result and error";
  if ("result" in value) return { kind: "result", id, result: value["result"] };
  const error = value["error"];
  if (!isRecord(error)) return "an answer has neither result nor error";
  const { code, message, data } = error;
  if (typeof code !== "number" || !Number.isInteger(code) || typeof message !== "string")
    return "an error has no code or message";
  if (countKeys(error) !== ("data" in error ? 3 : 2)) return "an error has an unknown member";
  return { kind: "error", id, error: { code, message, data } };
}

function readCall(value: Record<string, unknown>, method: unknown, anyId: boolean): Message | string {
  if (typeof method !== "string" || method.length > MAX_METHOD_LENGTH) return "a method is not a short string";
  const { params, id } = value;
  if (params !== undefined && !isRecord(params)) return "the params are not an object";
  const members = (params === undefined ? 2 : 3) + ("id" in value ? 1 : 0);
  if (countKeys(value) !== members) return "a request has an unknown member";
  if (!("id" in value)) return { kind: "notification", method, params: params ?? {} };
  if (isId(id) || (anyId && isAnyId(id))) return { kind: "request", id, method, params: params ?? {} };
  return "a request has no positive integer id";
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

function isAnyId(value: unknown): value is RequestId {
  return typeof value === "string"
    ? value.length <= MAX_ID_LENGTH
    : typeof value === "number" && Number.isSafeInteger(value);
}

function countKeys(value: object): number {
  let count = 0;
  for (const _key in value) count++;
  return count;
}
