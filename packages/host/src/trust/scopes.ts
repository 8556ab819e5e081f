import { SallyportError } from "../kernel/index.ts";

const SEGMENT = "[a-z][a-z0-9-]*";
const SCOPE = new RegExp(`^(?:\\*|${SEGMENT}(?:/(?:\\*|${SEGMENT}))?)$`);

/** @throws {SallyportError} `usage` for what is no `*`, `publisher/*` or plugin id. */
export function parseKeyScope(text: string): string {
  if (text.length <= 130 && SCOPE.test(text)) return text;
  throw new SallyportError("usage", `"${text.slice(0, 130)}" names no plugins.`, {
    detail: "A scope is a plugin's id, publisher/* for all of a publisher's, or * for any.",
    fix: "Write for example --scope 'acme/*,weather'.",
  });
}

/** Whether one of the scopes names this plugin. */
export function scopesName(scopes: readonly string[], pluginId: string): boolean {
  return scopes.some(
    (scope) => scope === "*" || scope === pluginId || (scope.endsWith("/*") && pluginId.startsWith(scope.slice(0, -1))),
  );
}
