import type { AuditLog } from "../audit/index.ts";
import type { Turns } from "../catalog/index.ts";
import type { Operator, RefreshView, RegistriesApi, RegistryView } from "../host-api.ts";
import { type Clock, PolicyViolationError, SallyportError, toSallyportError } from "../kernel/index.ts";
import {
  createSearchIndex,
  type IndexClient,
  type IndexRegistry,
  type LoadedIndex,
  parseRegistryPlace,
  registryName,
  type SearchIndex,
} from "../registry/index.ts";
import {
  advanceRegistry,
  type Database,
  deleteRegistry,
  insertRegistry,
  listRegistries,
  type StoredRegistry,
} from "../store/index.ts";
import { parseKeyId } from "../trust/index.ts";
import { actorOf, eventOf } from "./plugins-deps.ts";
import { toHitView } from "./registry-views.ts";
import type { TrustState } from "./trust.ts";

export interface RegistriesDeps {
  readonly db: Database;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly trust: TrustState;
  readonly client: IndexClient;
  readonly inTurn: Turns;
}

export interface Registries extends RegistriesApi {
  /** What kind of registry has this name. */
  kindOf(name: string): "index" | "npm" | undefined;
  npm(name: string): StoredRegistry | undefined;
  /** Index registries in the order of their names. */
  indexes(): readonly StoredRegistry[];
  /** The index of now; or, when nobody answers, the copy as long as it is not expired, with a warning. */
  current(registry: StoredRegistry): Promise<{ readonly index: LoadedIndex; readonly warnings: readonly string[] }>;
  archive(registry: StoredRegistry, entry: LoadedIndex["entries"][number]): Promise<Uint8Array>;
}

/** A search may look at an index of this age without asking for a newer one. */
const SEARCH_FRESH_MS = 60 * 60 * 1000;

