import type { z } from "zod";
import { LIMITS, parseBoundedJson, SallyportError } from "../kernel/index.ts";

/** Largest request body in bytes: a tool's largest input, its JSON escapes, and some room. */
export const MAX_BODY_BYTES = 2 * LIMITS.inputBytes;

/**
 * Reads a JSON body, or `{}` when there is none.
 * @throws {SallyportError} `input_too_large`, `limit_exceeded` for nesting, `usage` for anything that is not JSON in UTF-8.
 */
export async function readJsonBody(request: Request): Promise<unknown> {
  const bytes = await readBounded(request);
  if (bytes.length === 0) return {};
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw new SallyportError("usage", "The body is not declared as JSON.", {
      detail: "Only JSON is read, so that a web form can never speak to this API.",
      fix: "Send Content-Type: application/json.",
    });
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SallyportError("usage", "The body is not valid UTF-8.", { fix: "Encode the JSON as UTF-8.", cause });
  }
  return parseBoundedJson(text, { maxDepth: LIMITS.jsonDepth });
}

async function readBounded(request: Request): Promise<Buffer> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  if (!request.body) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): SallyportError {
  return new SallyportError("input_too_large", `The body is over ${MAX_BODY_BYTES} bytes.`, {
    detail: "Requests are bounded so that no client can fill the host's memory.",
    fix: "Send less in one request.",
  });
}

/** @throws {SallyportError} `usage` naming the first key that is wrong; all of them are in `data.problems`. */
export function checked<T extends z.ZodType>(schema: T, value: unknown, where: "body" | "query" | "path"): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => ({ path: issue.path.join("."), problem: issue.message }));
  const first = problems[0];
  throw new SallyportError("usage", `The ${where} is not valid: ${first?.path || "(top level)"}: ${first?.problem}.`, {
    detail: `${problems.length} problem(s); unknown keys are errors.`,
    fix: `Correct ${first?.path || `the ${where}`} and send it again.`,
    data: { problems },
  });
}
