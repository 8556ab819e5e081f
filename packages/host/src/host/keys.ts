import type { AuditLog } from "../audit/index.ts";
import type { Catalog, Turns } from "../catalog/index.ts";
import type { KeysApi, Operator, TrustedKeyView } from "../host-api.ts";
import { type Clock, displayLine, hasHiddenCharacters, PolicyViolationError, SallyportError } from "../kernel/index.ts";
import {
  advanceRegistry,
  type Database,
  deleteTrustedKey,
  insertRevocation,
  listGrants,
  listRegistries,
  saveTrustedKey,
  sealGrant,
  type Statement,
  type StoredKey,
} from "../store/index.ts";
import { type KeyId, parseKeyId, parseKeyScope, readRotation } from "../trust/index.ts";
import type { DataSpaces } from "./data-spaces.ts";
import { actorOf, eventOf } from "./plugins-deps.ts";
import type { TrustState } from "./trust.ts";

export interface KeysDeps {
  readonly db: Database;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly trust: TrustState;
  readonly spaces: DataSpaces;
  readonly inTurn: Turns;
  /** Reads decisions and keys again, and stops what no longer passes the gates. */
  recheck(): Promise<void>;
  /** Writes the home's lock anew. */
  restoreLock(operator: Operator): Promise<unknown>;
}

type KeyEvent = "key.trusted" | "key.rotated" | "key.untrusted" | "key.revoked";

/** The operator's verbs on publishers' keys. Each is one event, in the same transaction as what it changes. */
export function createKeysApi(deps: KeysDeps): KeysApi {
  const { audit, clock, trust } = deps;

  async function commit(
    operator: Operator,
    type: KeyEvent,
    statements: readonly Statement[],
    data: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    await audit.commit(statements, [eventOf(clock, type, actorOf(operator), { data })]);
    await deps.recheck();
  }

  function find(keyOrName: string): StoredKey {
    const found = trust.stored.filter(({ id, name }) => id === keyOrName || name === keyOrName);
    const [first, second] = found;
    if (first && !second) return first;
    throw new SallyportError(
      "not_found",
      `${first ? "Several keys have" : "No key has"} the name or id "${displayLine(keyOrName)}".`,
      {
        fix: `${first ? "Give the key itself" : "See which keys are trusted"}: sallyport key list`,
      },
    );
  }

  async function save(operator: Operator, key: Omit<StoredKey, "addedBy" | "addedAt">, type: KeyEvent) {
    const stored = trust.seals.key({ ...key, addedBy: operator.name, addedAt: clock.now() });
    const { id, name, scopes, expiresAt, replaces } = stored;
    await commit(operator, type, [saveTrustedKey(stored)], { key: id, name, scopes, expires_at: expiresAt, replaces });
    await adopt(deps, operator);
    return view(trust, stored);
  }

  return {
    list: async () => trust.stored.map((key) => view(trust, key)),
    trust: (operator, request) =>
      deps.inTurn("keys", async () => {
        const id = parseKeyId(request.key);
        const name = checkedName(request.name);
        const scopes = (request.scopes ?? [`${name.toLowerCase()}/*`]).map(parseKeyScope);
        if (scopes.length === 0)
          throw new SallyportError("usage", "The key would sign nothing.", { fix: "Give --scope." });
        const expiresAt = request.expiresAt ?? null;
        if (expiresAt !== null && expiresAt <= clock.now()) {
          throw new SallyportError("usage", "The time at which the trust would end is over.", {
            fix: "Give a time to come.",
          });
        }
        refuseRevoked(trust, id);
        const known = trust.stored.find((key) => key.id === id);
        return save(operator, { id, name, scopes, expiresAt, replaces: known?.replaces ?? null }, "key.trusted");
      }),
    rotate: (operator, statement) =>
      deps.inTurn("keys", async () => {
        const { from, to } = readRotation(statement);
        const old = trust.stored.find(({ id }) => id === from);
        if (!old || trust.stateOf(old) !== "trusted") {
          throw new PolicyViolationError("signature_required", "The key that hands on its trust is not trusted here.", {
            detail: `${from} is ${old ? trust.stateOf(old) : "not known"}.`,
            fix: "Ask the publisher on another way for the new key, and trust it with: sallyport key trust",
          });
        }
        refuseRevoked(trust, to);
        const other = trust.stored.find(({ replaces, id }) => replaces === from && id !== to);
        if (other) {
          throw new SallyportError("conflict", `The key of ${old.name} was replaced by another one before.`, {
            detail: `${from} gave way to ${other.id}.`,
            fix: "Ask the publisher which key is theirs; whoever has the old one can sign any number of these.",
          });
        }
        const { name, scopes, expiresAt } = old;
        const rotated = await save(operator, { id: to, name, scopes, expiresAt, replaces: from }, "key.rotated");
        await deps.spaces.rotate(from, to);
        return rotated;
      }),
    untrust: (operator, keyOrName) =>
      deps.inTurn("keys", async () => {
        const { id, name } = find(keyOrName);
        await commit(operator, "key.untrusted", [deleteTrustedKey(id)], { key: id, name });
        return { key: id };
      }),
    revoke: (operator, keyOrName, reason = "revoked by an operator") =>
      deps.inTurn("keys", async () => {
        const known = trust.stored.find(({ id, name }) => id === keyOrName || name === keyOrName);
        const id = known ? find(keyOrName).id : parseKeyId(keyOrName);
        const revocation = {
          kind: "publisher_key",
          value: id,
          pluginId: "*",
          reason,
          revokedBy: operator.name,
          revokedAt: clock.now(),
        } as const;
        const statements = [insertRevocation(revocation), ...(known ? [deleteTrustedKey(id)] : [])];
        await commit(operator, "key.revoked", statements, { key: id, reason, ...(known ? { name: known.name } : {}) });
        return { key: id };
      }),
    reseal: (operator) => deps.inTurn("keys", () => reseal(deps, operator)),
  };
}

