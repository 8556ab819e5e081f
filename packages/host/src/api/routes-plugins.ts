import { z } from "zod";
import type { ApproveRequest, InstallAnswer, InstallRequest, LogLine, PluginSummary } from "../host-api.ts";
import { CATEGORIES } from "../manifest/index.ts";
import { count, jsonObject, nothing, pluginId, reason, timeMs, toolName, version } from "./fields.ts";
import { toInstallRequest } from "./install-request.ts";
import { followLog, lastOf } from "./log-feed.ts";
import { type Answer, done, type Route, type RouteRequest } from "./route.ts";
import { createFeed } from "./stream.ts";
import { toConfigForm } from "./config-form.ts";
import { toInstall, toLogLine, toPluginInfo, toPluginSummary } from "./wire.ts";

const LOADED: ReadonlySet<string> = new Set(["running", "idle", "unhealthy"]);
const UNAVAILABLE: ReadonlySet<string> = new Set(["invalid", "denied", "revoked"]);

const approveBody = z.strictObject({
  only: z.array(z.string().max(1000)).max(1000).optional(),
  scopes: z.array(z.string().max(5000)).max(1000).optional(),
  allow_tools: z.array(toolName).max(1000).optional(),
  enable_tools: z.array(toolName).max(1000).optional(),
  expires_at: timeMs.optional(),
  grant_only: z.boolean().optional(),
  in_process: z.boolean().optional(),
  keep_data: z.union([z.literal(true), z.string().min(1).max(4200)]).optional(),
  version: version.optional(),
});
const denyBody = reason.extend({ version: version.optional() });
const stopBody = z
  .strictObject({
    now: z.boolean().optional(),
    force: z.boolean().optional(),
    with_dependants: z.boolean().optional(),
  })
  .transform(({ now, force, with_dependants: withDependants }) => ({
    ...(now !== undefined && { now }),
    ...(force !== undefined && { force }),
    ...(withDependants !== undefined && { withDependants }),
  }));
const yesOrNo = z.enum(["true", "false"]).optional();
const ofVersion = z.strictObject({ version: version.optional() });

const MAX_LOG_LINES = 1000;
const logsQuery = z.strictObject({
  limit: count.pipe(z.number().max(MAX_LOG_LINES)).optional(),
  follow: z.enum(["true", "false"]).optional(),
});

const plugin = (summary: PluginSummary): Answer => {
  const answer = toPluginSummary(summary);
  return done(answer, { plugin: answer });
};

const id = (request: RouteRequest): string => request.param("id", pluginId);

