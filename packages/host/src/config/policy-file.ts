import type { z } from "zod";
import { SallyportError } from "../kernel/index.ts";
import { policyShape, type PolicyDefaults, type PolicyFinding, type PolicyLayer, toLayer } from "../policy/index.ts";
import { configSchema } from "./schema.ts";
import { parseLined } from "./yaml-lines.ts";

/** A policy from a file: a whole config.yml, or only what stands below its `policy:`. */
export interface PolicyText {
  readonly layer: PolicyLayer;
  readonly defaults: PolicyDefaults;
  /** What makes the file unusable; then the layer is empty and nothing is allowed. */
  readonly errors: readonly PolicyFinding[];
}

const MOST_BYTES = 4 * 1024 * 1024;

/** Never throws for what is in the text: every error comes with its line. */
export function readPolicyText(text: string, name: string): PolicyText {
  if (Buffer.byteLength(text) > MOST_BYTES)
    return unusable([{ path: [], message: "it is over 4 MiB" }], name, () => undefined);
  const lined = parseLined(text);
  const [syntaxError] = lined.document.errors;
  if (syntaxError) {
    const line = syntaxError.linePos?.[0].line ?? 1;
    return unusable([{ path: [], message: syntaxError.message.split("\n")[0] ?? "syntax error" }], name, () => line);
  }
  let value: unknown;
  try {
    value = lined.document.toJS({ maxAliasCount: 0 }) ?? {};
  } catch (error) {
    return unusable(
      [{ path: [], message: error instanceof Error ? error.message : "it cannot be read" }],
      name,
      () => 1,
    );
  }
  const whole = typeof value === "object" && value !== null && Object.hasOwn(value, "policy");
  const prefix: readonly PropertyKey[] = whole ? ["policy"] : [];
  const read = whole
    ? configSchema.transform((config) => config.policy).safeParse(value)
    : policyShape.safeParse(value);
  if (!read.success) return unusable(read.error.issues, name, lined.lineOf);
  return { ...toLayer(read.data, name, (index) => lined.lineOf([...prefix, "rules", index])), errors: [] };
}

function unusable(
  issues: readonly Pick<z.core.$ZodIssue, "path" | "message">[],
  name: string,
  lineOf: (path: readonly PropertyKey[]) => number | undefined,
): PolicyText {
  return {
    layer: { name, rules: [] },
    defaults: {},
    errors: issues.map(({ path, message }) => ({
      severity: "error",
      rule: path.length === 0 ? name : `${name} ${path.map(String).join(".")}`,
      line: lineOf(path),
      problem: message,
    })),
  };
}

/** @throws {SallyportError} `config_invalid` with the first error and all of them in `data`. */
export function assertUsable({ errors }: PolicyText): void {
  const [first] = errors;
  if (first === undefined) return;
  const at = first.line === undefined ? "" : ` (line ${first.line})`;
  throw new SallyportError("config_invalid", `${first.rule}${at}: ${first.problem}.`, {
    detail: `${errors.length} problem(s).`,
    fix: "See all of them: sallyport policy check FILE",
    data: { problems: errors },
  });
}
