import { kindsOf } from "./kinds.ts";
import { partsOf } from "./parts.ts";
import { wordsOf } from "./text.ts";

export interface Complexity {
  /** 1 to 10. */
  score: number;
  level: "low" | "medium" | "high";
  /** Rough hours of one experienced person: least and most. */
  hours: { least: number; most: number };
  factors: { factor: string; points: number }[];
}

interface Factor {
  readonly factor: string;
  readonly sign: RegExp;
  readonly points: number;
}

const FACTORS: readonly Factor[] = [
  {
    factor: "several systems work together",
    sign: /\b(?:integrat|sync|between|connect|api|microservice|webhook)/i,
    points: 1,
  },
  {
    factor: "it runs at the same time in many places",
    sign: /\b(?:distributed|concurren|parallel|real.?time|cluster|stream)/i,
    points: 2,
  },
  { factor: "it must be secure", sign: /\b(?:secur|auth|encrypt|permission|sandbox|login|oauth)/i, points: 1 },
  {
    factor: "it must be fast or large",
    sign: /\b(?:scal|performan|latency|million|thousand|optimi[sz]|fast)/i,
    points: 1,
  },
  {
    factor: "what exists must keep working",
    sign: /\b(?:migrat|legacy|backward|compatib|refactor|upgrad|rewrit)/i,
    points: 2,
  },
  {
    factor: "it is new ground",
    sign: /\b(?:research|novel|algorithm|machine learning|train|experiment|unknown|prove)/i,
    points: 2,
  },
  { factor: "people see it", sign: /\b(?:ui|interface|frontend|dashboard|website|app|mobile)\b/i, points: 1 },
  { factor: "it is in production", sign: /\b(?:production|live|zero.downtime|24\/7|failover|backup)\b/i, points: 1 },
];

/** Points for what the words say, for how many things are to be done, and for how long the description is. */
export function estimateComplexity(task: string): Complexity {
  const named = FACTORS.filter(({ sign }) => sign.test(task)).map(({ factor, points }) => ({ factor, points }));
  const parts = partsOf(task).length;
  const extent = Math.min(3, Math.floor(parts / 3));
  const length = wordsOf(task).length > 120 ? 1 : 0;
  const kinds = kindsOf(task).length > 2 ? 1 : 0;
  const factors = [
    ...named,
    ...(extent > 0 ? [{ factor: `${parts} things are to be done`, points: extent }] : []),
    ...(length > 0 ? [{ factor: "the description is long", points: length }] : []),
    ...(kinds > 0 ? [{ factor: "it mixes different kinds of work", points: kinds }] : []),
  ];
  const score = Math.min(10, 1 + factors.reduce((total, { points }) => total + points, 0));
  return {
    score,
    level: score <= 3 ? "low" : score <= 6 ? "medium" : "high",
    hours: { least: 2 ** (score - 1) / 2, most: 2 ** (score - 1) * 2 },
    factors,
  };
}
