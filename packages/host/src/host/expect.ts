import type { InstallRequest } from "../host-api.ts";
import { displayLine, SallyportError } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";

/** @throws {SallyportError} `manifest_invalid` when the manifest is not what the request for the install says. */
export function assertExpected(manifest: Manifest, expected: NonNullable<InstallRequest["expect"]>): void {
  for (const key of ["id", "version", "author", "description"] as const) {
    const wanted = expected[key];
    if (wanted !== undefined && wanted !== manifest[key]) throw mismatch(key, wanted, manifest[key] ?? "nothing");
  }
  const { name } = expected;
  if (name !== undefined && name !== manifest.name && name.replaceAll("_", "-") !== manifest.id) {
    throw mismatch("name", name, manifest.name);
  }
  const missing = expected.categories?.find((category) => !manifest.categories.some((own) => own === category));
  if (missing !== undefined) throw mismatch("capabilities", missing, listed(manifest.categories));
  const wanted = expected.capabilities && listed(expected.capabilities.filter((capability) => capability !== "tools"));
  // What other systems call permissions: not the tools that a plugin offers.
  const permissions = manifest.permissions
    .map((request) => request.capability)
    .filter((capability) => capability !== "tools");
  const asked = listed(permissions);
  if (wanted !== undefined && wanted !== asked) throw mismatch("required permissions", wanted, asked);
}

function listed(names: readonly string[]): string {
  return [...new Set(names)].toSorted().join(", ") || "none";
}

function mismatch(key: string, expected: string, actual: string): SallyportError {
  return new SallyportError("manifest_invalid", `The plugin's ${key} is not what the request says.`, {
    detail: `Expected ${displayLine(expected)}, the manifest says ${displayLine(actual)}.`,
    fix: "Install the plugin that you mean, or correct the request.",
    data: { key, expected, actual },
  });
}
