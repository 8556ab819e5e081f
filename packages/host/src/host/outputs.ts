import type { OutputChanges } from "../host-api.ts";
import { canonicalJson, LIMITS, PolicyViolationError, SallyportError, sha256, visibleText } from "../kernel/index.ts";
import type { Redactor } from "../secrets/index.ts";
import type { ToolAnswer } from "../supervisor/index.ts";
import type { Credentials } from "./credentials.ts";
import { invalidOutput, outputTooLarge, unreadableOutput } from "./invoke-errors.ts";
import type { CallRoute } from "./route.ts";

export interface AcceptedOutput {
  readonly output: unknown;
  readonly digest: string;
  readonly changes: OutputChanges | undefined;
}

/** The one gate that plugins' words pass on their way to anybody: answers, errors, progress, log lines. */
export interface OutputGate extends Redactor {
  /**
   * The answer to a call: within its size, as its schema says, without known secrets, credentials and hidden characters. A text
   * without an output schema that is too long is cut, and the changes say so; anything else that is too long is refused.
   * @throws {SallyportError} `output_too_large`, `invalid_output`.
   */
  accept(route: CallRoute, answer: ToolAnswer): AcceptedOutput;
  /** The words of a failure, which may be the plugin's; each at most 2000 characters. */
  words(message: string, detail: string | undefined): { readonly message: string; readonly detail?: string };
  /** An error whose words, and whose data, may be the plugin's: the same with clean ones. */
  error(error: SallyportError): SallyportError;
}

export interface OutputGateDeps {
  /** Known secrets. */
  readonly redactor: Redactor;
  readonly credentials: Credentials;
  /** Whether credentials are looked for, now. */
  masks(): boolean;
}

/** How far behind the place of a cut a text is still looked at, so that nothing is cut in two and then not found. */
const BEHIND_CUT = 64 * 1024;
const ERROR_CHARS = 2000;

export function createOutputGate({ redactor, credentials, masks }: OutputGateDeps): OutputGate {
  const clean = (text: string): string => {
    const redacted = redactor.redactText(text);
    return masks() ? credentials.mask(redacted) : redacted;
  };
  const cleanJson = (value: unknown): unknown => {
    const redacted = redactor.redactJson(value);
    return masks() ? credentials.maskJson(redacted) : redacted;
  };
  const cleanData = (data: SallyportError["data"]): SallyportError["data"] => {
    const entries = Object.entries(data).map(([key, value]): [string, unknown] => [key, visibleJson(cleanJson(value))]);
    return entries.every(([key, value]) => value === data[key]) ? data : Object.fromEntries(entries);
  };
  const shown = (text: string): string => {
    const whole = visibleText(clean(text));
    return whole.length > ERROR_CHARS ? `${whole.slice(0, ERROR_CHARS).toWellFormed()}…` : whole;
  };
  const words: OutputGate["words"] = (message, detail) => ({
    message: shown(message),
    ...(detail === undefined ? {} : { detail: shown(detail) }),
  });

  function accept(route: CallRoute, { output, bytes }: ToolAnswer): AcceptedOutput {
    const cuttable = typeof output === "string" && route.output === null;
    if (bytes > LIMITS.outputBytes && !cuttable) throw outputTooLarge(route, bytes);
    const checked = route.output?.check(output);
    if (checked?.ok === false) throw invalidOutput(route, checked.problems);
    if (cuttable) return acceptText(route, output);
    const accepted = finished(route, redactor.redactJson(output));
    // What stands for a secret or a hidden character may be longer than it.
    const size = accepted.output === output ? 0 : Buffer.byteLength(jsonOf(route, accepted.output));
    if (size > LIMITS.outputBytes) throw outputTooLarge(route, size);
    return accepted;
  }

  function acceptText(route: CallRoute, output: string): AcceptedOutput {
    const of = Buffer.byteLength(output);
    // First what is known, in the whole text: a secret must not be cut in two.
    const known = redactor.redactText(output);
    const looked = of <= LIMITS.outputBytes ? known : firstBytes(known, LIMITS.outputBytes + BEHIND_CUT);
    return finished(route, looked, { of, cut: looked !== known });
  }

  /** @param text of one that may be cut: how long it was, and whether some of it is gone already. */
  function finished(route: CallRoute, known: unknown, text?: { of: number; cut: boolean }): AcceptedOutput {
    const json = jsonOf(route, known);
    const removed = new Set<string>();
    const found = (what: string): void => void removed.add(what);
    const masked = masks() && credentials.mayHold(json) ? credentials.maskJson(known, found) : known;
    const seen = MAY_HIDE.test(json) ? visibleJson(masked) : masked;
    const output = text !== undefined && typeof seen === "string" ? firstBytes(seen, LIMITS.outputBytes) : seen;
    const cut = text !== undefined && (text.cut || output !== seen);
    if (output === known && !cut) return { output, digest: sha256(json), changes: undefined };
    const changes: OutputChanges = {
      ...(cut && { truncated: { bytes: Buffer.byteLength(String(output)), of: lengthOf(text.of, String(seen)) } }),
      ...(removed.size > 0 && { removed: [...removed].toSorted() }),
      ...(seen !== masked && { escaped: true as const }),
    };
    return { output, digest: sha256(jsonOf(route, output)), changes };
  }

  return {
    accept,
    redactText: clean,
    redactJson: cleanJson,
    words,
    error(error) {
      const { message, detail } = words(error.message, error.detail);
      const data = cleanData(error.data);
      if (message === error.message && detail === error.detail && data === error.data) return error;
      const { fix, cause } = error;
      const Kind = error instanceof PolicyViolationError ? PolicyViolationError : SallyportError;
      return new Kind(error.code, message, {
        ...(detail === undefined ? {} : { detail }),
        ...(fix === undefined ? {} : { fix }),
        data,
        cause,
      });
    },
  };
}

/** Of canonical JSON: whether some text in it may hide something. */
const MAY_HIDE = /[\x7f-\uffff]|\\(?:u00|[bfr])/;

/** A JSON value in which nothing is hidden, in keys neither; the same reference when nothing was. */
export function visibleJson(value: unknown): unknown {
  if (typeof value === "string") return visibleText(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map(visibleJson);
    return items.every((item, index) => Object.is(item, value[index])) ? value : items;
  }
  let changed = false;
  const entries = Object.entries(value).map(([key, member]): [string, unknown] => {
    const entry: [string, unknown] = [visibleText(key), visibleJson(member)];
    changed ||= entry[0] !== key || !Object.is(entry[1], member);
    return entry;
  });
  return changed ? Object.fromEntries(entries) : value;
}

/** Of a text that was cut: what it had, or what it would have had with all that was hidden in it made visible. */
function lengthOf(came: number, seen: string): number {
  return Math.max(came, Buffer.byteLength(seen));
}

/** The most whole characters of it that fit. */
function firstBytes(text: string, most: number): string {
  if (text.length * 3 <= most) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text;
  let end = most;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString();
}

function jsonOf(route: CallRoute, output: unknown): string {
  try {
    return canonicalJson(output);
  } catch {
    throw unreadableOutput(route);
  }
}
