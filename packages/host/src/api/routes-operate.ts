import { z } from "zod";
import type { AuditFilter, StoredAuditEvent } from "../audit/index.ts";
import { count, nothing, secretName } from "./fields.ts";
import { done, type Route, type RouteRequest } from "./route.ts";
import { createFeed } from "./stream.ts";
import { toStats } from "./wire.ts";

const word = z.string().min(1).max(200).optional();

const auditQuery = z.strictObject({
  type: word,
  plugin: word,
  agent: word,
  tool: word,
  call: word,
  outcome: word,
  since: count.optional(),
  until: count.optional(),
  after: count.optional(),
  limit: count.pipe(z.number().min(1).max(1000)).optional(),
  order: z.enum(["asc", "desc"]).optional(),
});

const head = z.strictObject({
  head: z
    .string()
    .regex(/^\d{1,15}:[0-9a-f]{64}$/, "must be SEQ:HASH as `audit verify` prints it")
    .transform((text) => ({ seq: Number(text.slice(0, text.indexOf(":"))), hash: text.slice(text.indexOf(":") + 1) }))
    .optional(),
});

export const operateRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/secrets",
    verb: "secret.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) =>
      done(
        (await host.secrets.list()).map(({ name, origins, version, updatedAt }) => ({
          name,
          origins,
          version,
          updated_at: updatedAt,
        })),
      ),
  },
  {
    method: "PUT",
    path: "/api/secrets/:name",
    verb: "secret.set",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      const body = await request.body(
        z.strictObject({ value: z.string().min(1).max(65_536), origins: z.array(z.string().max(300)).max(100) }),
      );
      const name = request.param("name", secretName);
      await request.host.secrets.set(request.operator(), name, body.value, body.origins);
      return done({ name });
    },
  },
  {
    method: "DELETE",
    path: "/api/secrets/:name",
    verb: "secret.remove",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      const name = request.param("name", secretName);
      await request.host.secrets.remove(request.operator(), name);
      return done({ name });
    },
  },
  {
    method: "POST",
    path: "/api/vault/rotate-key",
    verb: "secret.rotate_key",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      await request.body(nothing);
      return done({ ...(await request.host.secrets.rotateKey(request.operator())) });
    },
  },
  {
    method: "GET",
    path: "/api/audit",
    verb: "audit.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => done(await request.host.audit.query(toFilter(request.query(auditQuery)))),
  },
  {
    method: "GET",
    path: "/api/audit/verify",
    verb: "audit.verify",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => done(await request.host.audit.verify(request.query(head).head)),
  },
  {
    method: "GET",
    path: "/api/audit/export",
    verb: "audit.export",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => ({ lines: host.audit.export() }),
  },
  {
    method: "GET",
    path: "/api/audit/tail",
    verb: "audit.tail",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => ({ lines: tail(request, toFilter(request.query(auditQuery))) }),
  },
  {
    method: "GET",
    path: "/api/doctor",
    verb: "doctor",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done(await host.doctor()),
  },
  {
    method: "GET",
    path: "/api/stats",
    verb: "stats",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done(toStats(await host.stats())),
  },
  {
    method: "POST",
    path: "/api/operators/passphrase",
    verb: "operator.passphrase",
    audience: "operator",
    // The handler's own check: the current passphrase is part of the request.
    needsPassphrase: false,
    needs: "user",
    handle: async (request) => {
      const { current, next } = await request.body(
        z.strictObject({ current: z.string().max(5000).optional(), next: z.string().max(5000) }),
      );
      await request.host.operators.setPassphrase(current, next);
      return done({ passphrase_set: request.host.operators.passphraseSet });
    },
  },
];

/* Listens before it looks back, so that no event falls between the two; what came twice is dropped by its number. */
async function* tail(request: RouteRequest, filter: AuditFilter): AsyncGenerator<StoredAuditEvent> {
  const feed = createFeed<StoredAuditEvent>(request.endless);
  const stop = request.host.audit.subscribe((event) => feed.push(event));
  try {
    let last = filter.afterSeq ?? -1;
    if (filter.afterSeq !== undefined) {
      for (let page; page === undefined || page.length > 0;) {
        page = await request.host.audit.query({ ...filter, afterSeq: last, order: "asc", limit: 1000 });
        for (const event of page) {
          last = event.seq;
          yield event;
        }
      }
    }
    for await (const event of feed.values) {
      if (event.seq > last && matches(event, filter)) yield event;
    }
  } finally {
    stop();
  }
}

function matches(event: StoredAuditEvent, filter: AuditFilter): boolean {
  return (
    same(filter.type, event.type) &&
    same(filter.plugin, event.plugin?.id) &&
    same(filter.agent, event.agent) &&
    same(filter.tool, event.tool) &&
    same(filter.call, event.call_id) &&
    same(filter.outcome, event.outcome)
  );
}

function same(wanted: string | undefined, actual: string | undefined): boolean {
  return wanted === undefined || wanted === actual;
}

function toFilter(query: z.infer<typeof auditQuery>): AuditFilter {
  const { after, ...rest } = query;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return { ...given, ...(after !== undefined && { afterSeq: after }) };
}
