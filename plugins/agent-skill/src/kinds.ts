import { sentencesOf, wordsOf } from "./text.ts";

export const KINDS = [
  "fix",
  "migrate",
  "test",
  "deploy",
  "research",
  "data",
  "write",
  "design",
  "operate",
  "build",
] as const;
export type Kind = (typeof KINDS)[number];

/** Beginnings of words that speak for a kind. */
const SIGNS: Readonly<Record<Kind, readonly string[]>> = {
  fix: ["fix", "bug", "error", "crash", "broken", "debug", "repair", "fail", "regression", "incorrect", "leak"],
  migrate: ["migrat", "port", "upgrad", "convert", "replac", "rewrit", "refactor", "move", "moderni"],
  test: ["test", "verif", "validat", "coverage", "benchmark", "qa"],
  deploy: ["deploy", "releas", "rollout", "launch", "publish", "ship", "provision", "install"],
  research: ["research", "compar", "investigat", "evaluat", "find", "explor", "survey", "study", "learn", "review"],
  data: [
    "data",
    "csv",
    "dataset",
    "aggregat",
    "statistic",
    "analy",
    "report",
    "dashboard",
    "metric",
    "import",
    "export",
    "clean",
  ],
  write: [
    "write",
    "document",
    "draft",
    "blog",
    "article",
    "email",
    "readme",
    "translat",
    "summari",
    "explain",
    "present",
  ],
  design: ["design", "architect", "plan", "prototype", "mockup", "sketch", "layout", "model"],
  operate: ["monitor", "backup", "schedul", "automat", "alert", "maintain", "rotat", "clean"],
  build: [
    "build",
    "creat",
    "implement",
    "add",
    "develop",
    "integrat",
    "make",
    "support",
    "extend",
    "generat",
    "scrap",
    "set",
  ],
};

/** Whether a word can say what is to be done. */
export function isDoing(word: string): boolean {
  return KINDS.some((kind) => SIGNS[kind].some((sign) => word.startsWith(sign)));
}

/* What the first sentence opens with is the task; what other sentences open with is part of it; other words are hints. */
const FIRST_OPENING = 6;
const OPENING = 2;

/** Kinds of work in a task, the strongest first; a task that says nothing is something to build. */
export function kindsOf(task: string): readonly Kind[] {
  const openings = sentencesOf(task).map((sentence) => wordsOf(sentence)[0] ?? "");
  const words = wordsOf(task);
  const score = (kind: Kind): number => {
    const says = (word: string): boolean => SIGNS[kind].some((sign) => word.startsWith(sign));
    const opens = openings.reduce(
      (total, word, index) => total + (says(word) ? (index === 0 ? FIRST_OPENING : OPENING) : 0),
      0,
    );
    return opens + words.filter(says).length;
  };
  const scored = KINDS.map((kind) => ({ kind, score: score(kind) })).filter((one) => one.score > 0);
  const sorted = scored.toSorted((a, b) => b.score - a.score || KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
  return sorted.length === 0 ? ["build"] : sorted.slice(0, 3).map(({ kind }) => kind);
}
