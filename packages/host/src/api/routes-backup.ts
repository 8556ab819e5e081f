import { z } from "zod";
import { done, type Route } from "./route.ts";

export const backupRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/api/backup",
    verb: "home.backup",
    audience: "operator",
    // The file holds everything that this home knows.
    needsPassphrase: true,
    handle: async (request) => {
      const { file, passphrase, secrets, store } = await request.body(
        z.strictObject({
          file: z.string().min(2).max(4096).startsWith("/", "must be an absolute path"),
          passphrase: z.string().max(1024).optional(),
          secrets: z.boolean().optional(),
          store: z.boolean().optional(),
        }),
      );
      const answer = await request.host.backup(request.operator(), {
        file,
        ...(passphrase !== undefined && { passphrase }),
        ...(secrets !== undefined && { secrets }),
        ...(store !== undefined && { store }),
      });
      return done(answer);
    },
  },
];
