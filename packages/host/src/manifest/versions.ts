import { compare, satisfies } from "semver";

/** Order of semantic versions: negative, 0 or positive. Both are valid; 1.9.0 is before 1.10.0. */
export function compareVersions(a: string, b: string): number {
  return compare(a, b);
}

export function versionSatisfies(version: string, range: string): boolean {
  return satisfies(version, range);
}
