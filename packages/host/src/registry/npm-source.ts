import semver from "semver";
import { z } from "zod";
import { displayLine, parseBoundedJson, SallyportError, toSallyportError } from "../kernel/index.ts";
import { archiveBytesLimit } from "./archive.ts";
import { integrityOf, untrusted } from "./index-format.ts";
import { SOURCE_LIMITS } from "./limits.ts";
import { webGet, type WebPorts } from "./web-get.ts";

export interface NpmRegistry {
  readonly name: string;
  readonly url: URL;
  readonly private: boolean;
}

export const PUBLIC_NPM: NpmRegistry = { name: "npmjs", url: new URL("https://registry.npmjs.org/"), private: false };

const PACKUMENT_BYTES = 48 * 1024 * 1024;
const ATTESTATIONS_BYTES = 4 * 1024 * 1024;
const PROVENANCE = "https://slsa.dev/provenance/v1";

const versionSchema = z.object({
  version: z.string().max(256),
  deprecated: z.unknown().optional(),
  dist: z.object({
    integrity: z.string().max(1000).optional(),
    tarball: z.string().max(2000),
    attestations: z
      .object({ url: z.string().max(2000) })
      .optional()
      .catch(undefined),
  }),
});
const packumentSchema = z.object({
  name: z.string().max(300),
  "dist-tags": z.record(z.string(), z.string()).default({}),
  versions: z.record(z.string(), z.unknown()),
  time: z.record(z.string(), z.unknown()).default({}),
});

export interface NpmVersion {
  readonly version: string;
  readonly integrity: string;
  readonly tarball: URL;
  readonly attestations: URL | undefined;
  readonly publishedAt: number | undefined;
  readonly deprecated: string | undefined;
}

export interface NpmPackage {
  readonly tags: Readonly<Record<string, string>>;
  readonly versions: readonly NpmVersion[];
}

/**
 * What an npm registry says of a package. Versions without a SHA-512 are left out: nothing would bind their bytes.
 * @throws {SallyportError} `not_found`, `network_failed`, `registry_untrusted`.
 */
export async function readNpmPackage(registry: NpmRegistry, name: string, web: WebPorts): Promise<NpmPackage> {
  const url = new URL(name.replace("/", "%2f"), registry.url);
  const bytes = await webGet(
    { url, maxBytes: PACKUMENT_BYTES, private: registry.private, accept: "application/json" },
    web,
  );
  const packument = packumentSchema.safeParse(parseJson(name, bytes));
  if (!packument.success || packument.data.name !== name) {
    throw untrusted(
      `What ${registry.name} says of ${displayLine(name)} is not about that package.`,
      packument.success ? `It is about ${displayLine(packument.data.name)}.` : "It has not the form of npm's metadata.",
      "Check the address of the registry: sallyport registry list",
    );
  }
  const { versions, time } = packument.data;
  return {
    tags: packument.data["dist-tags"],
    versions: Object.entries(versions).flatMap(([key, value]) => versionOf(registry, key, value, time[key])),
  };
}

function versionOf(registry: NpmRegistry, key: string, value: unknown, time: unknown): NpmVersion[] {
  const read = versionSchema.safeParse(value);
  if (!read.success || read.data.version !== key || semver.valid(key) === null) return [];
  const { dist, deprecated } = read.data;
  const integrity = dist.integrity?.split(/\s+/).find((part) => /^sha512-[A-Za-z0-9+/]{86}==$/.test(part));
  const tarball = ownUrl(registry, dist.tarball);
  if (integrity === undefined || tarball === undefined) return [];
  const at = typeof time === "string" ? Date.parse(time) : Number.NaN;
  return [
    {
      version: key,
      integrity,
      tarball,
      attestations: dist.attestations ? ownUrl(registry, dist.attestations.url) : undefined,
      publishedAt: Number.isNaN(at) ? undefined : at,
      deprecated: typeof deprecated === "string" && deprecated !== "" ? deprecated : undefined,
    },
  ];
}

