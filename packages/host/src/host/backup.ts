import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import type { AuditLog } from "../audit/index.ts";
import type { Catalog } from "../catalog/index.ts";
import type { BackupAnswer, BackupRequest, Operator } from "../host-api.ts";
import { type Clock, SallyportError } from "../kernel/index.ts";
import type { ContentStore } from "../registry/index.ts";
import type { Vault } from "../secrets/index.ts";
import { copyInto, type Database, removeStaging, stagingFolder, writeBackup } from "../store/index.ts";
import { VERSION } from "../version.ts";
import { actorOf, eventOf } from "./plugins-deps.ts";

export interface BackupDeps {
  readonly home: string;
  readonly dataRoot: string;
  readonly db: Database;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly store: ContentStore;
  readonly vault: Pick<Vault, "whileStill">;
  readonly signingKey: KeyObject;
}

/** As long as an operator's passphrase at least. */
const LEAST_CHARACTERS = 8;
const PLAIN_FILES = ["config.yml", "plugin.lock.json"];
/** Publishers' own keys are the author's to keep: a host needs these two only. */
const SECRET_FILES = [
  "vault",
  "keys/vault.key",
  // What a change of keys that was cut short left: it may be the one that the vault needs.
  "keys/vault.key.next",
  "keys/audit.pem",
];

/**
 * Writes the home into one file: the database as it is at one moment, configuration, lock, what plugins keep; with `secrets` the
 * vault and the host's keys, and with `store` the stored plugins. What is installed goes on running.
 * @throws {SallyportError} `usage`, `conflict` for a file that is there, `store_unavailable`, `digest_mismatch` for a stored plugin
 * that was changed.
 */
export async function backup(deps: BackupDeps, operator: Operator, request: BackupRequest): Promise<BackupAnswer> {
  const { file, passphrase, secrets = false, store = false } = request;
  if (passphrase !== undefined && passphrase.length < LEAST_CHARACTERS) throw tooShort();
  if (secrets && passphrase === undefined) throw unprotected();
  const folder = await stagingFolder(deps.home);
  try {
    // Before the copy, which may hold a little more.
    await deps.audit.flush();
    const head = await deps.db.chain.head();
    await deps.db.backup(join(folder, "state.db"));
    for (const name of PLAIN_FILES) await copyInto(folder, name, join(deps.home, name));
    await copyInto(folder, "data", deps.dataRoot);
    if (secrets)
      await deps.vault.whileStill(async () => {
        for (const name of SECRET_FILES) await copyInto(folder, name, join(deps.home, name));
      });
    if (store) await copyStore(deps, folder);
    const facts = { createdAt: deps.clock.now(), program: VERSION, head, secrets, store };
    const written = await writeBackup(file, folder, facts, deps.signingKey, passphrase);
    await deps.audit.record(
      eventOf(deps.clock, "home.backed_up", actorOf(operator), {
        data: { secrets, store, encrypted: passphrase !== undefined, ...written },
      }),
    );
    return { file, secrets, store, encrypted: passphrase !== undefined, head, ...written };
  } finally {
    await removeStaging(folder);
  }
}

async function copyStore({ catalog, store }: BackupDeps, folder: string): Promise<void> {
  const digests = new Set(catalog.all().map(({ ref }) => ref.digest));
  for (const digest of digests) {
    await store.verify(digest);
    await copyInto(folder, `store/${digest.replace("sha256:", "")}`, store.pathOf(digest));
  }
}

function tooShort(): SallyportError {
  return new SallyportError("usage", `A backup's passphrase has at least ${LEAST_CHARACTERS} characters.`, {
    fix: "Choose several words that only you know.",
  });
}

function unprotected(): SallyportError {
  return new SallyportError("usage", "Vault and keys are never written without a passphrase.", {
    detail: "Whoever has the file would have every secret.",
    fix: "Give --backup-passphrase-file FILE, or leave out --secrets.",
  });
}
