import { z } from "zod";
import { newId } from "../kernel/index.ts";
import { type Database, deleteSetting, listSettings, saveSetting } from "../store/index.ts";

/** A version that comes along with a plugin that needs it. */
export interface Brought {
  readonly id: string;
  readonly version: string;
}

const PREFIX = "bringing:";
const Note = z.array(z.strictObject({ id: z.string(), version: z.string() }));

/** Notes what an install brings along before the first of it is there, until the answer's function is called: a crash between leaves the note. */
export async function noteBringing(db: Database, brought: readonly Brought[]): Promise<() => Promise<void>> {
  if (brought.length === 0) return () => Promise.resolve();
  const key = `${PREFIX}${newId("evt")}`;
  await db.atomically([saveSetting(key, JSON.stringify(brought.map(({ id, version }) => ({ id, version }))))]);
  return () => db.atomically([deleteSetting(key)]);
}

/** Installs that were cut off. */
export async function unfinished(
  db: Database,
): Promise<readonly { readonly brought: readonly Brought[]; done(): Promise<void> }[]> {
  return (await listSettings(db, PREFIX)).map(({ key, value }) => ({
    brought: read(value),
    done: () => db.atomically([deleteSetting(key)]),
  }));
}

/** A note that is not as we write it names nothing. */
function read(text: string): readonly Brought[] {
  try {
    return Note.parse(JSON.parse(text));
  } catch {
    return [];
  }
}
