import { canonicalJson, sha256, SallyportError } from "../kernel/index.ts";
import {
  compileConditions,
  type Conditions,
  EVERY,
  parseArgumentPath,
  readConditions,
  type Segment,
} from "../policy/index.ts";
import type { ApprovalScope, StoredApproval } from "../store/index.ts";

/** Whether a yes with conditions reaches another input: they hold, and every argument that they do not name is as it was asked. */
export function scopeCovers(
  { scope, input }: Pick<StoredApproval, "scope" | "input">,
  call: { readonly value: unknown },
): boolean {
  if (scope?.match === undefined) return false;
  try {
    const conditions = readConditions(scope.match);
    if (!compileConditions(conditions).matches(call.value)) return false;
    const rest = (value: unknown): string => canonicalJson(withoutArguments(value, conditions));
    return rest(input) === rest(call.value);
  } catch {
    // Written by an older or a newer program, or damaged.
    return false;
  }
}

/**
 * What an operator's conditions make of a request.
 * @throws {SallyportError} `usage` when they are none, do not hold for the very call that was asked about, or that call
 * cannot be compared with others.
 */
export function matchScope(request: StoredApproval, match: unknown): Pick<ApprovalScope, "match"> {
  const conditions = readConditions(match);
  if (Object.keys(conditions).length === 0) throw new SallyportError("usage", "No argument is named.", { fix: FORM });
  if (request.input === undefined || sha256(canonicalJson(request.input)) !== request.inputDigest) {
    throw new SallyportError("usage", "A call with a secret in its input is approved as it is, or not at all.", {
      detail: "What is kept of the input has the secret taken out, so that other inputs cannot be compared with it.",
      fix: "Approve it without --match.",
    });
  }
  if (!compileConditions(conditions).matches(request.input)) {
    throw new SallyportError("usage", "The call that is asked about does not meet these conditions itself.", {
      fix: FORM,
    });
  }
  return { match: conditions };
}

const FORM = "Write --match ARGUMENT=VALUE, where * is any text, as in --match city=Be*.";

/** A copy without what stands at the paths; of a whole list (`items[*]`) its items. */
function withoutArguments(value: unknown, conditions: Conditions): unknown {
  const copy: unknown = structuredClone(value);
  for (const argument of Object.keys(conditions)) remove([copy], parseArgumentPath(argument));
  return copy;
}

function remove(places: readonly unknown[], path: readonly Segment[]): void {
  const [segment, ...rest] = path;
  if (segment === undefined) return;
  for (const place of places) {
    if (segment === EVERY) {
      if (!Array.isArray(place)) continue;
      if (rest.length === 0) place.length = 0;
      else remove(place, rest);
    } else if (isContainer(place) && Array.isArray(place) === (typeof segment === "number")) {
      if (!Object.hasOwn(place, segment)) continue;
      if (rest.length > 0) remove([Reflect.get(place, segment)], rest);
      else if (Array.isArray(place)) Reflect.set(place, segment, null);
      else Reflect.deleteProperty(place, segment);
    }
  }
}

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
