import type { z } from "zod";
import { SallyportError } from "../kernel/index.ts";
import { policyShape, type PolicyDefaults, type PolicyFinding, type PolicyLayer, toLayer } from "../policy/index.ts";
import { toAgentsConfig } from "./agents.ts";
import { configSchema } from "./schema.ts";
import { parseLined } from "./yaml-lines.ts";

/** A policy from a file: a whole config.yml, or only what stands below its `policy:`. */
export interface PolicyText {
  /** That of `policy:`, and of a whole config.yml those of the agents' profiles. */
  readonly layers: readonly PolicyLayer[];
  /** It is a whole config.yml. */
  readonly whole: boolean;
  readonly defaults: PolicyDefaults;
  /** What makes the file unusable; then there is no rule and nothing is allowed. */
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
  const read = whole ? configSchema.safeParse(value) : policyShape.safeParse(value);
  if (!read.success) return unusable(read.error.issues, name, lined.lineOf);
  const file = "policy" in read.data ? read.data.policy : read.data;
  const agents = "agents" in read.data ? toAgentsConfig(read.data.agents, lined.lineOf).layers : [];
  const { layer, defaults } = toLayer(file, name, (index) => lined.lineOf([...prefix, "rules", index]));
  return { layers: [layer, ...agents], whole, defaults, errors: [] };
}

function unusable(
  issues: readonly Pick<z.core.$ZodIssue, "path" | "message">[],
  name: string,
  lineOf: (path: readonly PropertyKey[]) => number | undefined,
): PolicyText {
  return {
    layers: [{ name, rules: [] }],
    whole: false,
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
