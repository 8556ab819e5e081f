import { z } from "zod";
import { EFFECTS, SallyportError } from "../kernel/index.ts";
import { conditionsSchema } from "./conditions-shape.ts";
import { compileFlow } from "./flow.ts";
import { compileTime, WEEKDAYS } from "./time.ts";
import type { PolicyDefaults, PolicyLayer, PolicyRule } from "./types.ts";

const DECISIONS = ["allow", "require_approval", "deny"] as const;
const RISKS = ["low", "medium", "high", "critical"] as const;
const MOST_RULES = 10_000;

function oneOrMore<T extends z.ZodType>(item: T) {
  return z.union([item.transform((one): readonly z.infer<T>[] => [one]), z.array(item).min(1).max(1000)]);
}

/** Names, each with at most one `*` and only at its end. */
function names(most: number, what: string) {
  const name = z
    .string()
    .min(1)
    .max(most)
    .refine((text) => !text.slice(0, -1).includes("*"), { message: `${what} may hold one * and only at its end` });
  return z.union([name, z.array(name).min(1).max(1000)]);
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `30m`, in milliseconds. */
export const durationShape = z
  .string()
  .regex(/^[1-9][0-9]{0,5}[smhd]$/, "is no duration such as 30m, 2h or 7d")
  .transform((text) => Number(text.slice(0, -1)) * (UNITS[text.slice(-1)] ?? NaN));

/** An ISO moment with its offset, in milliseconds since the epoch. */
export const momentShape = z.iso
  .datetime({ offset: true, message: "is no moment with its offset, such as 2030-01-31T18:00:00Z" })
  .transform((text) => Date.parse(text));

const timeShape = z.strictObject({
  hours: oneOrMore(z.string().max(30)).optional(),
  weekdays: oneOrMore(z.enum(WEEKDAYS)).optional(),
  timezone: z.string().min(1).max(50).optional(),
});

const effects = oneOrMore(z.enum(EFFECTS));

const flowShape = z
  .strictObject({
    tool: names(200, "a tool").optional(),
    plugin: names(100, "a plugin").optional(),
    effect: effects.optional(),
    origin: z.string().min(1).max(300).optional(),
    path: z.string().min(1).max(1000).optional(),
    within: durationShape,
  })
  .transform(({ within, ...rest }) => ({ ...rest, withinMs: within }))
  .superRefine((flow, context) => compiles(() => compileFlow(flow), context));

export const ruleShape = z
  .strictObject({
    id: z
      .string()
      .regex(/^[a-z0-9][a-z0-9_.-]{0,63}$/, "is no name such as no-mail-at-night")
      .optional(),
    tool: names(200, "a tool pattern").optional(),
    plugin: names(100, "a plugin pattern").optional(),
    agent: names(100, "an agent pattern").optional(),
    effect: effects.optional(),
    risk: oneOrMore(z.enum(RISKS)).optional(),
    permission: names(500, "a permission pattern").optional(),
    time: timeShape.optional(),
    from: momentShape.optional(),
    until: momentShape.optional(),
    when: conditionsSchema.optional(),
    after: flowShape.optional(),
    decision: z.enum(DECISIONS),
    reason: z.string().max(500).optional(),
  })
  .transform(({ time, from, until, ...rest }) => {
    const timed = time !== undefined || from !== undefined || until !== undefined;
    return timed ? { ...rest, time: { ...time, from, until } } : rest;
  })
  .superRefine((rule, context) => {
    if ("time" in rule && rule.time !== undefined) compiles(() => compileTime(rule.time), context, ["time"]);
  });

export type RuleFile = z.infer<typeof ruleShape>;

function compiles(compile: () => unknown, context: z.RefinementCtx, path: string[] = []): void {
  try {
    compile();
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    const message = [error.message, error.detail, error.fix].filter(Boolean).join(" ");
    context.addIssue({ code: "custom", message, path });
  }
}

/** `policy:` of config.yml: defaults by effect, and rules whose order means nothing. */
export const policyShape = z
  .strictObject({
    defaults: z.partialRecord(z.enum(EFFECTS), z.enum(DECISIONS)).default({}),
    /** Of every `time` that names none of its own. */
    timezone: z.string().min(1).max(50).optional(),
    rules: z.array(ruleShape).max(MOST_RULES).default([]),
  })
  .superRefine(({ rules, timezone }, context) => {
    if (timezone !== undefined) compiles(() => compileTime({ weekdays: ["mon"], timezone }), context, ["timezone"]);
    const seen = new Set<string>();
    for (const [index, { id }] of rules.entries()) {
      if (id !== undefined && seen.has(id)) {
        context.addIssue({ code: "custom", message: `two rules have the id ${id}`, path: ["rules", index, "id"] });
      }
      if (id !== undefined) seen.add(id);
    }
  })
  .prefault({});

export type PolicyFile = z.infer<typeof policyShape>;

/** The rules of a file as a layer. @param lineOf the line on which the rule of an index begins. */
export function toLayer(
  file: PolicyFile,
  name: string,
  lineOf: (index: number) => number | undefined = () => undefined,
): { readonly layer: PolicyLayer; readonly defaults: PolicyDefaults } {
  const rules = file.rules.map((rule, index) => {
    const id = rule.id === undefined ? `${name} policy.rules[${index}]` : `${name} ${rule.id}`;
    return toRule(rule, id, { timezone: file.timezone, line: lineOf(index) });
  });
  return { layer: { name, rules }, defaults: file.defaults };
}

/** A rule of a file under the id that people know it by. */
export function toRule(
  rule: RuleFile,
  id: string,
  { timezone, line }: { readonly timezone?: string | undefined; readonly line?: number | undefined } = {},
): PolicyRule {
  const time = "time" in rule ? rule.time : undefined;
  return {
    ...rule,
    id,
    ...(time === undefined ? {} : { time: { ...time, timezone: time.timezone ?? timezone } }),
    ...(line === undefined ? {} : { line }),
  };
}
