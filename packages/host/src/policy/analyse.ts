import { checkConditions } from "./conditions-check.ts";
import { exactNames, listOf, nameMatcher, namesWithin } from "./names.ts";
import { compileRule } from "./rule.ts";
import type { Names, PolicyLayer, PolicyQuery, PolicyRule } from "./types.ts";

/** A tool that is installed, as policy sees it; its agent is whoever calls. */
export interface KnownTool extends Omit<PolicyQuery, "agent"> {
  readonly inputSchema: unknown;
}

export interface PolicyFinding {
  /** An error is a rule that cannot be what was meant; a warning one that has no effect, or none now. */
  readonly severity: "error" | "warning";
  readonly rule: string;
  readonly line: number | undefined;
  readonly problem: string;
}

/**
 * What is wrong with rules that can be read: never matching, shadowed by a stricter one, over, or about arguments that the tool does not
 * have. @param known the installed tools; absent: nothing is said of names.
 */
export function analysePolicy(
  layers: readonly PolicyLayer[],
  now: number,
  known?: readonly KnownTool[],
): readonly PolicyFinding[] {
  const rules = layers.flatMap((layer) => layer.rules.map((rule) => ({ rule, layer })));
  const covering = createCovering(rules);
  const index = known && indexOf(known);
  return rules.flatMap((one) => {
    const { id, line } = one.rule;
    const say = (severity: PolicyFinding["severity"], problem: string) => ({ severity, rule: id, line, problem });
    const covered = covering(one);
    return [
      ...(covered === undefined ? [] : [say("warning", covered)]),
      ...timeProblems(one.rule, now).map((problem) => say("warning", problem)),
      ...contradictions(one.rule).map((problem) => say("warning", problem)),
      ...(index === undefined
        ? []
        : [...againstTools(one, index)].map(([severity, problem]) => say(severity, problem))),
    ];
  });
}

interface Placed {
  readonly rule: PolicyRule;
  readonly layer: PolicyLayer;
}

const STRENGTH = { allow: 0, require_approval: 1, deny: 2 } as const;

/** Finds, for a rule, another one without conditions that is as strict and reaches as far. Rules about one tool are looked up. */
function createCovering(rules: readonly Placed[]): (one: Placed) => string | undefined {
  const general: Placed[] = [];
  const byTool = new Map<string, Placed[]>();
  const order = new Map(rules.map((one, index) => [one.rule, index]));
  for (const one of rules) {
    const { when, after, time, tool } = one.rule;
    if (when || after || time) continue;
    const exact = exactNames(tool);
    if (exact === undefined) general.push(one);
    else for (const name of new Set(exact)) byTool.set(name, [...(byTool.get(name) ?? []), one]);
  }
  return (one) => {
    const [tool] = exactNames(one.rule.tool) ?? [];
    const candidates = [...general, ...((tool === undefined ? undefined : byTool.get(tool)) ?? [])];
    const found = candidates.find((wide) => covers(wide, one, order));
    if (found === undefined) return undefined;
    return found.rule.decision === one.rule.decision
      ? `it adds nothing: ${found.rule.id} decides the same, and of more`
      : `it never decides: ${found.rule.id} ${found.rule.decision === "deny" ? "denies" : "asks"} all that it is about`;
  };
}

function covers(wide: Placed, one: Placed, order: ReadonlyMap<PolicyRule, number>): boolean {
  const [a, b] = [wide.rule, one.rule];
  if (a === b || STRENGTH[a.decision] < STRENGTH[b.decision]) return false;
  // Of two that are alike, the first one counts.
  const alike = a.decision === b.decision && reaches(one, wide) && unconditional(b);
  if (alike && (order.get(a) ?? 0) > (order.get(b) ?? 0)) return false;
  // A temporary rule gives way to no other's, and lifts nothing.
  if (wide.layer.temporary === true) return false;
  return reaches(wide, one);
}

function unconditional({ when, after, time }: PolicyRule): boolean {
  return when === undefined && after === undefined && time === undefined;
}

function reaches(wide: Placed, one: Placed): boolean {
  const [a, b] = [wide.rule, one.rule];
  return (
    namesWithin(agentOf(one), agentOf(wide)) &&
    namesWithin(b.tool, a.tool) &&
    (namesWithin(b.plugin, a.plugin) || toolsOfPlugins(b.tool, a.plugin)) &&
    namesWithin(b.permission, a.permission) &&
    setWithin(b.effect, a.effect) &&
    setWithin(b.risk, a.risk)
  );
}

