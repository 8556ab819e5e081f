import type { Selectable } from "kysely";
import type { Grant } from "../../capability/index.ts";
import type { PluginRef } from "../../kernel/index.ts";
import { build, toJson, withJsonLater } from "../build.ts";
import { allPages } from "../pages.ts";
import type { GrantsTable } from "../schema.ts";
import type { Database, Statement } from "../types.ts";

/** Grants that were not withdrawn, newest first. Expiry is for the caller to judge. */
export async function listGrants(db: Database, pluginId?: string): Promise<readonly Grant[]> {
  let query = db.query.selectFrom("grants").selectAll().where("withdrawn_at", "is", null).orderBy("id");
  if (pluginId !== undefined) query = query.where("plugin_id", "=", pluginId);
  const grants = await allPages(
    (last: Selectable<GrantsTable> | undefined, limit) =>
      (last === undefined ? query : query.where("id", ">", last.id)).limit(limit).execute(),
    toGrant,
  );
  return grants.toSorted((a, b) => b.grantedAt - a.grantedAt);
}

export async function findGrant(db: Database, id: string): Promise<Grant | null> {
  const row = await db.query
    .selectFrom("grants")
    .selectAll()
    .where("id", "=", id)
    .where("withdrawn_at", "is", null)
    .executeTakeFirst();
  return row ? toGrant(row) : null;
}

export function insertGrant(grant: Grant): Statement {
  return {
    query: build
      .insertInto("grants")
      .values({
        id: grant.id,
        plugin_id: grant.pluginId,
        version: grant.version,
        manifest_digest: grant.manifestDigest,
        tree_digest: grant.treeDigest,
        scopes: toJson(grant.scopes),
        granted_by: grant.grantedBy,
        granted_at: grant.grantedAt,
        expires_at: grant.expiresAt ?? null,
        withdrawn_at: null,
        withdrawn_by: null,
        seal: grant.seal ?? null,
        in_process: grant.inProcess === true ? 1 : 0,
      })
      .compile(),
    expect: 1,
  };
}

/** Seals a grant anew, when the host's key changes. */
export function sealGrant(id: string, seal: string): Statement {
  return {
    query: build.updateTable("grants").set({ seal }).where("id", "=", id).where("withdrawn_at", "is", null).compile(),
    expect: 1,
  };
}

/** `conflict` when there is no such grant or it was withdrawn before. Its seal goes too, so that no edit brings it back. */
export function withdrawGrant(id: string, by: string, at: number): Statement {
  return {
    query: build
      .updateTable("grants")
      .set({ withdrawn_at: at, withdrawn_by: by, seal: null })
      .where("id", "=", id)
      .where("withdrawn_at", "is", null)
      .compile(),
    expect: 1,
  };
}

/** Withdraws whatever was granted to these bytes, or to every version of an id. */
export function withdrawGrantsOf(plugin: PluginRef | { readonly id: string }, by: string, at: number): Statement {
  let query = build
    .updateTable("grants")
    .set({ withdrawn_at: at, withdrawn_by: by, seal: null })
    .where("plugin_id", "=", plugin.id)
    .where("withdrawn_at", "is", null);
  if ("digest" in plugin) query = query.where("version", "=", plugin.version).where("tree_digest", "=", plugin.digest);
  return { query: query.compile() };
}

function toGrant(row: Selectable<GrantsTable>): Grant {
  const grant = {
    id: row.id,
    pluginId: row.plugin_id,
    version: row.version,
    manifestDigest: row.manifest_digest,
    treeDigest: row.tree_digest,
    grantedBy: row.granted_by,
    grantedAt: row.granted_at,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    ...(row.in_process === 1 ? { inProcess: true as const } : {}),
    ...(row.seal === null ? {} : { seal: row.seal }),
  };
  return withJsonLater<typeof grant, Pick<Grant, "scopes">>(grant, { scopes: row.scopes });
}
