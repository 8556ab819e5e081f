import { z } from "zod";
import type { DatabaseConnection } from "../broker/index.ts";

/** As a manifest can name it. */
const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
/** A name, an address, or the folder of a socket. */
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-fA-F:]{2,45}|\/[^\0]{1,100})$/;

const absolute = z
  .string()
  .max(1000)
  .regex(/^\/[^\0]*[^/\0]$/, "is not the absolute path of a file");
const word = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[^\0]*$/, "holds a NUL");

const postgres = z
  .strictObject({
    host: z.string().regex(HOST, "is no host name, address or folder of a socket").default("localhost"),
    port: z.number().int().min(1).max(65_535).default(5432),
    database: word,
    user: word,
    password_secret: z.string().min(1).max(64).optional(),
    tls: z.strictObject({ ca_file: absolute.optional() }).optional(),
  })
  .refine(({ host, tls }) => tls === undefined || !host.startsWith("/"), {
    message: "has no meaning over a socket of this machine",
    path: ["tls"],
  });

const connection = z
  .strictObject({
    sqlite: absolute.optional(),
    postgres: postgres.optional(),
    mode: z.enum(["r", "rw"]).default("r"),
  })
  .refine(({ sqlite, postgres: server }) => (sqlite === undefined) !== (server === undefined), {
    message: "names either sqlite: FILE or postgres: {…}",
  });

export const databasesShape = z
  .record(z.string().regex(NAME, "is not the name of a connection"), connection)
  .default({});

export function toDatabases(file: z.infer<typeof databasesShape>): ReadonlyMap<string, DatabaseConnection> {
  const connections = new Map<string, DatabaseConnection>();
  for (const [name, { sqlite, postgres: server, mode }] of Object.entries(file)) {
    if (sqlite !== undefined) connections.set(name, { kind: "sqlite", name, file: sqlite, mode });
    if (server === undefined) continue;
    const { password_secret: passwordSecret, tls, ...rest } = server;
    const secured = tls && { tls: tls.ca_file === undefined ? {} : { caFile: tls.ca_file } };
    connections.set(name, { kind: "postgres", name, ...rest, mode, passwordSecret, ...secured });
  }
  return connections;
}
