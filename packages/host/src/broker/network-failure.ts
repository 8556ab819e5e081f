import { SallyportError } from "../kernel/index.ts";
import { cancelled } from "./aborting.ts";

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "The server refused the connection.",
  ECONNRESET: "The server broke the connection.",
  EHOSTUNREACH: "There is no way to the server.",
  ENETUNREACH: "There is no way to the server.",
  UND_ERR_HEADERS_TIMEOUT: "The server sent no answer in time.",
  UND_ERR_BODY_TIMEOUT: "The server stopped in the middle of its answer.",
  UND_ERR_HEADERS_OVERFLOW: "The answer's headers are too large.",
  UND_ERR_SOCKET: "The server closed the connection.",
  CERT_HAS_EXPIRED: "The server's certificate has expired.",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The server's certificate is not signed by a known authority.",
  SELF_SIGNED_CERT_IN_CHAIN: "The server's certificate is not signed by a known authority.",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "The server's certificate is not signed by a known authority.",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "The server's certificate is not signed by a known authority.",
  ERR_TLS_CERT_ALTNAME_INVALID: "The server's certificate is for another name.",
};

/** What went wrong between us and a server. Only host-written text: what libraries and servers say does not pass. */
export function networkFailure(error: unknown, signal: AbortSignal): SallyportError {
  if (signal.aborted) return signal.reason instanceof SallyportError ? signal.reason : cancelled();
  if (error instanceof SallyportError) return error;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const detail =
    REASONS[code] ??
    (code.startsWith("Z_") || code.startsWith("ERR__ERROR")
      ? "The answer's encoding is broken."
      : "The exchange with the server failed.");
  return new SallyportError("network_failed", "The request to the server failed.", { detail, cause: error });
}

export function requestTooSlow(ms: number): SallyportError {
  return new SallyportError("network_failed", `The request took longer than ${ms} ms.`, {
    fix: "Ask the server for less at a time.",
  });
}
