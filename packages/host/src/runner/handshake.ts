import type { HelloParams, HelloResult } from "@sallyport/sdk/protocol/v1";

/** Proves that this process was given the launch token. Nothing keeps the token afterwards. */
export async function answerHello({ protocols, token, nonce }: HelloParams): Promise<HelloResult> {
  if (!protocols.includes(1)) throw new Error("This runner speaks protocol 1 only.");
  const own = toHex(crypto.getRandomValues(new Uint8Array(16)));
  const secret = fromHex(token);
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  secret.fill(0);
  const transcript = new TextEncoder().encode(`sallyport-handshake-v1\n1\n${nonce}\n${own}`);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, transcript));
  return { protocol: 1, token, nonce: own, mac: toHex(mac) };
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index++)
    bytes[index] = Number.parseInt(text.slice(2 * index, 2 * index + 2), 16);
  return bytes;
}

function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
