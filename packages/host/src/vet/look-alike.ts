import { idSkeleton } from "../manifest/index.ts";
import type { Finding, Subject } from "./types.ts";

/** Ids shorter than this are one letter apart by chance. */
const SHORTEST = 5;

/** Whether two different ids are easily taken for one another: the same at a glance, or one slip of a finger apart. */
export function looksLike(id: string, known: string): boolean {
  if (id === known) return false;
  if (idSkeleton(id) === idSkeleton(known) || lastPart(id) === known || id === lastPart(known)) return true;
  return Math.min(id.length, known.length) >= SHORTEST && isOneSlip(id, known);
}

export function checkLookAlikes({ manifest, manifestFile }: Subject, knownIds: readonly string[]): readonly Finding[] {
  return knownIds
    .filter((known) => looksLike(manifest.id, known))
    .map((known) => ({
      rule: "look-alike",
      severity: "warning",
      file: manifestFile,
      line: null,
      message: `The id ${manifest.id} is easily taken for ${known}.`,
      fix: "Make sure that it is the one you mean; an author should choose another id.",
    }));
}

function lastPart(id: string): string {
  return id.slice(id.indexOf("/") + 1);
}

/** One letter more, less or other, or two neighbours swapped. */
function isOneSlip(a: string, b: string): boolean {
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  const [restA, restB] = [a.slice(start), b.slice(start)];
  const swapped = restA[0] === restB[1] && restA[1] === restB[0] && restA.slice(2) === restB.slice(2);
  return swapped || restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1);
}
