import { sentenceOf, type Scope } from "../capability/index.ts";
import { canonicalJson, displayLine } from "../kernel/index.ts";
import type { StoredApproval } from "../store/index.ts";
import type { CallBinding } from "./binding.ts";
import type { Changes } from "./changes.ts";

const INPUT_CHARS = 400;
const MOST_REACH = 50;
const REACH_CHARS = 300;
const DIGEST_CHARS = 23;

const EFFECT_WORDS: Readonly<Record<string, string>> = {
  read: "which only reads",
  write: "which changes data on this machine",
  external: "which may send data elsewhere",
  destructive: "which may destroy data or run programs",
};

/** What the plugin may do at most, in the host's words. */
export function reachOf(scopes: readonly Scope[]): readonly string[] {
  const all = scopes.filter(({ capability }) => capability !== "tools").map((scope) => sentenceOf(scope));
  return all.length > MOST_REACH ? [...all.slice(0, MOST_REACH), `and ${all.length - MOST_REACH} more`] : all;
}

/**
 * What an operator is asked, from what the host knows and nothing that a plugin says of itself: who, through whom, which tool
 * with which effect and input, how far it reaches, and what is new since the last yes.
 */
export function sentenceFor(binding: CallBinding, reach: readonly string[], changes: Changes | undefined): string {
  const { caller, tool, plugin, effect } = binding;
  const operator = caller.operator === undefined ? "" : ` (operator ${displayLine(caller.operator, 100)})`;
  const through = caller.via === undefined ? "" : ` through ${displayLine(caller.via.chain.join(" → "), 300)}`;
  const who = `Agent "${displayLine(caller.agent, 100)}"${operator}${through}`;
  const what = `${tool} (${plugin.id} ${displayLine(plugin.version, 60)})`;
  return [
    `${who} wants to call ${what}, ${EFFECT_WORDS[effect] ?? "whose effect is unknown"}, with ${inputWords(binding)}.`,
    reach.length === 0
      ? "The plugin reaches nothing outside itself."
      : `The plugin ${displayLine(reach.join("; "), REACH_CHARS)}.`,
    ...changeWords(changes),
  ].join(" ");
}

function inputWords({ input, inputDigest }: CallBinding): string {
  const text = canonicalJson(input ?? null);
  const shown = displayLine(text, INPUT_CHARS);
  if (text.length <= INPUT_CHARS && !shown.endsWith("…")) return shown;
  return `${shown} (${text.length} characters, ${inputDigest.slice(0, DIGEST_CHARS)}…)`;
}

function changeWords(changes: Changes | undefined): readonly string[] {
  if (changes === undefined) return ["No such call of this agent was approved before."];
  const when = `on ${new Date(changes.since).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return changes.lines.length === 0
    ? [`Exactly as approved ${when}.`]
    : [`As approved ${when}, but ${displayLine(changes.lines.join("; "), INPUT_CHARS)}.`];
}

/** What a yes covers, in words; empty for a yes to exactly the call that was asked about, once. */
export function scopeWords({ scope, usesLeft }: Pick<StoredApproval, "scope" | "usesLeft">): readonly string[] {
  const match = Object.entries(scope?.match ?? {}).map(
    ([argument, condition]) => `${displayLine(argument, 100)} ${displayLine(canonicalJson(condition), 200)}`,
  );
  return [
    ...(match.length === 0 ? [] : [`where ${match.join(", ")}, everything else as asked`]),
    ...(scope?.within ?? []).map((scoped) => `only: ${sentenceOf(scoped)}`),
    ...(usesLeft === null ? ["any number of calls"] : usesLeft > 1 ? [`${usesLeft} more calls`] : []),
  ];
}
