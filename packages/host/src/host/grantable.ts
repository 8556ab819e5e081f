import type { ExecScope, Scope } from "../capability/index.ts";
import type { FoundCommand } from "../isolation/index.ts";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";

export interface GrantablePlaces {
  /** Whether the host never lets a plugin reach an absolute path, whatever was granted. */
  neverGrantable(path: string): boolean;
  /** The path with its links resolved. */
  realPath(path: string): Promise<string>;
  /** @throws {SallyportError} `not_found`. @throws {PolicyViolationError} `ceiling_exceeded`. */
  findCommand(command: string): Promise<FoundCommand>;
}

/**
 * What a yes really grants. It must not promise what the broker will refuse: paths that are never granted, and paths over a
 * link, which the broker does not follow. A command is bound to the file that it is now.
 * @throws {PolicyViolationError} `ceiling_exceeded`. @throws {SallyportError} `usage` for a link, `not_found` for a command.
 */
export async function grantable(scopes: readonly Scope[], places: GrantablePlaces): Promise<readonly Scope[]> {
  await assertPaths(scopes, places);
  const bound: Scope[] = [];
  for (const scope of scopes) bound.push(scope.capability === "exec" ? await bind(scope, places) : scope);
  return bound;
}

/** One that a version before it was granted stays bound to what it was then. */
async function bind(scope: ExecScope, places: GrantablePlaces): Promise<ExecScope> {
  if (scope.file !== undefined) return scope;
  const { command, file, interpreter } = await places.findCommand(scope.command);
  if (interpreter && scope.interpreter !== true) {
    throw new PolicyViolationError("ceiling_exceeded", `${command} is an interpreter: it runs whatever it is told.`, {
      detail: "Its argument patterns bound nothing, so it is granted only in words that say so.",
      fix: `Leave it out with --only, or say it: --scope 'exec+interpreter=${JSON.stringify([command, ...scope.args])}'`,
      data: { command },
    });
  }
  return { ...scope, command, file };
}

/** For the audit of a yes: which file each command was then. */
export function boundCommands(scopes: readonly Scope[]): { readonly commands?: readonly object[] } {
  const commands = scopes.flatMap((scope) =>
    scope.capability === "exec" && scope.file !== undefined ? [{ command: scope.command, ...scope.file }] : [],
  );
  return commands.length === 0 ? {} : { commands };
}

async function assertPaths(scopes: readonly Scope[], places: GrantablePlaces): Promise<void> {
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
