import { describe, expect, it } from "vitest";
import { postgresOrigin } from "../../src/broker/index.ts";
import { parseConfig } from "../../src/config/index.ts";
import { bindableOrigin } from "../../src/secrets/vault-rules.ts";

describe("databases in config.yml", () => {
  it("are read with the narrowest defaults", () => {
    const { databases } = parseConfig(`databases:
  shop: { sqlite: /srv/shop.db }
  crm: { postgres: { database: crm, user: reader } }
  far: { postgres: { host: db.example.com, port: 6432, database: d, user: u, password_secret: P, tls: { ca_file: /etc/ca.pem } }, mode: rw }`);
    expect([...databases.values()]).toEqual([
      { kind: "sqlite", name: "shop", file: "/srv/shop.db", mode: "r" },
      { kind: "postgres", name: "crm", host: "localhost", port: 5432, database: "crm", user: "reader", mode: "r" },
      {
        kind: "postgres",
        name: "far",
        host: "db.example.com",
        port: 6432,
        database: "d",
        user: "u",
        mode: "rw",
        passwordSecret: "P",
        tls: { caFile: "/etc/ca.pem" },
      },
    ]);
    expect(parseConfig("").databases.size).toBe(0);
  });

  it.each([
    ["both kinds", "{ sqlite: /a, postgres: { database: d, user: u } }"],
    ["neither kind", "{ mode: r }"],
    ["a relative file", "{ sqlite: shop.db }"],
    ["a URL for a file", "{ sqlite: 'file:/srv/shop.db?mode=rw' }"],
    ["a password in the file", "{ postgres: { database: d, user: u, password: x } }"],
    ["a connection string", "{ postgres: 'postgres://u:p@host/d' }"],
    ["a host with a user", "{ postgres: { host: 'u@h', database: d, user: u } }"],
    ["a switch for TLS", "{ postgres: { host: h, database: d, user: u, tls: false } }"],
    ["TLS over a socket", "{ postgres: { host: /run/postgresql, database: d, user: u, tls: {} } }"],
    ["another mode", "{ sqlite: /a, mode: w }"],
  ])("are refused with %s", (_, text) => {
    expect(() => parseConfig(`databases: { x: ${text} }`)).toThrow(expect.objectContaining({ code: "config_invalid" }));
  });

  it("name a password that is bound to the server, in one spelling", () => {
    for (const [host, port, bound] of [
      ["DB.example.com", 5432, "postgres://db.example.com"],
      ["127.0.0.1", 6432, "POSTGRES://127.0.0.1:6432/"],
      ["::1", 5432, "postgres://[::1]:5432"],
      ["/run/postgresql", 5432, "postgres://localhost"],
    ] as const)
      expect(bindableOrigin(bound)).toBe(postgresOrigin({ host, port }));
    for (const odd of [
      "postgres://u:p@db.example.com",
      "postgres://db/x",
      "postgres://",
      "postgresql://db",
      "postgres://db:5432?x",
    ])
      expect(() => bindableOrigin(odd), odd).toThrow();
  });
});
