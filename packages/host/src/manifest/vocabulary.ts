import type { Capability } from "../kernel/index.ts";
import { CATEGORIES, type Category } from "./types.ts";

/** What a name of another system asks for in our words; no scope comes with a bare name. */
export interface ForeignName {
  readonly system: "manasvi" | "powerhouse";
  readonly capability: Capability;
  readonly mode?: "r" | "rw";
  readonly direction?: "publish" | "consume";
}

const FOREIGN_NAMES: Readonly<Record<string, ForeignName>> = {
  "provide-tools": { system: "manasvi", capability: "tools" },
  "provide-hooks": { system: "manasvi", capability: "hooks" },
  "access-network": { system: "manasvi", capability: "network" },
  "access-secret": { system: "manasvi", capability: "secrets" },
  "access-filesystem": { system: "manasvi", capability: "filesystem", mode: "rw" },
  "publish-events": { system: "manasvi", capability: "events", direction: "publish" },
  "consume-events": { system: "manasvi", capability: "events", direction: "consume" },
  "request-sandboxed-execution": { system: "manasvi", capability: "exec" },
  "file-read": { system: "powerhouse", capability: "filesystem", mode: "r" },
  "file-write": { system: "powerhouse", capability: "filesystem", mode: "rw" },
  "network-access": { system: "powerhouse", capability: "network" },
  "database-read": { system: "powerhouse", capability: "database", mode: "r" },
  "database-write": { system: "powerhouse", capability: "database", mode: "rw" },
  "execute-code": { system: "powerhouse", capability: "exec" },
  "system-access": { system: "powerhouse", capability: "system" },
  "agent-control": { system: "powerhouse", capability: "agent" },
};

/** Either case, `_` and `-` alike. */
export function foreignName(name: string): ForeignName | undefined {
  const folded = name.toLowerCase().replaceAll("_", "-");
  return Object.hasOwn(FOREIGN_NAMES, folded) ? FOREIGN_NAMES[folded] : undefined;
}

export function foreignCategory(name: string): Category | undefined {
  const folded = name.toLowerCase().replaceAll("-", "_");
  return CATEGORIES.find((category) => category === folded);
}

/** Keys of Missy's PluginPermissions. */
export const MISSY_FLAGS = ["filesystem_read", "filesystem_write", "shell"] as const;
export const MISSY_LISTS = ["allowed_hosts", "allowed_paths"] as const;
