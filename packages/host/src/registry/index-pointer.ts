import { canonicalJson, toSallyportError } from "../kernel/index.ts";
import {
  isSignedBy,
  type KeyId,
  readEnvelope,
  readPayload,
  signEnvelope,
  type SigningKey,
  writeEnvelope,
} from "../trust/index.ts";
import { INDEX_LIMITS, POINTER_TYPE, pointerSchema, type RegistryPointer, untrusted } from "./index-format.ts";

/** What is remembered of a registry, so that it never goes back. */
export interface SeenPointer {
  readonly name: string;
  readonly counter: number;
  readonly issuedAt: number;
  readonly indexDigest: string;
}

/** How many indexes may have been missed between two looks. A stolen key must not use up all the numbers there are. */
const MAX_STEP = 10_000;
/** Clocks differ. */
const SKEW_MS = 10 * 60 * 1000;

export function signPointer(pointer: RegistryPointer, key: SigningKey): string {
  return writeEnvelope(signEnvelope(POINTER_TYPE, Buffer.from(canonicalJson(pointer)), [key]));
}

/**
 * Reads a pointer that the given key signed, and believes nothing else. Says nothing about its age.
 * @throws {SallyportError} `registry_untrusted`.
 */
export function openPointer(text: string, key: KeyId): RegistryPointer {
  const pointer = readSigned(text, key);
  if (pointer.expires_at <= pointer.issued_at || pointer.expires_at - pointer.issued_at > INDEX_LIMITS.validMs) {
    throw malformed("It says that it is good for no time, or for over a year.");
  }
  if (pointer.index.file !== `index-${pointer.index.sha256.slice("sha256:".length)}.jsonl`) {
    throw malformed("Its index has another name than its digest.");
  }
  return pointer;
}

function readSigned(text: string, key: KeyId): RegistryPointer {
  try {
    const envelope = readEnvelope(text, POINTER_TYPE);
    if (!envelope.signatures.some((signature) => isSignedBy(envelope, signature, key))) {
      throw untrusted(
        "The registry's index is not signed by the key that you gave for it.",
        `Expected a signature by ${key}; signed by ${envelope.signatures.map(({ keyid }) => keyid).join(", ")}.`,
        "Ask whoever keeps the registry, on another way, whether its key changed; then remove it and add it with the new key.",
        { expected: key, actual: envelope.signatures.map(({ keyid }) => keyid) },
      );
    }
    const read = pointerSchema.safeParse(readPayload(envelope));
    if (!read.success) throw malformed(`It is wrong at ${read.error.issues[0]?.path.join(".") ?? "its root"}.`);
    return read.data;
  } catch (error) {
    const failure = toSallyportError(error);
    throw failure.code === "signature_invalid" ? malformed(failure.detail ?? failure.message, error) : failure;
  }
}

function malformed(detail: string, cause?: unknown) {
  return untrusted(
    "The registry's signed file is malformed.",
    detail,
    "Check the address: it must lead to the folder that sallyport registry index wrote.",
    {},
    cause,
  );
}

/**
 * Refuses a pointer that is expired, older than one seen before, or not a successor of it.
 * @param now milliseconds since the epoch.
 * @throws {SallyportError} `registry_untrusted`.
 */
export function judgePointer(pointer: RegistryPointer, seen: SeenPointer | undefined, now: number): void {
  assertFresh(pointer, now);
  if (pointer.issued_at > now + SKEW_MS) {
    throw refused(
      "was made in the future",
      "made by",
      iso(now),
      iso(pointer.issued_at),
      "Check the clock of this machine.",
    );
  }
  if (seen === undefined) return;
  if (pointer.name !== seen.name) {
    throw refused("is that of another registry", "name", seen.name, pointer.name, ASK);
  }
  if (pointer.counter < seen.counter || pointer.issued_at < seen.issuedAt) {
    const byCounter = pointer.counter < seen.counter;
    throw refused(
      "is older than one that was seen before: it was rolled back",
      byCounter ? "counter at least" : "made no earlier than",
      byCounter ? seen.counter : iso(seen.issuedAt),
      byCounter ? pointer.counter : iso(pointer.issued_at),
      ASK,
    );
  }
  if (pointer.counter === seen.counter && pointer.index.sha256 !== seen.indexDigest) {
    throw refused(
      "is another than the one of the same number that was seen before",
      `index of counter ${seen.counter}`,
      seen.indexDigest,
      pointer.index.sha256,
      ASK,
    );
  }
  if (pointer.counter > seen.counter + MAX_STEP) {
    throw refused(
      "jumps ahead further than a registry can have come: fast-forward",
      "counter at most",
      seen.counter + MAX_STEP,
      pointer.counter,
      "If its keeper confirms the number, begin anew: sallyport registry remove NAME, then registry add.",
    );
  }
}

/** @throws {SallyportError} `registry_untrusted` once the index's time is over: whoever holds it back gains nothing. */
export function assertFresh(pointer: RegistryPointer, now: number): void {
  if (pointer.expires_at > now) return;
  throw refused(
    "has expired: it is frozen, or nobody keeps it any more",
    "good until after",
    iso(now),
    iso(pointer.expires_at),
    "Ask its keeper to make it again (sallyport registry index), or use another address of it. Check this machine's clock too.",
  );
}

const ASK = "Do not install from it now. Try its original address in place of a mirror, and ask its keeper.";

function refused(problem: string, what: string, expected: string | number, actual: string | number, fix: string) {
  return untrusted(`The registry's index ${problem}.`, `Expected: ${what} ${expected}. Actual: ${actual}.`, fix, {
    expected,
    actual,
  });
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
