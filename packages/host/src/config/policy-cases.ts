import { z } from "zod";
import { EFFECTS, SallyportError } from "../kernel/index.ts";
import {
  compilePolicy,
  createFlowMemory,
  durationShape,
  momentShape,
  type Policy,
  policyShape,
  type PolicyDecision,
  type PolicyQuery,
  toLayer,
} from "../policy/index.ts";
import { assertUsable, readPolicyText } from "./policy-file.ts";
import { type LinedDocument, parseLined } from "./yaml-lines.ts";

const DECISIONS = ["allow", "require_approval", "deny"] as const;
const RISKS = ["low", "medium", "high", "critical"] as const;

const toolFacts = z.strictObject({
  plugin: z.string().min(1).max(100).optional(),
  effect: z.enum(EFFECTS).optional(),
  risk: z.enum(RISKS).optional(),
  permissions: z.array(z.string().min(1).max(500)).max(1000).optional(),
});

const caseShape = toolFacts.extend({
  name: z.string().min(1).max(200).optional(),
  tool: z.string().min(1).max(200),
  agent: z.string().min(1).max(100).default("local"),
  input: z.unknown().optional(),
  at: momentShape.optional(),
  after: z
    .array(
      z.strictObject({
        tool: z.string().min(1).max(200),
        effect: z.enum(EFFECTS).default("read"),
        origin: z.string().min(1).max(300).optional(),
        path: z.string().min(1).max(1000).optional(),
        ago: durationShape,
      }),
    )
    .max(100)
    .default([]),
  expect: z.union([
    z.enum(DECISIONS).transform((decision) => ({ decision, rule: undefined })),
    z.strictObject({ decision: z.enum(DECISIONS), rule: z.string().min(1).max(300).optional() }),
  ]),
});

const casesShape = z.strictObject({
  policy: z.union([z.string().min(1).max(1000), policyShape.unwrap()]).default("config.yml"),
  tools: z.record(z.string(), toolFacts).default({}),
  cases: z.array(caseShape).min(1).max(10_000),
});

export interface CaseResult {
  readonly name: string;
  readonly line: number | undefined;
  readonly ok: boolean;
  readonly expected: { readonly decision: string; readonly rule?: string | undefined };
  readonly got: PolicyDecision;
}

/**
 * Runs the cases of a file against the policy that it names or holds. Only the policy decides: what is installed here plays no part.
 * @param load the text of the file that `policy:` names, relative to the cases.
 * @throws {SallyportError} `config_invalid` with file and line when the cases or their policy cannot be read.
 */
export function runPolicyCases(
  text: string,
  name: string,
  now: number,
  load: (path: string) => string,
): readonly CaseResult[] {
  const lined = parseLined(text);
  const file = readCases(lined, name);
  const policy = policyOf(file.policy, name, load);
  return file.cases.map((one, index) => {
    const tool = { ...file.tools[one.tool], ...withoutAbsent(one) };
    const got = decide(policy, one, tool, now);
    const { decision, rule } = one.expect;
    const ok = got.decision === decision && (rule === undefined || got.rule === rule || got.rule.endsWith(` ${rule}`));
    return {
      name: one.name ?? `${one.tool} by ${one.agent}`,
      line: lined.lineOf(["cases", index]),
      ok,
      expected: { decision, ...(rule === undefined ? {} : { rule }) },
      got,
    };
  });
}

type Case = z.infer<typeof caseShape>;
type Facts = z.infer<typeof toolFacts>;

function readCases(lined: LinedDocument, name: string): z.infer<typeof casesShape> {
  const [syntaxError] = lined.document.errors;
  if (syntaxError)
    throw unreadable(name, syntaxError.linePos?.[0].line, syntaxError.message.split("\n")[0] ?? "syntax error");
  let value: unknown;
  try {
    value = lined.document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    throw unreadable(name, 1, error instanceof Error ? error.message : "it cannot be read");
  }
  const read = casesShape.safeParse(value);
  if (read.success) return read.data;
  const [first] = read.error.issues;
  const path = first?.path ?? [];
  throw unreadable(name, lined.lineOf(path), `${path.map(String).join(".")}: ${first?.message ?? "malformed"}`);
}

function unreadable(name: string, line: number | undefined, problem: string): SallyportError {
  return new SallyportError("config_invalid", `${name}${line === undefined ? "" : ` line ${line}`}: ${problem}.`, {
    fix: "See docs/policy.md for what a file of cases holds.",
    data: { file: name, line },
  });
}

function policyOf(policy: z.infer<typeof casesShape>["policy"], name: string, load: (path: string) => string): Policy {
  if (typeof policy !== "string") {
    const { layer, defaults } = toLayer(policy, name);
    return compilePolicy([layer], defaults);
  }
  const read = readPolicyText(load(policy), policy);
  assertUsable(read);
  return compilePolicy(read.layers, read.defaults);
}

function decide(policy: Policy, one: Case, facts: Facts, now: number): PolicyDecision {
  const at = one.at ?? now;
  const flow = createFlowMemory(-Infinity);
  for (const [index, { tool, effect, origin, path, ago }] of one.after.entries()) {
    const label = { agent: one.agent, plugin: pluginOf(tool), tool, effect, call: `after[${index}]`, time: at - ago };
    flow.note(label);
    if (origin !== undefined) flow.note({ ...label, target: { kind: "origin", text: origin } });
    if (path !== undefined) flow.note({ ...label, target: { kind: "path", text: path } });
  }
  const query: PolicyQuery = {
    agent: one.agent,
    tool: one.tool,
    plugin: facts.plugin ?? pluginOf(one.tool),
    effect: facts.effect ?? "destructive",
    risk: facts.risk ?? "critical",
    permissions: facts.permissions ?? [],
  };
  return policy.forTool(query).decide({ input: one.input ?? {}, time: { now: at, certain: true }, flow });
}

/** As tools are named; `publisher/id` cannot be told from it, so name it in `plugin`. */
function pluginOf(tool: string): string {
  const end = tool.indexOf("__");
  return (end === -1 ? tool : tool.slice(0, end)).replace("_", "/");
}

function withoutAbsent({ plugin, effect, risk, permissions }: Facts): Facts {
  return Object.fromEntries(
    Object.entries({ plugin, effect, risk, permissions }).filter(([, value]) => value !== undefined),
  );
}
