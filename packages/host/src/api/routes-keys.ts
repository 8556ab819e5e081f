import { z } from "zod";
import { pluginId, timeMs, version } from "./fields.ts";
import { done, type Route } from "./route.ts";
import { toKey, toVerify } from "./wire.ts";

/** A key's id or the name that an operator gave it. */
const keyOrName = z.string().min(1).max(200);
const MAX_STATEMENT = 16 * 1024;
const MAX_PATH = 4096;

export const keyRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/keys",
    verb: "key.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done((await host.keys.list()).map(toKey)),
  },
  {
    method: "POST",
    path: "/api/keys/trust",
    verb: "key.trust",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      const { name, key, scopes, expires_at } = await request.body(
        z.strictObject({
          name: z.string().min(1).max(100),
          key: z.string().min(1).max(200),
          scopes: z.array(z.string().max(200)).min(1).max(100).optional(),
          expires_at: timeMs.optional(),
        }),
      );
      const trusted = await request.host.keys.trust(request.operator(), {
        name,
        key,
        ...(scopes && { scopes }),
        ...(expires_at !== undefined && { expiresAt: expires_at }),
      });
      return done(toKey(trusted));
    },
  },
  {
    method: "POST",
    path: "/api/keys/rotate",
    verb: "key.rotate",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      const { statement } = await request.body(z.strictObject({ statement: z.string().max(MAX_STATEMENT) }));
      return done(toKey(await request.host.keys.rotate(request.operator(), statement)));
    },
  },
  {
    method: "POST",
    path: "/api/keys/untrust",
    verb: "key.untrust",
    audience: "operator",
    // It takes authority away, as unloading does: whoever is in a hurry must not look for a passphrase.
    needsPassphrase: false,
    needs: "operate",
    handle: async (request) => {
      const { key } = await request.body(z.strictObject({ key: keyOrName }));
      return done(await request.host.keys.untrust(request.operator(), key));
    },
  },
  {
    method: "POST",
    path: "/api/keys/revoke",
    verb: "key.revoke",
    audience: "operator",
    needsPassphrase: false,
    needs: "operate",
    handle: async (request) => {
      const { key, reason } = await request.body(
        z.strictObject({ key: keyOrName, reason: z.string().max(2000).optional() }),
      );
      return done(await request.host.keys.revoke(request.operator(), key, reason));
    },
  },
  {
    method: "POST",
    path: "/api/keys/reseal",
    verb: "key.reseal",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      await request.body(z.strictObject({}));
      return done(await request.host.keys.reseal(request.operator()));
    },
  },
  {
    method: "POST",
    path: "/api/plugins/verify",
    verb: "plugin.verify",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const what = await request.body(
        z.union([
          z.strictObject({ source: z.string().min(1).max(MAX_PATH).startsWith("/", "must be an absolute path") }),
          z.strictObject({ id: pluginId, version: version.optional() }),
        ]),
      );
      const answer = await request.host.plugins.verify(
        "source" in what ? what : { id: what.id, ...(what.version !== undefined && { version: what.version }) },
      );
      return done(toVerify(answer));
    },
  },
];
