import { isAbsolute } from "node:path";
import { z } from "zod";
import type { UpgradeAnswer, UpgradeRequest } from "../host-api.ts";
import { nothing, pluginId, toolName, version } from "./fields.ts";
import { type Answer, done, type Route, type RouteRequest } from "./route.ts";
import { createFeed } from "./stream.ts";
import { toLock, toPluginSummary, toUpgrade, toUpgradeRow } from "./wire.ts";

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, "not a digest");
const upgradeBody = z.strictObject({
  source: z
    .string()
    .min(1)
    .max(4096)
    .refine(
      (text) => isAbsolute(text) || /^[a-z]/.test(text),
      "must be an absolute path, ID[@RANGE] or npm:NAME[@RANGE]",
    )
    .optional(),
  to: version.optional(),
  dry_run: z.boolean().default(false),
  approve: digest.optional(),
  allow_tools: z.array(toolName).max(1000).optional(),
  allow_downgrade: z.boolean().default(false),
});

const id = (request: RouteRequest): string => request.param("id", pluginId);

/** Upgrade, rollback, the lock and what is left over. */
export const upgradeRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/api/plugins/upgrade/:id",
    verb: "plugin.upgrade",
    audience: "operator",
    // Asked for by the handler: to look at what would be done changes nothing.
    needsPassphrase: false,
    handle: upgrade,
  },
  {
    method: "POST",
    path: "/api/plugins/upgrades",
    verb: "plugin.upgrade_all",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const { dry_run: dryRun } = await request.body(z.strictObject({ dry_run: z.boolean().default(false) }));
      if (!dryRun) await request.requirePassphrase();
      return done((await request.host.plugins.upgradeAll(request.operator(), { dryRun })).map(toUpgradeRow));
    },
  },
  {
    method: "POST",
    path: "/api/plugins/rollback/:id",
    verb: "plugin.rollback",
    audience: "operator",
    needsPassphrase: true,
    needs: "operate",
    handle: async (request) => {
      const { to } = await request.body(z.strictObject({ to: version.optional() }));
      const plugin = toPluginSummary(await request.host.plugins.rollback(request.operator(), id(request), to));
      return done(plugin, { plugin });
    },
  },
  {
    method: "GET",
    path: "/api/plugins/lock",
    verb: "plugin.lock",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done(toLock(await host.plugins.lock())),
  },
  {
    method: "POST",
    path: "/api/plugins/lock/restore",
    verb: "plugin.lock.restore",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      await request.body(nothing);
      return done(toLock(await request.host.plugins.restoreLock(request.operator())));
    },
  },
  {
    method: "POST",
    path: "/api/plugins/gc",
    verb: "plugin.gc",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      await request.body(nothing);
      const { removed } = await request.host.plugins.collect(request.operator());
      return done({ removed: [...removed] });
    },
  },
];

async function upgrade(request: RouteRequest): Promise<Answer> {
  const operator = request.operator();
  const body = await request.body(upgradeBody);
  const answers = body.approve !== undefined || body.allow_tools !== undefined;
  if (!body.dry_run) await request.requirePassphrase(answers ? "approve" : undefined);
  const wanted: UpgradeRequest = {
    dryRun: body.dry_run,
    allowDowngrade: body.allow_downgrade,
    ...(body.source !== undefined && { source: body.source }),
    ...(body.to !== undefined && { to: body.to }),
    ...(body.approve !== undefined && { approve: body.approve }),
    ...(body.allow_tools && { allowTools: body.allow_tools }),
  };
  const run = (onStep?: UpgradeRequest["onStep"]): Promise<UpgradeAnswer> =>
    request.host.plugins.upgrade(operator, id(request), { ...wanted, ...(onStep && { onStep }) });
  if (!request.wantsLines) return done(toUpgrade(await run()));

  const feed = createFeed<unknown>(request.signal);
  const answer = run((step) => feed.push({ step }));
  const finish = (): void => feed.end();
  answer.then(finish, finish);
  return {
    lines: (async function* () {
      yield* feed.values;
      yield { answer: { success: true, result: toUpgrade(await answer) } };
    })(),
  };
}
