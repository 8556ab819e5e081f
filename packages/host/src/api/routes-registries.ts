import { z } from "zod";
import type { RegistryView, SearchHitView } from "../host-api.ts";
import { CATEGORIES } from "../manifest/index.ts";
import type { RegistryAnswer, SearchHitAnswer } from "../wire/index.ts";
import { count, nothing } from "./fields.ts";
import { done, type Route } from "./route.ts";

const MAX_HITS = 1000;
const name = z.string().regex(/^[a-z][a-z0-9-]{0,59}$/, "not a registry's name");
const refreshBody = z.strictObject({ name: name.optional() });
const addBody = z.strictObject({
  name: z.string().min(1).max(100),
  place: z.string().min(1).max(4096),
  key: z.string().max(200).optional(),
  npm: z.boolean().optional(),
  private: z.boolean().optional(),
});
const searchQuery = z.strictObject({
  text: z.string().max(500).default(""),
  category: z.enum(CATEGORIES).optional(),
  registry: name.optional(),
  limit: count.pipe(z.number().min(1).max(MAX_HITS)).optional(),
  offline: z.enum(["true", "false"]).optional(),
});

export const registryRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/registries",
    verb: "registry.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done((await host.registries.list()).map(toRegistry)),
  },
  {
    method: "POST",
    path: "/api/registries",
    verb: "registry.add",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      const { key, npm, private: own, ...wanted } = await request.body(addBody);
      const added = await request.host.registries.add(request.operator(), {
        ...wanted,
        ...(key !== undefined && { key }),
        ...(npm !== undefined && { npm }),
        ...(own !== undefined && { private: own }),
      });
      return done(toRegistry(added));
    },
  },
  {
    method: "DELETE",
    path: "/api/registries/:name",
    verb: "registry.remove",
    audience: "operator",
    // Removing one and adding it again forgets what was seen of it; adding asks.
    needsPassphrase: false,
    needs: "admin",
    handle: async (request) => {
      await request.body(nothing);
      const removed = request.param("name", name);
      await request.host.registries.remove(request.operator(), removed);
      return done({ name: removed });
    },
  },
  {
    method: "POST",
    path: "/api/registries/refresh",
    verb: "registry.refresh",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const { name: one } = await request.body(refreshBody);
      return done(await request.host.registries.refresh(request.operator(), one));
    },
  },
  {
    method: "GET",
    path: "/api/plugins/search",
    verb: "plugin.search",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const { text, category, registry, limit, offline } = request.query(searchQuery);
      const { hits, total, warnings } = await request.host.registries.search({
        text,
        ...(category !== undefined && { category }),
        ...(registry !== undefined && { registry }),
        ...(limit !== undefined && { limit }),
        offline: offline === "true",
      });
      return done({ hits: hits.map(toHit), total, warnings });
    },
  },
];

function toRegistry(registry: RegistryView): RegistryAnswer {
  return {
    name: registry.name,
    kind: registry.kind,
    place: registry.place,
    key: registry.key,
    private: registry.private,
    state: registry.state,
    counter: registry.counter,
    expires_at: registry.expiresAt,
    ...(registry.versions === undefined ? {} : { versions: registry.versions }),
    refreshed_at: registry.refreshedAt,
    added_by: registry.addedBy,
    added_at: registry.addedAt,
  };
}

function toHit(hit: SearchHitView): SearchHitAnswer {
  return {
    registry: hit.registry,
    id: hit.id,
    version: hit.version,
    versions: hit.versions,
    name: hit.name,
    description: hit.description,
    categories: [...hit.categories],
    signer: hit.signer,
    permissions: [...hit.permissions],
    published_at: hit.publishedAt,
    integrity: hit.integrity,
    source: `${hit.registry}:${hit.id}@${hit.version}`,
  };
}
