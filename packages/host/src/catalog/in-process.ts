import type { HostConfig } from "../config/index.ts";
import { type ErrorCode, type ErrorDetails, PolicyViolationError } from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import type { TrustDecision } from "../trust/index.ts";

/**
 * What has to hold besides the approval itself for a plugin to run in the host's process, as far as it is known without
 * looking at evidence. The fourth condition, a locked tree, is a gate of every load.
 * @throws {PolicyViolationError} `isolation_unavailable`.
 */
export function assertMayBeInProcess({ ref, manifest }: StoredPlugin, { isolation }: HostConfig): void {
  if (!isolation.allowInProcess) {
    refuse("isolation_unavailable", `${ref.id} may not run in the host's process: config.yml does not allow it.`, {
      fix: `${AGAIN(ref.id)}, or set isolation.allow_in_process: true in config.yml.`,
      data: { condition: "configuration" },
    });
  }
  if (isolation.driver !== "auto") {
    refuse("isolation_unavailable", `config.yml names the level "${isolation.driver}" for every plugin.`, {
      detail: `${ref.id} was approved to run in the host's process.`,
      fix: `${AGAIN(ref.id)}, or set isolation.driver: auto in config.yml.`,
      data: { condition: "configuration" },
    });
  }
  if (manifest.interpreter !== undefined) {
    refuse("isolation_unavailable", `${ref.id} is a program, which cannot run in the host's process.`, {
      fix: `${AGAIN(ref.id)}.`,
      data: { condition: "program" },
    });
  }
  if (manifest.isolation.minimum === "kernel") {
    refuse("isolation_unavailable", `${ref.id} itself requires a kernel level, which the host's process is not.`, {
      fix: `${AGAIN(ref.id)}.`,
      data: { condition: "manifest" },
    });
  }
}

/**
 * Nothing but a signature counts: neither the host's own seal, nor provenance, nor a directory of this machine.
 * @throws {PolicyViolationError} `signature_required`.
 */
export function assertSignedForInProcess({ ref }: StoredPlugin, { verdict, evidence }: TrustDecision): void {
  const signed = evidence.some(({ kind, state }) => kind === "signature" && state === "verified");
  if (verdict === "verified" && signed) return;
  refuse(
    "signature_required",
    `${ref.id} runs in the host's process only when signed by a key that is trusted for it here.`,
    {
      detail: "There it has the host's rights, so somebody whom you trust must vouch for exactly these bytes.",
      fix: `${AGAIN(ref.id)}, or trust the key of its publisher: sallyport key trust NAME KEY`,
      data: { condition: "signature" },
    },
  );
}

const AGAIN = (id: string): string => `Approve it without --in-process: sallyport plugin approve ${id}`;

function refuse(code: ErrorCode, message: string, details: ErrorDetails): never {
  throw new PolicyViolationError(code, message, details);
}
