import { isLive, type Move } from "../catalog/index.ts";
import type { Operator, PluginsApi } from "../host-api.ts";
import type { StoredPlugin } from "../store/index.ts";
import { approve, denyPlugin } from "./approve.ts";
import { install } from "./install.ts";
import { pendingOf, type PluginsDeps } from "./plugins-deps.ts";
import { revoke, uninstall } from "./retire.ts";
import { infoOf, summaryOf } from "./views.ts";

/** The operator's verbs on plugins. */
export function createPluginsApi(deps: PluginsDeps): PluginsApi {
  const { catalog, runtime, views } = deps;
  const summary = (record: StoredPlugin) => summaryOf(views, record);

  return {
    install: (operator, request) => install(deps, operator, request),
    list: () =>
      Promise.resolve(
        catalog
          .all()
          .filter((record) => catalog.find(record.ref.id) === record)
          .map(summary),
      ),
    info: async (id) => infoOf(views, catalog.get(id)),
    approve: (operator, id, request) => approve(deps, operator, id, request),
    async deny(operator, id, reason) {
      const record = pendingOf(deps, id) ?? catalog.get(id);
      return summary(await denyPlugin(deps, operator, record, reason));
    },
    async load(operator, id, options = {}) {
      const record = catalog.get(id, options.version);
      if (options.config) await deps.configs.set(record, actorOf(operator), options.config);
      if (!record.active) await replaceActive(deps, record, actorOf(operator));
      await runtime.start(catalog.get(id, record.ref.version), actorOf(operator));
      return summary(catalog.get(id, record.ref.version));
    },
    async unload(operator, id) {
      return summary(await runtime.stop(catalog.get(id), "stopped", { actor: actorOf(operator), reason: "unloaded" }));
    },
    async enable(operator, id) {
      const move: Move = { actor: actorOf(operator), reason: "enabled" };
      return summary(await catalog.move(catalog.get(id), "stopped", move));
    },
    async disable(operator, id) {
      return summary(await runtime.stop(catalog.get(id), "disabled", { actor: actorOf(operator), reason: "disabled" }));
    },
    uninstall: (operator, id, options) => uninstall(deps, operator, id, options ?? {}),
    async revoke(operator, id, reason) {
      return summary(await revoke(deps, operator, id, reason ?? "no reason given"));
    },
    config: async (id) => deps.configs.masked(catalog.get(id)),
    async setConfig(operator, id, values) {
      const record = catalog.get(id);
      await deps.configs.set(record, actorOf(operator), values);
      return deps.configs.masked(record);
    },
    logs: deps.logsOf,
  };
}

async function replaceActive(deps: PluginsDeps, record: StoredPlugin, actor: string): Promise<void> {
  const old = deps.catalog.versions(record.ref.id).find((other) => other.active);
  if (old && isLive(old.state)) await deps.runtime.stop(old, "stopped", { actor, reason: "replaced" });
  await deps.catalog.activate(record);
}

function actorOf(operator: Operator): string {
  return `operator:${operator.name}`;
}
