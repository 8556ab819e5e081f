import type { Move } from "../catalog/index.ts";
import type { PluginsApi, StopOptions } from "../host-api.ts";
import type { StoredPlugin } from "../store/index.ts";
import { approvePlugin, denyPlugin } from "./approve.ts";
import { settleDependants } from "./dependencies.ts";
import { install } from "./install-needed.ts";
import { learn } from "./learn.ts";
import { load } from "./load.ts";
import { actorOf, answerable, eventOf, type PluginsDeps } from "./plugins-deps.ts";
import { uninstall } from "./retire.ts";
import { revocations, revoke, revokeMark } from "./revoke.ts";
import { rollback } from "./rollback.ts";
import { verifyPlugin } from "./trust-verify.ts";
import { upgrade, upgradeAll } from "./upgrade.ts";
import { infoOf, summaryOf } from "./views.ts";

const NO_REASON = "no reason given";

/** The operator's verbs on plugins. */
export function createPluginsApi(deps: PluginsDeps): PluginsApi {
  const { catalog, runtime, views } = deps;
  const drainMs = (options?: StopOptions): number => (options?.now === true ? 0 : deps.config().isolation.drainMs);
  const summary = (record: StoredPlugin) => summaryOf(views, record);

  return {
    install: (operator, request) => install(deps, operator, request),
    upgrade: (operator, id, request) => upgrade(deps, operator, id, request),
    upgradeAll: (operator, request) => upgradeAll(deps, operator, request),
    rollback: (operator, id, to) => rollback(deps, operator, id, to),
    lock: () => deps.lock.view(),
    restoreLock: (operator) => deps.lock.restore(operator),
    async collect(operator) {
      const removed = await deps.collect();
      const data = { removed: removed.length, digests: removed.slice(0, 20) };
      await deps.audit.record(eventOf(deps.clock, "store.collected", actorOf(operator), { data }));
      return { removed };
    },
    verify: (what) => verifyPlugin(deps, what),
    list: () =>
      Promise.resolve(
        catalog
          .all()
          .filter((record) => catalog.find(record.ref.id) === record)
          .map(summary),
      ),
    info: async (id, version) => infoOf(views, catalog.get(id, version)),
    learn: (id, request) =>
      learn({ audit: deps.audit, catalog, grantOf: (record) => views.grantOf(record) }, id, request),
    approve: async (operator, id, request) =>
      infoOf(views, await approvePlugin(deps, operator, answerable(deps, id, request.version), request)),
    deny: async (operator, id, reason, version) =>
      summary(await denyPlugin(deps, operator, answerable(deps, id, version), reason)),
    async load(operator, id, options = {}) {
      const record = catalog.get(id, options.version);
      if (options.config) await deps.configs.set(record, actorOf(operator), options.config);
      return summary(await load(deps, operator, record));
    },
    async unload(operator, id, options) {
      await settleDependants(deps, operator, id, options ?? {}, drainMs(options));
      const move: Move = { actor: actorOf(operator), reason: "unloaded" };
      return summary(await runtime.stop(catalog.get(id), "stopped", move, drainMs(options)));
    },
    async enable(operator, id) {
      const move: Move = { actor: actorOf(operator), reason: "enabled" };
      return summary(await catalog.move(catalog.get(id), "stopped", move));
    },
    async disable(operator, id, options) {
      await settleDependants(deps, operator, id, options ?? {}, drainMs(options));
      const move: Move = { actor: actorOf(operator), reason: "disabled" };
      return summary(await runtime.stop(catalog.get(id), "disabled", move, drainMs(options)));
    },
    async uninstall(operator, id, options = {}) {
      const active = catalog.find(id);
      if (options.version === undefined || options.version === active?.ref.version)
        await settleDependants(deps, operator, id, options, drainMs());
      await uninstall(deps, operator, id, options);
    },
    async revoke(operator, id, reason) {
      return summary(await revoke(deps, operator, id, reason ?? NO_REASON));
    },
    async revokeMark(operator, mark, reason) {
      const stopped = await revokeMark(deps, operator, mark, reason ?? NO_REASON);
      return { ...mark, stopped: stopped.map(summary) };
    },
    revocations: () => revocations(deps),
    verifyAll: (operator, { full = true, onProgress } = {}) =>
      deps.verifyAll(actorOf(operator), { full, ...(onProgress && { onProgress }) }),
    config: async (id) => deps.configs.effective(catalog.get(id)),
    configForm: async (id) => deps.configs.form(catalog.get(id)),
    async setConfig(operator, id, values) {
      const record = catalog.get(id);
      await deps.configs.set(record, actorOf(operator), values);
      return deps.configs.effective(record);
    },
    logs: deps.logsOf,
  };
}
