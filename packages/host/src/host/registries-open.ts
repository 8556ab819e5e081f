import { join } from "node:path";
import { classifyAddress } from "../broker/index.ts";
import { createTurns } from "../catalog/index.ts";
import type { HostConfig } from "../config/index.ts";
import { createIndexClient, type ResolvedSource } from "../registry/index.ts";
import { VERSION } from "../version.ts";
import type { HomeParts } from "./parts.ts";
import { createRegistries, type Registries } from "./registries.ts";
import { type DependencyOffer, findOffer, resolveSource } from "./resolve-source.ts";
import type { TrustState } from "./trust.ts";

/** The registries of an open home, and the way from what an operator names to its bytes. */
export interface OpenRegistries {
  readonly api: Registries;
  /** As `resolveSource`; `openPath` opens a directory or an archive of this machine. */
  resolve(text: string, openPath: (path: string) => Promise<ResolvedSource>): Promise<ResolvedSource>;
  /** As `findOffer`. */
  offer(text: string): Promise<DependencyOffer | undefined>;
}

export async function openRegistries(
  { home, db, audit, clock, overrides }: Pick<HomeParts, "home" | "db" | "audit" | "clock" | "overrides">,
  trust: TrustState,
  config: () => HostConfig,
): Promise<OpenRegistries> {
  const { resolve, certificateAuthorities } = overrides.network ?? {};
  const web = { classify: classifyAddress, resolve, certificateAuthorities };
  const client = createIndexClient(join(home, "registries"), web);
  const api = await createRegistries({ db, audit, clock, trust, client, inTurn: createTurns() });
  const deps = { db, clock, registries: api, web, hostVersion: VERSION, config };
  return {
    api,
    resolve: (text, openPath) => resolveSource({ ...deps, openPath }, text),
    offer: (text) => findOffer(deps, text),
  };
}