export const pluginRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/api/plugins/install",
    verb: "plugin.install",
    audience: "operator",
    needsPassphrase: false,
    handle: install,
  },
  {
    method: "GET",
    path: "/api/plugins",
    verb: "plugin.list",
    audience: "operator",
    needsPassphrase: false,
    needs: "any",
    handle: async ({ host }) => done((await host.plugins.list()).map(toPluginSummary)),
  },
  {
    method: "GET",
    path: "/api/plugins/loaded",
    verb: "plugin.loaded",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) =>
      done((await host.plugins.list()).filter(({ state }) => LOADED.has(state)).map(toPluginSummary)),
  },
  {
    method: "GET",
    path: "/api/plugins/available",
    verb: "plugin.available",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const { capability } = request.query(z.strictObject({ capability: z.enum(CATEGORIES).optional() }));
      const available = (await request.host.plugins.list()).filter(
        ({ state, categories }) =>
          !UNAVAILABLE.has(state) && (capability === undefined || categories.includes(capability)),
      );
      return done(available.map(toPluginSummary));
    },
  },
  {
    method: "GET",
    path: "/api/plugins/info/:id",
    verb: "plugin.info",
    audience: "operator",
    needsPassphrase: false,
    needs: "any",
    handle: async (request) =>
      done(toPluginInfo(await request.host.plugins.info(id(request), request.query(ofVersion).version))),
  },
  {
    method: "POST",
    path: "/api/plugins/approve/:id",
    verb: "plugin.approve",
    audience: "operator",
    needsPassphrase: true,
    needs: "approve",
    handle: async (request) => {
      const wanted = toApproveRequest(await request.body(approveBody));
      const info = toPluginInfo(await request.host.plugins.approve(request.operator(), id(request), wanted));
      return done(info, { plugin: info });
    },
  },
  {
    method: "POST",
    path: "/api/plugins/deny/:id",
    verb: "plugin.deny",
    audience: "operator",
    needsPassphrase: false,
    needs: "approve",
    handle: async (request) => {
      const { reason: why, version: of } = await request.body(denyBody);
      return plugin(await request.host.plugins.deny(request.operator(), id(request), why, of));
    },
  },
  {
    method: "POST",
    path: "/api/plugins/load/:id",
    verb: "plugin.load",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const options = await request.body(
        z.strictObject({ version: version.optional(), config: jsonObject.optional() }),
      );
      // Loading uses what was approved; values for its configuration are an operator's decision like `plugin config`.
      if (options.config !== undefined) await request.requirePassphrase("admin");
      return plugin(
        await request.host.plugins.load(request.operator(), id(request), {
          ...(options.version !== undefined && { version: options.version }),
          ...(options.config !== undefined && { config: options.config }),
        }),
      );
    },
  },
  {
    method: "POST",
    path: "/api/plugins/unload/:id",
    verb: "plugin.unload",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      return plugin(await request.host.plugins.unload(request.operator(), id(request), await request.body(stopBody)));
    },
  },
  {
    method: "POST",
    path: "/api/plugins/enable/:id",
    verb: "plugin.enable",
    audience: "operator",
    needsPassphrase: true,
    needs: "operate",
    handle: async (request) => {
      await request.body(nothing);
      return plugin(await request.host.plugins.enable(request.operator(), id(request)));
    },
  },
  {
    method: "POST",
    path: "/api/plugins/disable/:id",
    verb: "plugin.disable",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      return plugin(await request.host.plugins.disable(request.operator(), id(request), await request.body(stopBody)));
    },
  },
  {
    method: "POST",
    path: "/api/plugins/revoke/:id",
    verb: "plugin.revoke",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const { reason: why } = await request.body(reason);
      return plugin(await request.host.plugins.revoke(request.operator(), id(request), why));
    },
  },
  {
    method: "DELETE",
    path: "/api/plugins/uninstall/:id",
    verb: "plugin.uninstall",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const options = request.query(
        z.strictObject({ version: version.optional(), purge: yesOrNo, force: yesOrNo, with_dependants: yesOrNo }),
      );
      await request.host.plugins.uninstall(request.operator(), id(request), {
        ...(options.version !== undefined && { version: options.version }),
        purge: options.purge === "true",
        ...(options.force === "true" && { force: true }),
        ...(options.with_dependants === "true" && { withDependants: true }),
      });
      return done({ id: id(request) });
    },
  },
  {
    method: "GET",
    path: "/api/plugins/config/:id",
    verb: "plugin.config",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => done(await request.host.plugins.config(id(request))),
  },
  {
    method: "GET",
    path: "/api/plugins/config/:id/form",
    verb: "plugin.config.form",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => done(toConfigForm(await request.host.plugins.configForm(id(request)))),
  },
  {
    method: "PUT",
    path: "/api/plugins/config/:id",
    verb: "plugin.config.set",
    audience: "operator",
    needsPassphrase: true,
    handle: async (request) => {
      const { values } = await request.body(z.strictObject({ values: jsonObject }));
      return done(await request.host.plugins.setConfig(request.operator(), id(request), values));
    },
  },
  {
    method: "GET",
    path: "/api/plugins/logs/:id",
    verb: "plugin.logs",
    audience: "operator",
    needsPassphrase: false,
    handle: logs,
  },
];

/** The last lines, oldest first; with `follow` each as a line of its own, and every new one until the client goes. */
async function logs(request: RouteRequest): Promise<Answer> {
  const { limit = MAX_LOG_LINES, follow } = request.query(logsQuery);
  const plugins = request.host.plugins;
  // An unknown id is an error and not an empty log.
  const { id: known } = await plugins.info(id(request));
  const read = (): readonly LogLine[] => plugins.logs(known);
  if (follow !== "true") return done(lastOf(read(), limit).map(toLogLine));
  return {
    lines: (async function* () {
      for await (const line of followLog(read, limit, request.endless)) yield toLogLine(line);
    })(),
  };
}

async function install(request: RouteRequest): Promise<Answer> {
  const operator = request.operator();
  const wanted = toInstallRequest(await request.body(jsonObject));
  const run = (onStep?: InstallRequest["onStep"]): Promise<InstallAnswer> =>
    request.host.plugins.install(operator, { ...wanted, ...(onStep && { onStep }) });
  if (!request.wantsLines) return installed(await run());

  const feed = createFeed<unknown>(request.signal);
  const answer = run((step) => feed.push({ step }));
  const finish = (): void => feed.end();
  answer.then(finish, finish);
  return {
    lines: (async function* () {
      yield* feed.values;
      yield { answer: installed(await answer).json };
    })(),
  };
}

function installed(answer: InstallAnswer) {
  const result = toInstall(answer);
  return { status: 200, json: { success: true, plugin: result.plugin, result } };
}

function toApproveRequest(body: z.infer<typeof approveBody>): ApproveRequest {
  return {
    ...(body.only && { only: body.only }),
    ...(body.scopes && { scopes: body.scopes }),
    ...(body.allow_tools && { allowTools: body.allow_tools }),
    ...(body.enable_tools && { enableTools: body.enable_tools }),
    ...(body.expires_at !== undefined && { expiresAt: body.expires_at }),
    ...(body.keep_data !== undefined && { keepData: body.keep_data }),
    ...(body.grant_only !== undefined && { grantOnly: body.grant_only }),
    ...(body.in_process !== undefined && { inProcess: body.in_process }),
    ...(body.version !== undefined && { version: body.version }),
  };
}
