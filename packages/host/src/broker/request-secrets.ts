import { randomBytes } from "node:crypto";
import type { SecretUse } from "../capability/index.ts";
import { PolicyViolationError, SallyportError } from "../kernel/index.ts";
import type { KnownSecret, SecretSource } from "../secrets/index.ts";
import { clearPlace, findPlaceholders, type RequestParts, type Sighting, writeSecret } from "./secret-places.ts";
import { withoutHeader } from "./headers.ts";
import type { Reach } from "./reach.ts";

/** A secret that this request carries, and where. */
export interface PlannedUse {
  readonly name: string;
  readonly use: SecretUse;
}

export interface RequestSecrets {
  /** Name → placeholder, or the value under an `expose` grant. A secret without a value is not in it. */
  readonly view: Readonly<Record<string, string>>;
  /** Names of those whose value is in `view`. */
  readonly exposed: readonly string[];
  /**
   * Which secrets a request to this origin carries, and the request without their placeholders.
   * @throws {PolicyViolationError} `secret_misuse` for a placeholder, or a name, that no grant allows there.
   */
  plan(
    origin: string,
    parts: RequestParts,
    names: readonly string[],
  ): { uses: readonly PlannedUse[]; parts: RequestParts };
  /**
   * Writes the planned secrets into a request to this origin. Such a request asks for the whole, unencoded answer, so
   * that a value in it can be found.
   * @throws {PolicyViolationError} `secret_misuse`. @throws {SallyportError} `secret_missing`.
   */
  write(
    origin: string,
    parts: RequestParts,
    uses: readonly PlannedUse[],
  ): { parts: RequestParts; written: readonly KnownSecret[] };
  /** @throws {PolicyViolationError} `secret_misuse` when a placeholder is in these bytes. */
  refuseIn(bytes: Buffer): void;
  /** Length of the longest placeholder. */
  readonly longest: number;
}

/**
 * @param space whose sensitive configuration values the names `config:KEY` stand for.
 * @throws {SallyportError} `vault_unavailable` when a value is to be exposed and the vault could not be opened.
 */
export function createRequestSecrets(reach: Reach, source: SecretSource, space?: string): RequestSecrets {
  const placeholders = new Map<string, string>();
  const view: Record<string, string> = {};
  const exposed: string[] = [];
  for (const [name, { expose }] of reach.secretNames()) {
    if (expose) {
      const entry = source.use(name, space);
      if (entry === undefined) continue;
      view[name] = entry.value;
      exposed.push(name);
    } else if (isSet(source, name, space)) {
      const placeholder = `sallyport-secret-${name.replace(":", "_")}-${randomBytes(16).toString("hex")}`;
      view[name] = placeholder;
      placeholders.set(name, placeholder);
    }
  }

  return {
    view,
    exposed,
    longest: Math.max(0, ...[...placeholders.values()].map((placeholder) => placeholder.length)),
    plan(origin, parts, names) {
      const granted = reach.usesAt(origin);
      const uses: PlannedUse[] = [];
      for (const sighting of findPlaceholders(parts, placeholders)) {
        const use = useFor(sighting, granted);
        if (use === undefined)
          throw misuse(sighting.name, `Its placeholder stands in ${sighting.place} of a request to ${origin}.`);
        if (!uses.includes(use)) uses.push(use);
      }
      for (const name of names) {
        if (uses.some((planned) => planned.name === name)) continue;
        const use = granted.find((planned) => planned.name === name);
        if (use === undefined) throw misuse(name, `No grant lets it go to ${origin}.`);
        uses.push(use);
      }
      return { uses, parts: uses.reduce((rest, { use }) => clearPlace(rest, use.in), parts) };
    },
    write(origin, parts, uses) {
      const written: KnownSecret[] = [];
      let next = uses.length === 0 ? parts : { ...parts, headers: withoutHeader(parts.headers, "range", "if-range") };
      for (const { name, use } of uses) {
        const entry = source.use(name, space);
        if (entry === undefined) {
          throw new SallyportError("secret_missing", `The secret ${name} has no value in the vault.`, {
            fix: `An operator sets it: sallyport secret set ${name} --for ${origin}`,
          });
        }
        if (use.origin !== origin || !entry.origins.includes(origin))
          throw misuse(name, `The vault does not bind it to ${origin}.`);
        next = writeSecret(next, use, { name, value: entry.value });
        written.push({ name, value: entry.value });
      }
      return { parts: next, written };
    },
    refuseIn(bytes) {
      for (const [name, placeholder] of placeholders) {
        if (bytes.includes(placeholder)) throw misuse(name, "Its placeholder stands in the body of a request.");
      }
    },
  };
}

/**
 * No value, no placeholder: the plugin can see in initialize() that its credential is not there. While the vault is closed one is
 * given all the same: whoever uses it is told why it does not work.
 */
function isSet(source: SecretSource, name: string, space: string | undefined): boolean {
  try {
    return source.use(name, space) !== undefined;
  } catch (error) {
    if (error instanceof SallyportError && error.code === "vault_unavailable") return true;
    throw error;
  }
}

function useFor({ name, place }: Sighting, uses: readonly PlannedUse[]): PlannedUse | undefined {
  return uses.find((planned) => planned.name === name && planned.use.in === place);
}

function misuse(name: string, detail: string): PolicyViolationError {
  return new PolicyViolationError("secret_misuse", `The secret ${name} may not be used like this.`, {
    detail,
    fix: "Use it at the origin and in the place that the manifest's `use` names, and nowhere else.",
    data: { secret: name },
  });
}
