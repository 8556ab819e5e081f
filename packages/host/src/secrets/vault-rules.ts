import { isIP } from "node:net";
import { canonicalOrigin } from "../capability/index.ts";
import { SallyportError } from "../kernel/index.ts";

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const MIN_VALUE_CHARACTERS = 4;
const MAX_VALUE_BYTES = 16 * 1024;

export function checkSecretName(name: string): void {
  if (NAME.test(name)) return;
  throw new SallyportError("usage", "The secret's name is not valid.", {
    detail: "A name is 1 to 64 letters, digits, _ . or -, and starts with a letter.",
    fix: "Choose a name such as OPENWEATHER_KEY.",
  });
}

/** Shorter values cannot be told from ordinary text, so they could not be kept out of answers and logs. */
export function checkSecretValue(value: string): void {
  const bytes = Buffer.byteLength(value, "utf8");
  if (value.length >= MIN_VALUE_CHARACTERS && bytes <= MAX_VALUE_BYTES && value.isWellFormed()) return;
  throw new SallyportError("usage", "The secret's value is refused.", {
    detail: `A value has at least ${MIN_VALUE_CHARACTERS} characters and at most ${MAX_VALUE_BYTES} bytes of UTF-8.`,
    fix: "Check for a truncated paste.",
  });
}

const SERVER = /^postgres:\/\/([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::(\d{1,5}))?\/?$/;

/**
 * The canonical form of an origin that a secret may be bound to: https, or http on this machine or the local network, or a
 * server of databases, which the host alone logs in to.
 * @throws {SallyportError} `usage`.
 */
export function bindableOrigin(text: string): string {
  const [server, host, port = "5432"] = SERVER.exec(text.toLowerCase()) ?? [];
  if (server !== undefined) return `postgres://${host}:${Number(port)}`;
  const origin = canonicalOrigin(text.toLowerCase());
  if (origin.startsWith("http:") && !isLocalName(new URL(origin).hostname)) {
    throw new SallyportError("usage", `A secret cannot be bound to ${origin}.`, {
      detail: "Over plain http anybody on the way could read the value.",
      fix: "Bind it to an https origin, as in: --for https://api.example.com",
    });
  }
  return origin;
}

/** Names and addresses that do not leave the local network. What a name resolves to is checked again at each request. */
function isLocalName(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "");
  if (isIP(bare) === 4) return /^(?:127|10)\.|^192\.168\.|^172\.(?:1[6-9]|2\d|3[01])\./.test(bare);
  if (isIP(bare) === 6) return bare === "::1" || /^f[cd]/.test(bare);
  return !bare.includes(".") || /\.(?:localhost|local|lan|home\.arpa|internal)$/.test(bare);
}
