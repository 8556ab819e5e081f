import type { FlowFound, FlowLabel, FlowMemory } from "./flow.ts";

export interface FlowRecord extends FlowMemory {
  note(label: FlowLabel): void;
  /** Says that everything since a moment was noted; until then a question that reaches further back is unclear. */
  completeSince(time: number): void;
}

export interface FlowLimits {
  readonly agents: number;
  /** Different labels of one agent. */
  readonly labels: number;
}

const LIMITS: FlowLimits = { agents: 1000, labels: 4000 };
/** Calls that an answer names. */
const MOST_CALLS = 5;
const UNKNOWN: FlowFound = { met: "unclear", calls: [] };
const NOTHING: FlowFound = { met: "no", calls: [] };

interface Known {
  /** Oldest first; a label that comes again moves to the end. */
  readonly labels: Map<string, FlowLabel>;
  /** Something that this agent did until then is no longer known. */
  forgotten: number;
}

/** What agents' calls did, in memory: per agent each different label once, at its latest. @param since from when on everything will be noted. */
export function createFlowMemory(since: number, limits: FlowLimits = LIMITS): FlowRecord {
  const agents = new Map<string, Known>();
  let complete = since;
  let forgotten = -Infinity;

  function knownOf(agent: string): Known {
    const known = agents.get(agent) ?? { labels: new Map<string, FlowLabel>(), forgotten: -Infinity };
    agents.delete(agent);
    agents.set(agent, known);
    if (agents.size > limits.agents) forgetOldest();
    return known;
  }

  function forgetOldest(): void {
    const [oldest] = agents;
    if (!oldest) return;
    const [name, { labels, forgotten: before }] = oldest;
    for (const { time } of labels.values()) forgotten = Math.max(forgotten, time);
    forgotten = Math.max(forgotten, before);
    agents.delete(name);
  }

  return {
    note(label) {
      const known = knownOf(label.agent);
      const { labels } = known;
      const key = keyOf(label);
      const before = labels.get(key);
      if (before && before.time > label.time) return;
      labels.delete(key);
      labels.set(key, label);
      if (labels.size <= limits.labels) return;
      for (const [oldest, { time }] of labels) {
        known.forgotten = Math.max(known.forgotten, time);
        labels.delete(oldest);
        break;
      }
    },
    completeSince(time) {
      complete = Math.min(complete, time);
    },
    find(agent, from, accepts) {
      const known = agents.get(agent);
      const calls = known ? callsOf(known.labels, from, accepts) : [];
      if (calls.length > 0) return { met: "yes", calls };
      const gap = Math.max(forgotten, known?.forgotten ?? -Infinity);
      return from < complete || from <= gap ? UNKNOWN : NOTHING;
    },
  };
}

function callsOf(
  labels: ReadonlyMap<string, FlowLabel>,
  from: number,
  accepts: (label: FlowLabel) => boolean,
): string[] {
  const found = new Map<string, number>();
  for (const label of labels.values()) {
    if (label.time >= from && accepts(label)) found.set(label.call, Math.max(label.time, found.get(label.call) ?? 0));
  }
  const newest = [...found].toSorted(([, a], [, b]) => b - a);
  return newest.slice(0, MOST_CALLS).map(([call]) => call);
}

function keyOf({ plugin, tool, effect, target }: FlowLabel): string {
  return JSON.stringify([plugin, tool, effect, target?.kind, target?.text]);
}