function agentOf({ rule, layer }: Placed): Names | undefined {
  return layer.agent ?? rule.agent;
}

/** Whether tools that are named belong to the plugins that are named. */
function toolsOfPlugins(tools: Names | undefined, plugins: Names | undefined): boolean {
  const named = plugins === undefined ? undefined : exactNames(plugins);
  return (
    tools !== undefined && named !== undefined && listOf(tools).every((tool) => named.some((id) => isToolOf(tool, id)))
  );
}

function isToolOf(tool: string, plugin: string): boolean {
  return tool.startsWith(`${plugin.replace("/", "_")}__`);
}

function setWithin<T>(inner: readonly T[] | undefined, outer: readonly T[] | undefined): boolean {
  return outer === undefined || (inner !== undefined && inner.every((item) => outer.includes(item)));
}

function timeProblems({ time }: PolicyRule, now: number): readonly string[] {
  return time?.until !== undefined && time.until <= now
    ? [`it is over since ${new Date(time.until).toISOString()}`]
    : [];
}

function contradictions({ tool, plugin }: PolicyRule): readonly string[] {
  const [tools, plugins] = [exactNames(tool), exactNames(plugin)];
  if (tools === undefined || plugins === undefined) return [];
  return tools.some((name) => plugins.some((id) => isToolOf(name, id)))
    ? []
    : ["it never matches: the tool is not one of the plugin's"];
}

/** Installed tools by name; rules that name one of thousands look it up. */
interface Known {
  readonly all: readonly KnownTool[];
  readonly tools: ReadonlyMap<string, KnownTool>;
  readonly plugins: ReadonlySet<string>;
}

function indexOf(all: readonly KnownTool[]): Known {
  return { all, tools: new Map(all.map((one) => [one.tool, one])), plugins: new Set(all.map(({ plugin }) => plugin)) };
}

function* againstTools({ rule, layer }: Placed, known: Known): Generator<["error" | "warning", string]> {
  yield* unknownNames(rule, known);
  const named = rule.tool === undefined ? [] : namedTools(rule.tool, known);
  if (named.length === 0) return;
  const compiled = compileRule(rule, layer);
  // Agents are whoever comes: the rule's own if it names some.
  const [agent = layer.agent ?? ""] = exactNames(agentOf({ rule, layer })) ?? [];
  const byPattern = rule.agent !== undefined && exactNames(rule.agent) === undefined;
  if (!byPattern && !named.some((tool) => compiled.appliesTo({ ...tool, agent }))) {
    yield ["warning", "it matches no installed tool: what else it asks for is not so"];
  }
  if (rule.when === undefined || exactNames(rule.tool) === undefined) return;
  for (const tool of named) {
    for (const { argument, problem } of checkConditions(rule.when, tool.inputSchema)) {
      yield ["error", `when.${argument}, for ${tool.tool}: ${problem}`];
    }
  }
}

function namedTools(names: Names, { all, tools }: Known): readonly KnownTool[] {
  const exact = exactNames(names);
  if (exact === undefined) return filterBy(all, nameMatcher(names));
  return exact.flatMap((name) => tools.get(name) ?? []);
}

function filterBy(all: readonly KnownTool[], matches: (name: string) => boolean): readonly KnownTool[] {
  return all.filter(({ tool }) => matches(tool));
}

function* unknownNames(rule: PolicyRule, { all, tools, plugins }: Known): Generator<["warning", string]> {
  for (const [where, { tool, plugin }] of [
    ["", rule],
    ["after.", rule.after ?? {}],
  ] as const) {
    for (const name of tool === undefined ? [] : listOf(tool)) {
      if (
        !tools.has(name) &&
        !isPrefixOf(
          name,
          all.map((one) => one.tool),
        )
      )
        yield ["warning", `${where}tool: no installed tool is ${name}`];
    }
    for (const id of plugin === undefined ? [] : listOf(plugin)) {
      if (!plugins.has(id) && !isPrefixOf(id, [...plugins]))
        yield ["warning", `${where}plugin: no installed plugin with tools is ${id}`];
    }
  }
}

function isPrefixOf(pattern: string, names: readonly string[]): boolean {
  return pattern.endsWith("*") && names.some((name) => name.startsWith(pattern.slice(0, -1)));
}
