import { z } from "zod";
import { done, type Route } from "./route.ts";
import { toPluginSummary, toRevocation } from "./wire.ts";

const mark = z.strictObject({
  kind: z.enum(["id", "tree_digest", "code_digest", "publisher_key"]),
  value: z.string().min(1).max(200),
  reason: z.string().max(2000).optional(),
});

export const revocationRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/revocations",
    verb: "revocation.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done((await host.plugins.revocations()).map(toRevocation)),
  },
  {
    method: "POST",
    path: "/api/revocations",
    verb: "revocation.add",
    audience: "operator",
    // It takes authority away: whoever is in a hurry must not look for a passphrase.
    needsPassphrase: false,
    handle: async (request) => {
      const { kind, value, reason } = await request.body(mark);
      const { stopped } = await request.host.plugins.revokeMark(request.operator(), { kind, value }, reason);
      return done({ kind, value, stopped: stopped.map(toPluginSummary) });
    },
  },
];
