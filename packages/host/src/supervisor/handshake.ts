import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { SallyportError } from "../kernel/index.ts";
import { isRecord } from "../rpc/index.ts";

/** One launch's challenge. It answers once: a second check fails whatever it is given. */
export interface Challenge {
  readonly params: { readonly protocols: readonly [1]; readonly token: string; readonly nonce: string };
  /** @throws {SallyportError} `handshake_failed`. */
  check(answer: unknown): void;
}

const TOKEN_BYTES = 32;
const NONCE_BYTES = 16;

/** A fresh 256-bit launch token and nonce. */
export function createChallenge(): Challenge {
  const key = randomBytes(TOKEN_BYTES);
  const token = key.toString("hex");
  const nonce = randomBytes(NONCE_BYTES).toString("hex");
  let used = false;
  return {
    params: { protocols: [1], token, nonce },
    check(answer) {
      const spent = used;
      used = true;
      const proven = !spent && isRecord(answer) && proves(answer, { key, token, nonce });
      key.fill(0);
      if (!proven)
        throw new SallyportError("handshake_failed", "The process did not prove that the host launched it.", {
          detail: "Its answer to the one-time launch token was wrong.",
          fix: "Install Sallyport again; if it happens once more, the runner's file was changed.",
        });
    },
  };
}

function proves(
  answer: Record<string, unknown>,
  { key, token, nonce }: { readonly key: Buffer; readonly token: string; readonly nonce: string },
): boolean {
  const { protocol, token: echoed, nonce: own, mac } = answer;
  if (Object.keys(answer).length !== 4 || protocol !== 1) return false;
  if (typeof echoed !== "string" || typeof own !== "string" || typeof mac !== "string") return false;
  if (!/^[0-9a-f]{32}$/.test(own)) return false;
  const expected = createHmac("sha256", key).update(`sallyport-handshake-v1\n1\n${nonce}\n${own}`).digest("hex");
  const tokenFits = equal(echoed, token);
  return equal(mac, expected) && tokenFits;
}

/** In constant time for texts of the expected length. */
function equal(given: string, expected: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
