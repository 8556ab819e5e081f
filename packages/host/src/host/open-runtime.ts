import type { Broker } from "../broker/index.ts";
import type { LoadPermit } from "../catalog/index.ts";
import type { Interpreters } from "../isolation/index.ts";
import type { SallyportError } from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { createLauncher } from "../supervisor/index.ts";
import type { HomeCodeCaches } from "./code-caches.ts";
import type { ConfigState } from "./config-state.ts";
import type { DataSpaces } from "./data-spaces.ts";
import type { HomeParts } from "./parts.ts";
import { planLaunch } from "./plan.ts";
import { createRuntime, type Runtime } from "./runtime.ts";

export interface RuntimeSources {
  readonly broker: Broker;
  readonly state: ConfigState;
  readonly spaces: DataSpaces;
  readonly interpreters: Interpreters;
  readonly codeCaches: HomeCodeCaches;
  readonly openRuntimePermissions: boolean;
  /** Gates 1 to 12. */
  permit(record: StoredPlugin): Promise<LoadPermit>;
  clean(error: SallyportError): SallyportError;
  dataDirOf(space: string): string;
}

/** The processes of an open home's plugins, each started as its record, its permit and the configuration say at that time. */
export function openRuntime(parts: HomeParts, sources: RuntimeSources): Runtime {
  const { catalog, clock, engine, probe, hostIsRoot, overrides, store } = parts;
  const { broker, state, spaces } = sources;
  return createRuntime({
    catalog,
    clock,
    launcher: createLauncher({
      engine,
      probe,
      hostIsRoot,
      clock,
      limits: overrides.supervisor ?? {},
      allowInProcess: () => state.config.isolation.allowInProcess,
      interpreters: sources.interpreters,
      ...(overrides.codeCache === false ? {} : { codeCaches: sources.codeCaches }),
    }),
    policySnapshot: () => state.decisions.policy.snapshot,
    settings: () => state.config.isolation,
    clean: sources.clean,
    permit: sources.permit,
    plan: (record, granted) =>
      planLaunch(record, granted, {
        broker,
        config: state.config,
        root: store.pathOf(record.ref.digest),
        ceiling: state.decisions.ceilingOf(record.ref.id),
        space: spaces.of(record),
        dataDir: sources.dataDirOf(spaces.of(record)),
        openRuntimePermissions: sources.openRuntimePermissions,
      }),
  });
}
