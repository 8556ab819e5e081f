import type { Grant } from "../capability/index.ts";
import { PolicyViolationError } from "../kernel/index.ts";
import type { StoredKey, StoredPlugin, StoredRegistry } from "../store/index.ts";
import { checkSeal, type SealKeys, type SealKind, sealOf } from "../trust/index.ts";

/**
 * The host's seal over what it keeps in its database, so that whoever edits that file gains nothing. Without a key, seals are
 * off: nothing is sealed, and what was sealed before cannot be checked and is refused.
 */
export interface Seals {
  readonly keys: SealKeys | undefined;
  plugin(record: StoredPlugin): StoredPlugin;
  grant(grant: Grant): Grant;
  key(key: StoredKey): StoredKey;
  registry(registry: StoredRegistry): StoredRegistry;
  /** @throws {PolicyViolationError} `seal_invalid`. */
  check(record: StoredPlugin, grant: Grant | undefined): void;
  isOwn(record: StoredPlugin): boolean;
  isOwnGrant(grant: Grant): boolean;
  isOwnKey(key: StoredKey): boolean;
  isOwnRegistry(registry: StoredRegistry): boolean;
}

export function createSeals(keys: SealKeys | undefined): Seals {
  const sealed = <T extends { readonly seal?: string | undefined }>(kind: SealKind, row: T, facts: unknown): T =>
    keys ? { ...row, seal: sealOf(kind, facts, keys.current) } : row;
  const holds = (kind: SealKind, facts: unknown, seal: string | undefined): boolean =>
    keys ? checkSeal(kind, facts, seal, keys) !== undefined : seal === undefined;
  return {
    keys,
    plugin: (record) => sealed("plugin", record, pluginFacts(record)),
    grant: (grant) => sealed("grant", grant, grantFacts(grant)),
    key: (key) => sealed("trusted-key", key, keyFacts(key)),
    registry: (registry) => sealed("registry", registry, registryFacts(registry)),
    isOwn: (record) => holds("plugin", pluginFacts(record), record.seal),
    isOwnGrant: (grant) => holds("grant", grantFacts(grant), grant.seal),
    isOwnKey: (key) => holds("trusted-key", keyFacts(key), key.seal),
    isOwnRegistry: (registry) => holds("registry", registryFacts(registry), registry.seal),
    check(record, grant) {
      if (!holds("plugin", pluginFacts(record), record.seal)) throw broken(record, "The record", record.seal, keys);
      if (grant && !holds("grant", grantFacts(grant), grant.seal)) throw broken(record, "The grant", grant.seal, keys);
    },
  };
}

/**
 * All that an installation fixes; state, counters and the last error change in a lifetime. Nor is the place of the files in it: it
 * follows from the digest, and another folder, as after a restore, is no edit.
 */
function pluginFacts(record: StoredPlugin): unknown {
  const {
    state: _state,
    active: _active,
    lastError: _error,
    executionCount: _count,
    errorCount: _errors,
    root: _root,
    ...rest
  } = record;
  const { seal: _seal, ...facts } = rest;
  return facts;
}

function grantFacts({ seal: _seal, ...facts }: Grant): unknown {
  return facts;
}

function registryFacts({ seal: _seal, ...facts }: StoredRegistry): unknown {
  return facts;
}

function keyFacts({ seal: _seal, ...facts }: StoredKey): unknown {
  return facts;
}

function broken(
  { ref }: StoredPlugin,
  what: string,
  seal: string | undefined,
  keys: SealKeys | undefined,
): PolicyViolationError {
  if (!keys) {
    return new PolicyViolationError("seal_invalid", `${what} of ${ref.id} ${ref.version} is sealed.`, {
      detail: "This owner was started without PLUGIN_SECRET_KEY, so nothing shows whether somebody edited it.",
      fix: "Stop the owner and start it with PLUGIN_SECRET_KEY. If the key is lost, uninstall the plugin, run sallyport plugin lock --restore and install it again.",
    });
  }
  return new PolicyViolationError("seal_invalid", `${what} of ${ref.id} ${ref.version} is not as this host wrote it.`, {
    detail: seal === undefined ? "It has no seal." : "Its seal does not fit what it says now, or is by another key.",
    fix: "If you set or changed PLUGIN_SECRET_KEY, run: sallyport key reseal. Else find out who edited state.db, uninstall the plugin and install it again.",
  });
}
