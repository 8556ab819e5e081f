import { SallyportError } from "../kernel/index.ts";

/** Decodes base64 that a plugin sent. @throws {SallyportError} `usage` when malformed, `limit_exceeded` over `maxBytes`. */
export function canonicalBase64(text: string, maxBytes: number): Buffer {
  if (text.length > Math.ceil(maxBytes / 3) * 4)
    throw new SallyportError("limit_exceeded", `The data is over ${maxBytes} bytes.`);
  const bytes = Buffer.from(text, "base64");
  // Node skips what is not base64; a length that does not fit shows it.
  if (text.length % 4 !== 0 || bytes.length !== decodedLength(text))
    throw new SallyportError("usage", "The data is not base64.");
  return bytes;
}

function decodedLength(text: string): number {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return (text.length / 4) * 3 - padding;
}
