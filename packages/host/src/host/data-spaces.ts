import type { Clock } from "../kernel/index.ts";
import { newId, SallyportError } from "../kernel/index.ts";
import {
  claimDataSpace,
  type Database,
  type DataSpace,
  listDataSpaces,
  releaseDataSpace,
  type Statement,
  type StoredPlugin,
} from "../store/index.ts";

type Owned = Pick<StoredPlugin, "ref" | "publisherKey" | "source">;

/**
 * Where plugins keep what they keep. Data, files and the operator's values belong to (id, publisher), and another author's plugin
 * of the same id begins with nothing.
 */
export interface DataSpaces {
  /** The space of a plugin that has one. */
  find(record: Owned): string | undefined;
  /** The space of a plugin, made at the first need. */
  ensure(record: Owned): Promise<string>;
  /** @throws {SallyportError} `internal` before `ensure`. */
  of(record: Owned): string;
  /** All that any owner left under an id, the newest claim first. */
  allOf(pluginId: string): readonly DataSpace[];
  /** Gives what `owner` left (or whoever it was, when there is one only) to this plugin, too. Nothing is in force until `refresh`. */
  shareStatement(record: Owned, owner: string | undefined): { readonly statement: Statement; readonly from: string };
  /** The same bytes have another owner now, since their signer is trusted: what they kept goes along. */
  handOn(before: Owned, after: Owned): Promise<void>;
  /** A publisher's new key reaches what the old one did. */
  rotate(from: string, to: string): Promise<void>;
  refresh(): Promise<void>;
}

/**
 * Who owns the data of a plugin: the key of its publisher. Nobody vouches for an unsigned one, so it shares nothing with any other
 * but with what came from the same folder of this machine; the operator may say more.
 */
export function ownerOf({ publisherKey, source, ref }: Owned): string {
  if (publisherKey !== undefined) return publisherKey;
  return `unsigned:${source.startsWith("directory:") ? source : ref.digest}`;
}

export async function createDataSpaces(db: Database, clock: Clock): Promise<DataSpaces> {
  let spaces = new Map<string, readonly DataSpace[]>();
  /** Claims that are being written. */
  const making = new Map<string, Promise<string>>();

  async function refresh(): Promise<void> {
    const byId = new Map<string, DataSpace[]>();
    for (const space of await listDataSpaces(db)) {
      const known = byId.get(space.pluginId);
      if (known) known.push(space);
      else byId.set(space.pluginId, [space]);
    }
    spaces = byId;
  }
  await refresh();

  const allOf = (pluginId: string): readonly DataSpace[] => spaces.get(pluginId) ?? [];
  const claimOf = (pluginId: string, owner: string): DataSpace | undefined =>
    allOf(pluginId).find((space) => space.owner === owner);
  const find = (record: Owned): string | undefined => claimOf(record.ref.id, ownerOf(record))?.space;
  const claim = (pluginId: string, owner: string, space: string): DataSpace => ({
    pluginId,
    owner,
    space,
    claimedAt: clock.now(),
  });

  async function make(record: Owned): Promise<string> {
    const space = newId("dat");
    await db.atomically([claimDataSpace(claim(record.ref.id, ownerOf(record), space))]);
    await refresh();
    return space;
  }

  return {
    find,
    allOf,
    refresh,
    async ensure(record) {
      const known = find(record);
      if (known !== undefined) return known;
      const key = `${record.ref.id}\n${ownerOf(record)}`;
      const made = making.get(key) ?? make(record).finally(() => making.delete(key));
      making.set(key, made);
      return made;
    },
    of(record) {
      const space = find(record);
      if (space !== undefined) return space;
      throw new SallyportError("internal", `${record.ref.id} has no place for its data.`);
    },
    shareStatement(record, owner) {
      const { id } = record.ref;
      const own = ownerOf(record);
      const others = allOf(id).filter(
        (space) =>
          space.owner !== own && space.space !== find(record) && (owner === undefined || space.owner === owner),
      );
      const [first] = others;
      if (first === undefined) throw nothingKept(id, owner);
      if (others.some(({ space }) => space !== first.space)) throw severalKept(id, others);
      return { statement: claimDataSpace(claim(id, own, first.space), true), from: first.owner };
    },
    async handOn(before, after) {
      const { id } = after.ref;
      const [from, to] = [ownerOf(before), ownerOf(after)];
      const kept = claimOf(id, from);
      if (from === to || kept === undefined || claimOf(id, to) !== undefined) return;
      await db.atomically([releaseDataSpace(id, from), claimDataSpace(claim(id, to, kept.space))]);
      await refresh();
    },
    async rotate(from, to) {
      const statements = [...spaces.values()]
        .flat()
        .filter(({ owner, pluginId }) => owner === from && claimOf(pluginId, to) === undefined)
        .map(({ pluginId, space }) => claimDataSpace(claim(pluginId, to, space)));
      if (statements.length === 0) return;
      await db.atomically(statements);
      await refresh();
    },
  };
}

function nothingKept(id: string, owner: string | undefined): SallyportError {
  return new SallyportError("usage", `${owner ?? "Nobody else"} left no data under the id ${id}.`, {
    fix: "Approve it without --keep-data: it begins with nothing.",
  });
}

function severalKept(id: string, kept: readonly DataSpace[]): SallyportError {
  const owners = kept.map(({ owner }) => owner);
  return new SallyportError("conflict", `Several plugins named ${id} left data here.`, {
    detail: `They were by: ${owners.join(", ")}.`,
    fix: "Say whose it takes over: --keep-data OWNER",
    data: { owners },
  });
}
