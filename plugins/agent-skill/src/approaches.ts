import { estimateComplexity } from "./complexity.ts";
import { type Kind, kindsOf } from "./kinds.ts";

export interface Approach {
  name: string;
  how: string;
  advantages: string[];
  disadvantages: string[];
}

const approach = (name: string, how: string, advantages: string[], disadvantages: string[]): Approach => ({
  name,
  how,
  advantages,
  disadvantages,
});

const BY_KIND: Readonly<Record<Kind, Approach>> = {
  fix: approach(
    "Reproduce first",
    "Write the smallest case that fails, find the change that made it fail, mend the cause, keep the case as a test.",
    ["the failure cannot come back unseen"],
    ["slow when the failure is rare"],
  ),
  migrate: approach(
    "Side by side",
    "Build the new beside the old, feed both, compare, move over piece by piece, then take the old away.",
    ["a way back at each step"],
    ["both must be kept for a while"],
  ),
  test: approach(
    "Risk first",
    "List what could fail by harm and likelihood, and test from the top of the list.",
    ["the worst is covered first"],
    ["rare paths come late"],
  ),
  deploy: approach(
    "A few first",
    "Release to a small part, watch, widen, with one command to take it back.",
    ["little harm from a bad release"],
    ["two versions run at once"],
  ),
  research: approach(
    "Question first",
    "Write down the decision and what would settle it, gather sources for and against, compare in one table, recommend.",
    ["ends with a decision"],
    ["misses what nobody asked"],
  ),
  data: approach(
    "Look, then compute",
    "Look at a sample, check types, gaps and outliers, compute on the sample, then on everything, and check the totals.",
    ["wrong data is seen early"],
    ["an extra pass"],
  ),
  write: approach(
    "Reader first",
    "Write one sentence on what the reader does next, then an outline, a draft, and cut a third.",
    ["short and to the point"],
    ["needs to know the reader"],
  ),
  design: approach(
    "Two drafts",
    "Sketch two designs that differ in the riskiest decision, try each on the hardest case, choose, write down why.",
    ["the choice has reasons"],
    ["costs a second draft"],
  ),
  operate: approach(
    "By hand, then by machine",
    "Do it by hand from a written list, then automate the list, then watch that it ran.",
    ["the machine does what was understood"],
    ["slow at first"],
  ),
  build: approach(
    "Thin slice",
    "Build the narrowest path from input to output first, use it, then widen it.",
    ["works from the first day"],
    ["parts are rebuilt as they widen"],
  ),
};

const SMALL = approach(
  "Straight through",
  "Do it in one go, and check the result against the description.",
  ["quick"],
  ["no way back in the middle"],
);
const SPIKE = approach(
  "Try the riskiest part",
  "Take the part that is least known, give it a fixed time, and plan the rest by what was learned.",
  ["the big surprise comes early"],
  ["what was tried is thrown away"],
);
const SPLIT = approach(
  "Split and hand out",
  "Cut it where parts need little of each other, agree on what passes between them, and work on them at the same time.",
  ["sooner done"],
  ["the seams must be tested"],
);

/** The way of each kind of work in the task, and what its size asks for. */
export function suggestApproaches(task: string): { approaches: Approach[]; recommended: string } {
  const { level } = estimateComplexity(task);
  const own = kindsOf(task).map((kind) => BY_KIND[kind]);
  const bySize = { low: [SMALL], medium: [SPIKE], high: [SPIKE, SPLIT] }[level];
  const approaches = level === "low" ? [...bySize, ...own] : [...own, ...bySize];
  return { approaches, recommended: approaches[0]?.name ?? SMALL.name };
}
