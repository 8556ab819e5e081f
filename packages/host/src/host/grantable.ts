import type { Scope } from "../capability/index.ts";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";

export interface GrantablePlaces {
  /** Whether the host never lets a plugin reach an absolute path, whatever was granted. */
  neverGrantable(path: string): boolean;
  /** The path with its links resolved. */
  realPath(path: string): Promise<string>;
}

/**
 * A yes must not promise what the broker will refuse: paths that are never granted, and paths over a link, which the
 * broker does not follow.
 * @throws {PolicyViolationError} `ceiling_exceeded`. @throws {SallyportError} `usage` for a link.
 */
export async function assertGrantable(scopes: readonly Scope[], places: GrantablePlaces): Promise<void> {
  for (const scope of scopes) {
    if (scope.capability !== "filesystem" || !scope.path.startsWith("/")) continue;
    const real = await places.realPath(scope.path);
    if (places.neverGrantable(scope.path) || places.neverGrantable(real)) {
      throw new PolicyViolationError("ceiling_exceeded", `${scope.path} is never granted to a plugin.`, {
        detail: "It holds credentials, what starts with the machine or a shell, or Sallyport itself.",
        fix: "Leave it out with --only, or give another path with --scope.",
        data: { path: scope.path },
      });
    }
    if (real === scope.path) continue;
    throw new SallyportError("usage", `${scope.path} leads over a link, and plugins never follow one.`, {
      detail: `It leads to ${real}.`,
      fix: `Grant the place itself: --scope filesystem=${real}:${scope.mode}, if the plugin asks for it.`,
      data: { path: scope.path, real },
    });
  }
}