/** A mirror repeats the addresses of the registry that it mirrors; what it sends comes from itself all the same. */
function ownUrl(registry: NpmRegistry, text: string): URL | undefined {
  const url = URL.parse(text);
  if (url === null) return undefined;
  if (url.origin === registry.url.origin) return url;
  if (url.origin !== PUBLIC_NPM.url.origin) return undefined;
  // A path that begins with two slashes would name another host.
  const own = new URL(`${url.pathname}${url.search}`, registry.url);
  return own.origin === registry.url.origin ? own : undefined;
}

/** The exact range that a tag stands for; other ranges as they are. @throws {SallyportError} `not_found` for an unknown tag. */
export function rangeOfTag(pkg: NpmPackage, name: string, range: string): string {
  if (range === "" && pkg.tags["latest"] !== undefined && semver.valid(pkg.tags["latest"]) !== null) {
    // npm's own meaning of no range: not above what the publisher calls the latest.
    return `<=${pkg.tags["latest"]}`;
  }
  if (semver.validRange(range) !== null) return range;
  const tagged = Object.hasOwn(pkg.tags, range) ? pkg.tags[range] : undefined;
  if (tagged !== undefined && semver.valid(tagged) !== null) return tagged;
  throw new SallyportError("not_found", `${displayLine(name)} has no tag ${displayLine(range)}.`, {
    detail: `Its tags are ${displayLine(Object.keys(pkg.tags).join(", "), 300) || "none"}.`,
    fix: "Name one of them, or a range of versions.",
  });
}

/** The archive's bytes, checked against the integrity of the metadata. @throws {SallyportError} `registry_untrusted`. */
export async function fetchNpmArchive(registry: NpmRegistry, name: string, version: NpmVersion, web: WebPorts) {
  const bytes = await webGet(
    { url: version.tarball, maxBytes: archiveBytesLimit(SOURCE_LIMITS), private: registry.private },
    web,
  );
  const actual = integrityOf(bytes);
  if (actual === version.integrity) return bytes;
  throw untrusted(
    `The archive of ${displayLine(name)} ${version.version} is not the one that ${registry.name} describes.`,
    `Expected: ${version.integrity}. Actual: ${actual}.`,
    "Nothing was kept. Try again later; if it stays so, tell whoever keeps the registry.",
    { expected: version.integrity, actual },
  );
}

/** The Sigstore bundle of the package's build, not verified here. Nothing when there is none; it is only ever extra evidence. */
export async function fetchProvenance(
  registry: NpmRegistry,
  version: NpmVersion,
  web: WebPorts,
): Promise<string | undefined> {
  const url = version.attestations;
  if (url === undefined) return undefined;
  const wanted = { url, maxBytes: ATTESTATIONS_BYTES, private: registry.private, accept: "application/json" };
  const bytes = await webGet(wanted, web).catch((error: unknown) => {
    // A mirror may repeat the address and not have the file.
    if (toSallyportError(error).code === "not_found") return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  const read = z
    .object({
      attestations: z.array(z.object({ predicateType: z.string(), bundle: z.record(z.string(), z.unknown()) })),
    })
    .safeParse(parseJson("attestations", bytes));
  const found = read.success
    ? read.data.attestations.find(({ predicateType }) => predicateType === PROVENANCE)
    : undefined;
  return found && JSON.stringify(found.bundle);
}

function parseJson(what: string, bytes: Uint8Array): unknown {
  try {
    return parseBoundedJson(Buffer.from(bytes).toString("utf8"), { maxDepth: 32 });
  } catch (cause) {
    throw untrusted(
      `What the registry says of ${displayLine(what)} is no JSON that is accepted here.`,
      "It is malformed, too deep, or has keys that reach into objects' prototypes.",
      "Check the address of the registry: sallyport registry list",
      {},
      cause,
    );
  }
}
