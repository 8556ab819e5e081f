import { setImmediate as turn } from "node:timers/promises";
import { type Clock, type PluginRef, type SallyportError, toSallyportError } from "../kernel/index.ts";
import { stampTree, type TreeStamp } from "../registry/index.ts";
import {
  type Database,
  forgetVerifiedTree,
  listVerifiedTrees,
  saveVerifiedTree,
  type StoredPlugin,
  type VerifiedTree,
} from "../store/index.ts";
import { checkSeal, type SealKeys, sealOf } from "../trust/index.ts";

/**
 * Whether stored bytes are the approved ones. Reading all of them at every start and every wake would cost a second for each
 * gigabyte, so what the file system shows to be untouched since it was read is not read again.
 */
export interface StoreVerifier {
  /** @throws {SallyportError} `not_found`, `digest_mismatch` with `data.file`, `expected`, `actual`. */
  check(digest: string): Promise<void>;
  /** Reads every byte. @throws {SallyportError} as `check`. */
  reread(digest: string): Promise<void>;
  /** Every given version; with `full`, every byte. One pass at a time: a second one joins the first if that is enough. */
  pass(records: readonly StoredPlugin[], options: PassOptions): Promise<StorePass>;
}

export interface PassOptions {
  readonly full: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, of: number) => void;
}

export interface StorePass {
  readonly checked: number;
  /** Of how many every byte was read. */
  readonly reread: number;
  readonly problems: readonly { readonly ref: PluginRef; readonly error: SallyportError }[];
}

export interface VerifierDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly sealKeys: SealKeys | undefined;
  readonly store: { pathOf(digest: string): string; verify(digest: string): Promise<unknown> };
}

/** A file may be written twice within one tick of the file system's clock, and look the same after both. */
const SETTLED_MS = 2_000;
const FLUSH_EVERY = 200;
/** Trees that are looked at before others get a turn. */
const IN_ONE_GO = 8;

export async function createStoreVerifier(deps: VerifierDeps): Promise<StoreVerifier> {
  const { db, clock, sealKeys, store } = deps;
  const known = new Map<string, string>();
  for (const tree of await listVerifiedTrees(db)) if (isOwn(tree, sealKeys)) known.set(tree.digest, tree.stamp);
  let unsaved = new Map<string, string>();

  async function flush(): Promise<void> {
    const trees = unsaved;
    unsaved = new Map();
    const verifiedAt = clock.now();
    if (trees.size === 0) return;
    await db.atomically(
      [...trees].map(([digest, stamp]) =>
        saveVerifiedTree({
          digest,
          stamp,
          verifiedAt,
          ...(sealKeys ? { seal: sealOf("verified-tree", { digest, stamp }, sealKeys.current) } : {}),
        }),
      ),
    );
  }

  async function read(digest: string, before: TreeStamp | undefined): Promise<void> {
    try {
      await store.verify(digest);
    } catch (error) {
      if (known.delete(digest)) await db.atomically([forgetVerifiedTree(digest)]);
      throw error;
    }
    const after = await stampTree(store.pathOf(digest));
    const settled = after !== undefined && clock.now() - after.changedAt > SETTLED_MS;
    // Only what stood still while it was read is what was read.
    if (!settled || after.text !== before?.text || known.get(digest) === after.text) return;
    known.set(digest, after.text);
    unsaved.set(digest, after.text);
  }

  /** True when every byte had to be read. */
  async function checkOne(digest: string, full: boolean): Promise<boolean> {
    const stamp = await stampTree(store.pathOf(digest));
    if (!full && stamp !== undefined && known.get(digest) === stamp.text) return false;
    await read(digest, stamp);
    return true;
  }

  async function run(records: readonly StoredPlugin[], options: PassOptions): Promise<StorePass> {
    const problems: StorePass["problems"][number][] = [];
    let [checked, reread] = [0, 0];
    // Versions that share a tree share its answer.
    const answers = new Map<string, SallyportError | undefined>();
    for (const { ref } of records) {
      if (options.signal?.aborted === true) break;
      if (!answers.has(ref.digest)) {
        const [error, whole] = await checkOne(ref.digest, options.full).then(
          (all): [undefined, boolean] => [undefined, all],
          (thrown: unknown): [SallyportError, boolean] => [toSallyportError(thrown), true],
        );
        answers.set(ref.digest, error);
        if (whole) reread++;
        if (answers.size % IN_ONE_GO === 0) await turn();
      }
      const error = answers.get(ref.digest);
      if (error) problems.push({ ref, error });
      checked++;
      options.onProgress?.(checked, records.length);
      if (unsaved.size >= FLUSH_EVERY) await flush();
    }
    await flush();
    return { checked, reread, problems };
  }

  let running: { readonly full: boolean; readonly result: Promise<StorePass> } | undefined;
  return {
    async check(digest) {
      if (await checkOne(digest, false)) await flush();
    },
    async reread(digest) {
      await checkOne(digest, true);
      await flush();
    },
    async pass(records, options) {
      if (running && (running.full || !options.full)) return running.result;
      const result = (running?.result ?? Promise.resolve()).then(() => run(records, options));
      const mine = { full: options.full, result };
      running = mine;
      try {
        return await result;
      } finally {
        if (running === mine) running = undefined;
      }
    },
  };
}

function isOwn({ digest, stamp, seal }: VerifiedTree, keys: SealKeys | undefined): boolean {
  return !keys || checkSeal("verified-tree", { digest, stamp }, seal, keys) !== undefined;
}
