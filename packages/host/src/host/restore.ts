import { join } from "node:path";
import { openAuditLog } from "../audit/index.ts";
import { starterConfig } from "../config/index.ts";
import { createHome, hasFolder } from "../home/index.ts";
import type { RestoreAnswer, RestoreRequest } from "../host-api.ts";
import { storeRoot } from "../isolation/index.ts";
import { type Clock, newId, PolicyViolationError } from "../kernel/index.ts";
import { createOperators, PASSPHRASE_SETTING } from "../operators/index.ts";
import { createContentStore, importTrees } from "../registry/index.ts";
import {
  applyRestore,
  assertNoRestore,
  type BackupManifest,
  type ChainRelation,
  commitRestore,
  createSettings,
  type Database,
  forgetCheckpoints,
  invalidBackup,
  listPlugins,
  loadOrCreateSigningKey,
  mergeNewer,
  movePluginRoot,
  openDatabase,
  publicHalf,
  readBackup,
  removeStaging,
  stagingFolder,
  withdrawCallsOf,
} from "../store/index.ts";

/** What of the settings is never taken from a backup when the home has its own. */
const KEPT_SETTINGS = [PASSPHRASE_SETTING];

/**
 * Brings a home back to what a backup holds, into an empty folder or one whose owner is stopped. What was revoked, withdrawn,
 * answered or used up since stays so, and the audit goes on where the home's ends. A crash leaves the old home or, after
 * `resumeRestore`, the new one.
 * @throws {SallyportError} `backup_invalid`, `passphrase_required`, `conflict` for a backup of another home, `home_locked` while an
 * owner runs, `schema_newer`, `home_unsafe`, `restore_unfinished`.
 */
export async function restoreHome(request: RestoreRequest, clock: Clock): Promise<RestoreAnswer> {
  const { path: home, isNew } = await placeFor(request.home);
  await assertNoRestore(home);
  const own = isNew ? undefined : await openOwn(home, clock);
  const folder = await stagingFolder(home).catch(async (error: unknown) => {
    await own?.db.close();
    throw error;
  });
  try {
    if (own) await authenticate(own.db, request.operatorPassphrase, clock);
    const manifest = await readBackup(request.file, folder, request.passphrase, (found) => assertOwn(found, own?.key));
    const relation = await merge(folder, home, manifest, own?.db, clock);
    await restoreStore(folder, home);
    await commitRestore(home, folder);
    await own?.db.close();
    await applyRestore(home, request.onStep);
    return {
      home,
      createdAt: manifest.created_at,
      secrets: manifest.secrets,
      store: manifest.store,
      keptAudit: relation?.kept ?? "backup",
      ...(relation?.forkedAfter === undefined ? {} : { forkedAfter: relation.forkedAfter }),
    };
  } finally {
    await own?.db.close();
    await removeStaging(folder);
  }
}

/** Finishes what a crash cut short. @throws {SallyportError} `not_found` when there is nothing to finish. */
export async function resumeRestore(home: string): Promise<void> {
  await applyRestore(home);
}

/** The home as it is, locked until it is closed. */
interface OwnHome {
  readonly db: Database;
  /** The public half of its audit key. */
  readonly key: string;
}

async function placeFor(home: string): Promise<{ readonly path: string; readonly isNew: boolean }> {
  const { path } = await createHome(home, starterConfig({ pluginsEnabled: false }));
  return { path, isNew: !hasFolder(join(path, "state.db")) };
}

async function openOwn(home: string, clock: Clock): Promise<OwnHome> {
  const db = await openDatabase({ path: join(home, "state.db"), clock });
  try {
    return { db, key: publicHalf(await loadOrCreateSigningKey(auditKeyOf(home))) };
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** A restore takes back what operators decided since: only an operator of the home as it is may say that. */
async function authenticate(db: Database, passphrase: string | undefined, clock: Clock): Promise<void> {
  const operators = await createOperators({ settings: createSettings(db), clock });
  await operators.authenticate(passphrase);
}

function assertOwn(manifest: BackupManifest, key: string | undefined): void {
  if (key === undefined || key === manifest.key) return;
  throw new PolicyViolationError("forbidden", "This is a backup of another home.", {
    detail: "It is signed by another audit key than this home's, so that its audit could not go on.",
    fix: "Restore it into an empty folder: sallyport restore FILE --home DIR",
  });
}

async function merge(
  folder: string,
  home: string,
  manifest: BackupManifest,
  own: Database | undefined,
  clock: Clock,
): Promise<ChainRelation | undefined> {
  const path = join(folder, "state.db");
  const keyCame = manifest.secrets;
  const signingKey = await loadOrCreateSigningKey(auditKeyOf(keyCame || own === undefined ? folder : home));
  if (keyCame && publicHalf(signingKey) !== manifest.key)
    throw invalidBackup("Its audit key is not the one that signed it.");
  const before = await openDatabase({ path, clock });
  let relation: ChainRelation | undefined;
  try {
    await assertAudit(before, manifest);
    if (own) relation = await mergeNewer(before, own, KEPT_SETTINGS);
    else if (!keyCame) await forgetCheckpoints(before);
    // A yes to a call may have been used, or taken back, since the backup was made.
    await before.atomically([withdrawCallsOf("everything", "host", clock.now(), "restored")]);
    await moveRoots(before, home);
  } finally {
    await before.close();
  }
  // Anew: a store computes hashes from the head that it found when it was opened.
  const db = await openDatabase({ path, clock });
  try {
    const audit = await openAuditLog({ database: db, clock, signingKey });
    await audit.record({
      v: 1,
      id: newId("evt"),
      time: clock.now(),
      type: "home.restored",
      actor: "operator:local",
      data: {
        backup: { created_at: manifest.created_at, ...manifest.head },
        kept: relation?.kept ?? "backup",
        ...(relation?.forkedAfter === undefined ? {} : { fork: { after: relation.forkedAfter, lost: manifest.head } }),
        ...(own === undefined && !keyCame ? { new_audit_key: true } : {}),
      },
    });
    await audit.close();
  } finally {
    await db.close();
  }
  return relation;
}

/** The copy of the database may hold a little more than its list of contents tells, and never less. */
async function assertAudit(db: Database, { head }: BackupManifest): Promise<void> {
  const [row] = head.seq === 0 ? [] : await db.chain.read(head.seq - 1, 1);
  if (head.seq === 0 || (row?.seq === head.seq && row.hash === head.hash)) return;
  throw invalidBackup("Its audit is not the one that it names.");
}

function auditKeyOf(home: string): string {
  return join(home, "keys", "audit.pem");
}

function storePlace(home: string): { readonly path: string; readonly readableByAll: boolean } {
  const hostIsRoot = process.getuid?.() === 0;
  return { path: storeRoot(home, { hostIsRoot }), readableByAll: hostIsRoot };
}

/** In another folder the stored plugins lie elsewhere. */
async function moveRoots(db: Database, home: string): Promise<void> {
  const { path } = storePlace(home);
  for (const { ref, root } of await listPlugins(db)) {
    const place = join(path, ref.digest.replace("sha256:", ""), "files");
    if (root !== place) await db.atomically([movePluginRoot(ref, place)]);
  }
}

/** Before the restore counts: what is stored by its digest does no harm when it does not. */
async function restoreStore(folder: string, home: string): Promise<void> {
  const trees = join(folder, "store");
  if (!hasFolder(trees)) return;
  const { path, readableByAll } = storePlace(home);
  await importTrees(trees, await createContentStore(path, { readableByAll }));
  await removeStaging(trees);
}
