import semver from "semver";
import type { Operator, PluginSummary } from "../host-api.ts";
import { displayLine, SallyportError } from "../kernel/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { assertSuitsDependants } from "./dependencies.ts";
import { actorOf, eventOf, type PluginsDeps } from "./plugins-deps.ts";
import { replace } from "./upgrade.ts";
import { summaryOf } from "./views.ts";

/**
 * Puts an earlier version in the place of the active one: installed, approved and not revoked. Every gate looks at it again.
 * @throws {SallyportError} `not_found` when there is none; as the gates.
 */
export function rollback(deps: PluginsDeps, operator: Operator, id: string, to?: string): Promise<PluginSummary> {
  return deps.inTurn(`upgrade\n${id}`, async () => {
    const old = deps.catalog.get(id);
    const next = target(deps, old, to);
    assertSuitsDependants(deps, id, next.ref.version);
    await replace(deps, operator, old, next);
    await deps.audit.record(
      eventOf(deps.clock, "plugin.rolled_back", actorOf(operator), {
        plugin: next.ref,
        from: old.ref.version,
        to: next.ref.version,
      }),
    );
    return summaryOf(deps.views, deps.catalog.get(id));
  });
}

function target(deps: PluginsDeps, old: StoredPlugin, to: string | undefined): StoredPlugin {
  const { id } = old.ref;
  const others = deps.catalog.versions(id).filter((record) => record.ref.digest !== old.ref.digest);
  const usable = others
    .filter((record) => record.state !== "revoked" && deps.views.grantOf(record) !== undefined)
    .toSorted((a, b) => semver.rcompare(a.ref.version, b.ref.version));
  const found =
    to === undefined
      ? usable.find((record) => semver.lt(record.ref.version, old.ref.version))
      : usable.find((record) => record.ref.version === to || record.ref.digest === to);
  if (found) return found;
  const listed = others.map(({ ref, state }) => `${displayLine(ref.version)} (${state})`).join(", ");
  throw new SallyportError(
    "not_found",
    `There is no ${to === undefined ? "earlier " : ""}version of ${id} to go back to.`,
    {
      detail: `Besides ${displayLine(old.ref.version)} there is: ${listed || "none"}. It must be installed, approved and not revoked.`,
      fix: `Install the version that you want: sallyport plugin upgrade ${id} SOURCE --allow-downgrade`,
      data: { versions: others.map(({ ref }) => ref.version) },
    },
  );
}
