import { z } from "zod";
import { OPERATOR_SCOPES } from "../host-api.ts";
import { handle, timeMs } from "./fields.ts";
import { done, type Route } from "./route.ts";
import { toToken } from "./wire-agents.ts";

const name = z.string().max(200);
const tokenBody = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("agent"), name, expires_at: timeMs.optional() }),
  z.strictObject({
    kind: z.literal("operator"),
    name,
    scopes: z.array(z.enum(OPERATOR_SCOPES)).min(1).max(OPERATOR_SCOPES.length),
    expires_at: timeMs.optional(),
  }),
]);

export const tokenRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/tokens",
    verb: "token.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done((await host.tokens.list()).map(toToken)),
  },
  {
    method: "POST",
    path: "/api/tokens",
    verb: "token.create",
    audience: "operator",
    needsPassphrase: true,
    // A token that made tokens would outlive its own end.
    needs: "user",
    handle: async (request) => {
      const { expires_at: expiresAt, ...wanted } = await request.body(tokenBody);
      const expiry = expiresAt === undefined ? {} : { expiresAt };
      const { token, view } = await request.host.tokens.create(request.operator(), { ...wanted, ...expiry });
      return done({ ...toToken(view), token });
    },
  },
  {
    method: "DELETE",
    path: "/api/tokens/:id",
    verb: "token.revoke",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) =>
      done(toToken(await request.host.tokens.revoke(request.operator(), request.param("id", handle)))),
  },
];
