import { createRequire } from "node:module";
import { dirname } from "node:path";

const VERSION = "^0.1.0";

/**
 * What a new plugin's package.json says for `@sallyport/sdk`: a version when this host was installed from a registry, and the
 * folder beside it when it runs from a checkout, whose SDK no registry has.
 */
export function sdkSpecifier(entry: string = createRequire(import.meta.url).resolve("@sallyport/sdk")): string {
  return entry.split(/[\\/]/).includes("node_modules") ? VERSION : `file:${dirname(dirname(entry))}`;
}