/** Plugins that came before their signer was trusted here belong to that publisher from now on. */
async function adopt({ catalog, clock, spaces, trust }: KeysDeps, operator: Operator): Promise<void> {
  for (const record of catalog.all()) {
    // To seal what somebody else wrote would make it ours.
    if (record.signature === undefined || record.publisherKey !== undefined || !trust.seals.isOwn(record)) continue;
    const { publisherKey } = await trust.decideFor(record);
    if (publisherKey === undefined) continue;
    const data = { publisher_key: publisherKey };
    const event = eventOf(clock, "plugin.evidence", actorOf(operator), { plugin: record.ref, data });
    await spaces.handOn(record, await catalog.amend(trust.seals.plugin({ ...record, publisherKey }), [event]));
  }
}

/**
 * Seals all anew with the key of now: the operator's word that what the database says is true. With the key before at hand the word
 * goes no further than that key's seals: what neither sealed was edited, and stays refused.
 */
async function reseal(deps: KeysDeps, operator: Operator) {
  const { catalog, clock, db, trust } = deps;
  const { seals } = trust;
  if (!seals.keys) {
    throw new SallyportError("usage", "This host has no seal key.", {
      fix: "Start the owner with PLUGIN_SECRET_KEY set to at least 32 random bytes.",
    });
  }
  const anyRow = seals.keys.previous === undefined;
  const records = catalog.all().filter((record) => anyRow || seals.isOwn(record));
  for (const record of records) {
    await catalog.amend(seals.plugin(record), [
      eventOf(clock, "key.resealed", actorOf(operator), { plugin: record.ref }),
    ]);
  }
  const grants = (await listGrants(db)).filter((grant) => anyRow || seals.isOwnGrant(grant)).map(seals.grant);
  const keys = trust.stored.filter((key) => anyRow || seals.isOwnKey(key)).map(seals.key);
  const registries = (await listRegistries(db)).filter((own) => anyRow || seals.isOwnRegistry(own)).map(seals.registry);
  const done = { plugins: records.length, grants: grants.length, keys: keys.length };
  const statements = [
    ...grants.flatMap(({ id, seal }) => (seal === undefined ? [] : [sealGrant(id, seal)])),
    ...keys.map(saveTrustedKey),
    ...registries.map(advanceRegistry),
  ];
  await deps.audit.commit(statements, [eventOf(clock, "key.resealed", actorOf(operator), { data: done })]);
  await deps.restoreLock(operator);
  await deps.recheck();
  return done;
}

function refuseRevoked(trust: TrustState, id: KeyId): void {
  if (!trust.isRevoked(id)) return;
  throw new PolicyViolationError("revoked", "This key was revoked here; that is permanent.", {
    fix: "Ask the publisher for another key.",
  });
}

function checkedName(name: string): string {
  if (/^[A-Za-z][A-Za-z0-9._-]{0,59}$/.test(name) && !hasHiddenCharacters(name)) return name;
  throw new SallyportError("usage", "A publisher's name is a word of letters, digits, dots and dashes.", {
    fix: "Write for example: sallyport key trust acme ed25519:…",
  });
}

function view(trust: TrustState, key: StoredKey): TrustedKeyView {
  const { seal: _seal, ...rest } = key;
  return { ...rest, state: trust.stateOf(key) };
}
