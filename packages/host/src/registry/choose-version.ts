import semver from "semver";
import { displayLine, SallyportError } from "../kernel/index.ts";

/** A version that could be chosen, as its registry tells. */
export interface VersionOffer {
  readonly version: string;
  /** Milliseconds since the epoch; undefined: the registry does not say, so no minimum age is met. */
  readonly publishedAt: number | undefined;
  /** Why its publisher took it back. */
  readonly yanked: string | null;
  /** Range of versions of Sallyport. */
  readonly engine: string | null;
  /** Why this home refuses it, whatever the range: a revoked key. */
  readonly refused: string | undefined;
}

export interface VersionWish {
  /** For messages: the plugin and where it is looked for. */
  readonly what: string;
  /** Semver range; empty for any release; an exact version is a pin. */
  readonly range: string;
  readonly now: number;
  readonly minimumAgeMs: number;
  readonly hostVersion: string;
}

const SHOWN = 12;

/**
 * The highest version that fits and that nothing speaks against. Pre-releases only where the range names one; a yanked version
 * only when the range is exactly that version.
 * @throws {SallyportError} `no_version` with every version and why not; `data.refused` has them for machines.
 */
export function chooseVersion<T extends VersionOffer>(offers: readonly T[], wish: VersionWish): T {
  const sorted = offers.toSorted((a, b) => semver.compareBuild(b.version, a.version));
  const refused: { version: string; reason: string }[] = [];
  for (const offer of sorted) {
    const reason = reasonAgainst(offer, wish);
    if (reason === undefined) return offer;
    refused.push({ version: offer.version, reason });
  }
  const asked = wish.range === "" || wish.range === "*" ? "" : ` ${displayLine(wish.range)}`;
  const told = refused.slice(0, SHOWN).map(({ version, reason }) => `${displayLine(version)}: ${reason}.`);
  const more = refused.length > SHOWN ? ` And ${refused.length - SHOWN} more.` : "";
  throw new SallyportError("no_version", `No version of ${wish.what} fits${asked}.`, {
    detail: refused.length === 0 ? "It has no versions at all." : `${told.join(" ")}${more}`,
    fix: fixFor(refused, wish),
    data: { range: wish.range, refused: refused.slice(0, 1000) },
  });
}

function reasonAgainst(offer: VersionOffer, wish: VersionWish): string | undefined {
  const pinned = semver.valid(wish.range) !== null;
  if (!fits(offer.version, wish.range)) {
    const released = semver.prerelease(offer.version) === null;
    const wouldFit = !released && semver.satisfies(offer.version, wish.range || "*", { includePrerelease: true });
    return wouldFit ? "is a pre-release, which has to be asked for by its version" : "is outside the range";
  }
  if (offer.refused !== undefined) return offer.refused;
  if (offer.yanked !== null && !pinned) return `was taken back by its publisher (${displayLine(offer.yanked, 100)})`;
  if (offer.engine !== null && !semver.satisfies(wish.hostVersion, offer.engine, { includePrerelease: true })) {
    return `needs Sallyport ${displayLine(offer.engine, 60)}, and this is ${wish.hostVersion}`;
  }
  if (wish.minimumAgeMs > 0) {
    if (offer.publishedAt === undefined) return "has no time of publication, and trust.minimum_age asks for one";
    const age = wish.now - offer.publishedAt;
    if (age < wish.minimumAgeMs) {
      return `is ${hours(age)} old, and trust.minimum_age asks for ${hours(wish.minimumAgeMs)}`;
    }
  }
  return undefined;
}

/** Build metadata orders nothing in semver, but a pin that has it means exactly that build. */
function fits(version: string, range: string): boolean {
  if (semver.valid(range) !== null) {
    return range.includes("+") ? version === range : semver.eq(version, range);
  }
  return semver.satisfies(version, range || "*");
}

function hours(ms: number): string {
  const whole = Math.floor(Math.max(0, ms) / 3_600_000);
  return whole >= 48 ? `${Math.floor(whole / 24)} days` : `${whole} hours`;
}

function fixFor(refused: readonly { readonly reason: string }[], wish: VersionWish): string {
  if (refused.some(({ reason }) => reason.includes("minimum_age")))
    return "Wait until it is old enough (others will have looked at it by then), or lower trust.minimum_age in config.yml.";
  if (refused.some(({ reason }) => reason.startsWith("is a pre-release")))
    return "Ask for the pre-release by its exact version if you want it.";
  if (refused.some(({ reason }) => reason.startsWith("was taken back")))
    return "Ask for the exact version if you want it all the same.";
  return wish.range === "" ? "Use another plugin." : "Ask for one of these versions, or a wider range.";
}
