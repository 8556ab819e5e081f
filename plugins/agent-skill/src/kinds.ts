import { sentencesOf, wordsOf } from "./text.ts";

export const KINDS = ["fix", "migrate", "test", "deploy", "research", "data", "write", "design", "operate", "build"] as const;
export type Kind = (typeof KINDS)[number];

/** Beginnings of words that speak for a kind. The verb that opens a sentence counts more: it is what is to be done. */
const SIGNS: Readonly<Record<Kind, readonly string[]>> = {
  fix: ["fix", "bug", "error", "crash", "broken", "debug", "repair", "fail", "regression", "incorrect", "leak"],
  migrate: ["migrat", "port", "upgrad", "convert", "replac", "rewrit", "refactor", "move", "moderni"],
  test: ["test", "verif", "validat", "coverage", "benchmark", "qa"],
  deploy: ["deploy", "releas", "rollout", "launch", "publish", "ship", "provision", "install"],
  research: ["research", "compar", "investigat", "evaluat", "find", "explor", "survey", "study", "learn", "review"],
  data: ["data", "csv", "dataset", "aggregat", "statistic", "analy", "report", "dashboard", "metric", "import", "export", "clean"],
  write: ["write", "document", "draft", "blog", "article", "email", "readme", "translat", "summari", "explain", "present"],
  design: ["design", "architect", "plan", "prototype", "mockup", "sketch", "layout", "model"],
  operate: ["monitor", "backup", "schedul", "automat", "alert", "maintain", "rotat", "clean"],
  build: ["build", "creat", "implement", "add", "develop", "integrat", "make", "support", "extend", "generat", "scrap", "set"],
};

/** Kinds of work in a task, the strongest first; a task that says nothing is something to build. */
export function kindsOf(task: string): readonly Kind[] {
  const openings = new Set(sentencesOf(task).map((sentence) => wordsOf(sentence)[0] ?? ""));
  const words = wordsOf(task);
  const score = (kind: Kind): number =>
    SIGNS[kind].reduce((total, sign) => {
      const found = words.filter((word) => word.startsWith(sign)).length;
      const opens = [...openings].some((word) => word.startsWith(sign));
      return total + found + (opens ? 3 : 0);
    }, 0);
  const scored = KINDS.map((kind) => ({ kind, score: score(kind) })).filter((one) => one.score > 0);
  const sorted = scored.toSorted((a, b) => b.score - a.score || KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
  return sorted.length === 0 ? ["build"] : sorted.slice(0, 3).map(({ kind }) => kind);
}
