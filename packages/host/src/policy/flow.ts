import type { Effect } from "../kernel/index.ts";
import { SallyportError } from "../kernel/index.ts";
import { nameMatcher } from "./names.ts";
import type { Met } from "./time.ts";
import { compileFilePath, compileHost, compileUrl } from "./text-patterns.ts";
import type { Names } from "./types.ts";

/** What an earlier call of the same agent did, within a time before this call. All that is present must match one call. */
export interface FlowCondition {
  readonly tool?: Names | undefined;
  readonly plugin?: Names | undefined;
  readonly effect?: readonly Effect[] | undefined;
  /** Where its plugin really sent a request: `https://crm.example.com`, `crm.example.com` or `*.example.com`. */
  readonly origin?: string | undefined;
  /** A file that its plugin really opened: `/srv/customers/**`. */
  readonly path?: string | undefined;
  /** Milliseconds. */
  readonly withinMs: number;
}

/** One thing that a call did: it began, or its plugin reached a target through the broker. */
export interface FlowLabel {
  readonly agent: string;
  readonly plugin: string;
  readonly tool: string;
  readonly effect: Effect;
  readonly call: string;
  readonly time: number;
  /** An origin or a path, as the broker audits it. */
  readonly target?: { readonly kind: "origin" | "path"; readonly text: string } | undefined;
}

export interface FlowFound {
  readonly met: Met;
  /** Newest first, at most `MOST_CALLS`. */
  readonly calls: readonly string[];
}

export interface FlowMemory {
  /** Labels of an agent since a moment that a test accepts. `unclear` when none is known and some may have been forgotten. */
  find(agent: string, since: number, accepts: (label: FlowLabel) => boolean): FlowFound;
}

export type FlowTest = (agent: string, now: number, memory: FlowMemory) => FlowFound;

const MOST_WITHIN_MS = 7 * 24 * 3_600_000;

/** @throws {SallyportError} `usage` for a condition that names nothing, or looks back further than seven days. */
export function compileFlow(condition: FlowCondition): FlowTest {
  const { tool, plugin, effect, origin, path, withinMs } = condition;
  const named = [tool, plugin, effect, origin, path].some((part) => part !== undefined);
  if (!named || !(withinMs > 0 && withinMs <= MOST_WITHIN_MS)) {
    throw new SallyportError("usage", "This is no condition on earlier calls.", {
      detail: named ? "It looks back for no time, or for more than seven days." : "It names nothing that they did.",
      fix: "Write after: { plugin: crm, within: 30m }, or name a tool, an effect, an origin or a path.",
    });
  }
  const tests: ((label: FlowLabel) => boolean)[] = [];
  if (tool !== undefined) tests.push(on(nameMatcher(tool), (label) => label.tool));
  if (plugin !== undefined) tests.push(on(nameMatcher(plugin), (label) => label.plugin));
  if (effect !== undefined) tests.push((label) => effect.includes(label.effect));
  if (origin !== undefined)
    tests.push(onTarget("origin", origin.includes("://") ? compileUrl(origin) : compileHost(origin)));
  if (path !== undefined) tests.push(onTarget("path", compileFilePath(path)));
  const accepts = (label: FlowLabel): boolean => tests.every((test) => test(label));
  return (agent, now, memory) => memory.find(agent, now - withinMs, accepts);
}

function on(matches: (name: string) => boolean, part: (label: FlowLabel) => string): (label: FlowLabel) => boolean {
  return (label) => matches(part(label));
}

/** What cannot be compared counts as reached: better asked once too often. */
function onTarget(
  kind: "origin" | "path",
  matches: (text: string) => boolean | "unclear",
): (label: FlowLabel) => boolean {
  return ({ target }) => target?.kind === kind && matches(target.text) !== false;
}
