import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Wish } from "../capability/index.ts";
import { type Clock, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import { type AddressClass, classifyAddress, isMetadataName } from "./addresses.ts";
import { untilAborted } from "./aborting.ts";
import type { Reach } from "./reach.ts";
import type { Target } from "./target.ts";

/** All addresses of a name. */
export type Resolver = (host: string) => Promise<readonly string[]>;

export const systemResolver: Resolver = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

/** Asking the operating system costs more than all other checks of a request together. */
const ADDRESSES_FRESH_MS = 5_000;

/** The addresses of this machine's interfaces, at most five seconds old. */
export function createSystemAddresses(clock: Clock): () => readonly string[] {
  let addresses: readonly string[] = [];
  let readAt = -Infinity;
  return () => {
    const now = clock.monotonic();
    if (now - readAt >= ADDRESSES_FRESH_MS) {
      addresses = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
      readAt = now;
    }
    return addresses;
  };
}

export interface AddressGate {
  /**
   * Resolves the target's host once and answers the addresses that may be connected to, all of them checked. The caller
   * connects to these and resolves nothing again.
   * @throws {PolicyViolationError} `address_refused` if any address is not admitted. @throws {SallyportError} `network_failed`.
   */
  addressesOf(target: Target, wish: Wish, signal: AbortSignal): Promise<readonly string[]>;
}

export interface AddressGateDeps {
  readonly resolve: Resolver;
  readonly ownPorts: () => readonly number[];
  readonly ownAddresses: () => readonly string[];
  readonly resolveMs: number;
}

const MAX_ADDRESSES = 64;

export function createAddressGate(deps: AddressGateDeps, reach: Reach): AddressGate {
  return {
    async addressesOf(target, wish, signal) {
      if (isMetadataName(target.host)) throw refused(target, "metadata");
      const literal = target.host.replace(/^\[|\]$/g, "");
      const addresses = isIP(literal) === 0 ? await resolveName(deps, target, signal) : [literal];
      const own = new Set(deps.ownAddresses());
      for (const address of addresses) {
        const found = classifyAddress(address);
        const kind: AddressClass = own.has(address) && (found === "public" || found === "private") ? "loopback" : found;
        if (kind === "public") continue;
        if ((kind !== "private" && kind !== "loopback") || !reach.admits(wish, kind)) throw refused(target, kind);
        if (kind === "loopback" && deps.ownPorts().includes(target.port)) throw refused(target, "own port");
      }
      return addresses;
    },
  };
}

async function resolveName(deps: AddressGateDeps, target: Target, signal: AbortSignal): Promise<readonly string[]> {
  const deadline = AbortSignal.timeout(deps.resolveMs);
  let addresses: readonly string[];
  try {
    addresses = await untilAborted(deps.resolve(target.host), AbortSignal.any([signal, deadline]));
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw unresolved(target, cause);
  }
  if (addresses.length === 0 || addresses.length > MAX_ADDRESSES) throw unresolved(target, undefined);
  return addresses;
}

function unresolved(target: Target, cause: unknown): SallyportError {
  return new SallyportError("network_failed", `The name ${target.host} could not be resolved.`, {
    detail: "The name service gave no usable answer.",
    fix: "Check the host name and this machine's network.",
    cause,
  });
}

const FIXES: Readonly<Record<string, string>> = {
  private: "An operator can admit it for this name: plugin approve ID --scope network+private=HOST:PORT",
  loopback: "An operator can admit it for this name: plugin approve ID --scope network+loopback=HOST:PORT",
};

function refused(target: Target, kind: AddressClass | "own port"): PolicyViolationError {
  return new PolicyViolationError("address_refused", `${target.host} leads to a place that plugins may not reach.`, {
    detail: `One of its addresses is of the kind "${kind}".`,
    fix: FIXES[kind] ?? "This cannot be granted.",
    data: { host: target.host, kind },
  });
}
