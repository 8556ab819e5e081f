import { SallyportError } from "../kernel/index.ts";

/** The facts about this machine that can be granted, one by one, each with what its sentence says. */
const FACETS = {
  hostname: "this machine's host name",
  platform: "this machine's operating system",
  arch: "this machine's kind of processor (x64, arm64)",
  release: "the release of this machine's kernel",
  cpus: "how many processors this machine has",
  load: "how busy this machine is",
  memory: "how much memory this machine has, and how much of it is free",
  uptime: "how long this machine has been running",
  timezone: "this machine's time zone",
  locale: "this machine's language settings",
} as const;

export type SystemFacet = keyof typeof FACETS;

export function isSystemFacet(text: string): text is SystemFacet {
  return Object.hasOwn(FACETS, text);
}

/** @throws {SallyportError} `usage` for a fact that there is not. */
export function canonicalFacet(text: string): SystemFacet {
  if (isSystemFacet(text)) return text;
  throw new SallyportError("usage", `${JSON.stringify(text.slice(0, 60))} is not a fact about the system.`, {
    fix: `Name one of ${Object.keys(FACETS).join(", ")}.`,
  });
}

/** "this machine's host name". */
export function facetWords(facet: SystemFacet): string {
  return FACETS[facet];
}