/** Registries of this home. An operator adds and removes them; what was seen of them never goes back. */
export async function createRegistries(deps: RegistriesDeps): Promise<Registries> {
  const { audit, client, clock, db, trust } = deps;
  let stored = await listRegistries(db);
  const searches = new Map<string, { readonly digest: string; readonly search: SearchIndex }>();

  const { registry: sealed, isOwnRegistry: isOwn } = trust.seals;

  function usable(registry: StoredRegistry): IndexRegistry {
    if (!isOwn(registry)) {
      throw new PolicyViolationError("seal_invalid", `The registry ${registry.name} is not as this host wrote it.`, {
        detail: "Somebody else changed its record, or PLUGIN_SECRET_KEY changed.",
        fix: "Remove it and add it again: sallyport registry remove NAME",
      });
    }
    const key = parseKeyId(registry.key ?? "");
    if (trust.isRevoked(key)) {
      throw new PolicyViolationError("revoked", `The key of the registry ${registry.name} was revoked here.`, {
        fix: "Ask its keeper for the new key, then remove the registry and add it again.",
      });
    }
    const place = parseRegistryPlace(registry.place, registry.private);
    return { name: registry.name, place, key, seen: registry.seen ?? undefined };
  }

  function find(name: string): StoredRegistry {
    const found = stored.find((registry) => registry.name === name);
    if (found) return found;
    throw new SallyportError("not_found", "There is no registry of this name here.", {
      fix: "See them with: sallyport registry list",
    });
  }

  function refresh(name: string, actor: string): Promise<{ registry: StoredRegistry; index: LoadedIndex }> {
    return deps.inTurn(`registry:${name}`, async () => {
      const before = find(name);
      const { index, seen } = await client.refresh(usable(before), clock.now());
      const registry = sealed({ ...before, seen, refreshedAt: clock.now() });
      if (before.seen?.counter === seen.counter) await db.atomically([advanceRegistry(registry)]);
      else {
        const data = { registry: name, counter: seen.counter, index: seen.indexDigest };
        await audit.commit([advanceRegistry(registry)], [eventOf(clock, "registry.refreshed", actor, { data })]);
      }
      stored = stored.map((other) => (other.name === name ? registry : other));
      return { registry, index };
    });
  }

  async function searchable(registry: StoredRegistry, offline: boolean, warnings: string[]) {
    const old = registry.refreshedAt === null || clock.now() - registry.refreshedAt > SEARCH_FRESH_MS;
    try {
      const index =
        old && !offline ? (await refresh(registry.name, "host")).index : await client.copyOf(usable(registry));
      if (index.pointer.expires_at <= clock.now())
        warnings.push(`${registry.name}: its index has expired, so nothing is installed from it.`);
      return await searchOf(registry.name, index);
    } catch (error) {
      warnings.push(`${registry.name}: ${sentenceOf(error)}`);
      const copy = await client.copyOf(usable(registry)).catch(() => undefined);
      return copy && (await searchOf(registry.name, copy));
    }
  }

  async function searchOf(name: string, { pointer, entries }: LoadedIndex): Promise<SearchIndex> {
    const known = searches.get(name);
    if (known?.digest === pointer.index.sha256) return known.search;
    const search = await createSearchIndex(entries);
    searches.set(name, { digest: pointer.index.sha256, search });
    return search;
  }

  async function view(registry: StoredRegistry): Promise<RegistryView> {
    const base = {
      name: registry.name,
      kind: registry.kind,
      place: registry.place,
      key: registry.key,
      private: registry.private,
      counter: registry.seen?.counter ?? null,
      refreshedAt: registry.refreshedAt,
      addedBy: registry.addedBy,
      addedAt: registry.addedAt,
    };
    if (registry.kind === "npm") return { ...base, state: isOwn(registry) ? "ready" : "unsealed", expiresAt: null };
    try {
      const { pointer, entries } = await client.copyOf(usable(registry));
      const state = pointer.expires_at > clock.now() ? "ready" : "expired";
      return { ...base, state, expiresAt: pointer.expires_at, versions: entries.length };
    } catch (error) {
      const { code } = toSallyportError(error);
      const state = code === "seal_invalid" ? "unsealed" : code === "revoked" ? "revoked" : "unusable";
      return { ...base, state, expiresAt: null };
    }
  }

  return {
    kindOf: (name) => stored.find((registry) => registry.name === name)?.kind,
    npm(name) {
      const found = stored.find((registry) => registry.name === name && registry.kind === "npm");
      if (found && !isOwn(found)) usable(found);
      return found;
    },
    indexes: () => stored.filter(({ kind }) => kind === "index"),
    async current(registry) {
      try {
        return { index: (await refresh(registry.name, "host")).index, warnings: [] };
      } catch (error) {
        const failure = toSallyportError(error);
        if (failure.code !== "network_failed" && failure.code !== "not_found") throw failure;
        const copy = await client.copyOf(usable(registry)).catch(() => undefined);
        if (!copy || copy.pointer.expires_at <= clock.now()) throw failure;
        return { index: copy, warnings: [`${registry.name} does not answer: its index of before was used.`] };
      }
    },
    archive: (registry, entry) => client.archive(usable(find(registry.name)), entry, clock.now()),
    list: () => Promise.all(stored.map(view)),
    add: (operator, request) =>
      deps.inTurn("registries", async () => {
        const registry = toRegistry(operator, request, clock.now());
        if (stored.some(({ name }) => name === registry.name)) {
          throw new SallyportError("conflict", `There is a registry named ${registry.name} already.`, {
            fix: `Choose another name, or run: sallyport registry remove ${registry.name}`,
          });
        }
        let complete = sealed(registry);
        if (registry.kind === "index") {
          // Nothing is remembered of it unless it really is there and really signed by that key.
          await client.forget(registry.name);
          const { seen } = await client.refresh(usable(complete), clock.now());
          complete = sealed({ ...registry, seen, refreshedAt: clock.now() });
        }
        const { name, kind, place, key } = complete;
        const data = { registry: name, kind, place, ...(key === null ? {} : { key }), private: complete.private };
        await audit.commit([insertRegistry(complete)], [eventOf(clock, "registry.added", actorOf(operator), { data })]);
        stored = await listRegistries(db);
        return view(complete);
      }),
    remove: (operator, name) =>
      deps.inTurn("registries", async () => {
        const { place } = find(name);
        const event = eventOf(clock, "registry.removed", actorOf(operator), { data: { registry: name, place } });
        await audit.commit([deleteRegistry(name)], [event]);
        stored = stored.filter((registry) => registry.name !== name);
        searches.delete(name);
        await client.forget(name);
      }),
    async refresh(operator, name) {
      const chosen = name === undefined ? stored.filter(({ kind }) => kind === "index") : [find(name)];
      return Promise.all(
        chosen.map(async (registry): Promise<RefreshView> => {
          try {
            const { index } = await refresh(registry.name, actorOf(operator));
            return { name: registry.name, ok: true, counter: index.pointer.counter, versions: index.entries.length };
          } catch (error) {
            const { code, message, detail, fix } = toSallyportError(error);
            return { name: registry.name, ok: false, code, error: message, detail, fix };
          }
        }),
      );
    },
    async search({ text, category, registry, limit = 50, offline = false }) {
      const chosen = registry === undefined ? stored.filter(({ kind }) => kind === "index") : [find(registry)];
      const warnings: string[] = [];
      const found = await Promise.all(
        chosen.map(async (own) => {
          const search = await searchable(own, offline, warnings);
          return { own, answer: search?.find({ text, category, limit }) };
        }),
      );
      const hits = found.flatMap(({ own, answer }) =>
        (answer?.hits ?? []).map((hit) => ({ hit, view: toHitView(own.name, hit, trust) })),
      );
      // Each registry's own order, best first, and registries in turn.
      const total = found.reduce((sum, { answer }) => sum + (answer?.total ?? 0), 0);
      const views = hits.toSorted((a, b) => a.hit.rank - b.hit.rank).map(({ view: own }) => own);
      return { hits: views.slice(0, limit), total, warnings };
    },
  };
}

function toRegistry(operator: Operator, request: Parameters<RegistriesApi["add"]>[1], now: number): StoredRegistry {
  const name = registryName.safeParse(request.name);
  const reserved = name.success && name.data === "npm" && request.npm !== true;
  if (!name.success || reserved) {
    throw new SallyportError("usage", "This is no name for a registry.", {
      detail: "A name is of lower-case letters, digits and dashes. `npm` is the name of the npm registry.",
      fix: "Write for example: sallyport registry add acme https://plugins.acme.example/ --key ed25519:…",
    });
  }
  if ((request.npm === true) !== (request.key === undefined)) {
    throw new SallyportError("usage", "A registry with an index needs its public key; an npm registry has none.", {
      fix: "Give --key with the key that sallyport registry index printed, or --npm.",
    });
  }
  const place = parseRegistryPlace(request.place, request.private === true);
  if (request.npm === true && place.kind === "folder") {
    throw new SallyportError("usage", "An npm registry has an address.", { fix: "Write its https:// address." });
  }
  return {
    name: name.data,
    kind: request.npm === true ? "npm" : "index",
    place: place.kind === "folder" ? place.path : place.url.href,
    key: request.key === undefined ? null : parseKeyId(request.key),
    private: request.private === true,
    seen: null,
    refreshedAt: null,
    addedBy: operator.name,
    addedAt: now,
  };
}

function sentenceOf(error: unknown): string {
  const { message, detail } = toSallyportError(error);
  return detail === undefined ? message : `${message} ${detail}`;
}
