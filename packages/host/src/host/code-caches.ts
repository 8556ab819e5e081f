import { join } from "node:path";
import { type CodeCaches, createCodeCaches, engineName } from "../isolation/index.ts";
import { deleteSetting, saveSetting, type SettingsStore } from "../store/index.ts";
import type { HomeParts } from "./parts.ts";

export interface HomeCodeCaches extends CodeCaches {
  /** Removes those of plugins that are not installed or may never start again. */
  sweep(): Promise<void>;
}

const key = (digest: string): string => `code_cache:${digest}`;

/** The caches of compiled code of a home, beside the plugins' files. A revoked plugin's is removed at once. */
export function openCodeCaches(
  { db, catalog, storePath, hostIsRoot }: HomeParts,
  settings: SettingsStore,
  onDefect: (error: unknown) => void,
): HomeCodeCaches {
  const caches = createCodeCaches(join(storePath, "cache"), {
    hostIsRoot,
    engine: engineName(),
    marks: {
      get: (digest) => settings.get(key(digest)),
      set: (digest, mark) =>
        db.atomically([mark === null ? deleteSetting(key(digest)) : saveSetting(key(digest), mark)]),
    },
  });
  catalog.onChange((_, now) => {
    if (now?.state === "revoked") void caches.remove(now.ref.digest).catch(onDefect);
  });
  return {
    ...caches,
    sweep() {
      const mayStart = catalog.all().filter(({ state }) => state !== "revoked");
      return caches.gc(new Set(mayStart.map(({ ref }) => ref.digest)));
    },
  };
}
