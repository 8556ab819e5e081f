import { z } from "zod";
import { done, type Route } from "./route.ts";

const name = z.string().min(1).max(64);

export const databaseRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/databases",
    verb: "database.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done(host.databases.list()),
  },
  {
    method: "POST",
    path: "/api/databases/:name/check",
    verb: "database.check",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      await request.body(z.strictObject({}));
      return done(await request.host.databases.check(request.param("name", name)));
    },
  },
];
