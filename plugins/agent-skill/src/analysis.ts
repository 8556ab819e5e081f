import { estimateComplexity } from "./complexity.ts";
import { type Kind, kindsOf } from "./kinds.ts";
import { sentencesOf, titleOf, wordsOf } from "./text.ts";

export interface Analysis {
  goal: string;
  kinds: Kind[];
  constraints: string[];
  names: string[];
  open_questions: string[];
  risks: string[];
  complexity: { score: number; level: string };
}

const CONSTRAINT =
  /\b(?:must|should|without|only|at most|at least|within|before|by|no more than|never|not|less than|under)\b/i;
const VAGUE = [
  "some",
  "several",
  "various",
  "etc",
  "things",
  "stuff",
  "better",
  "faster",
  "nice",
  "soon",
  "appropriate",
  "somehow",
  "good",
  "improve",
];
const RISKS: readonly (readonly [RegExp, string])[] = [
  [/\b(?:delet|drop|remov|overwrit|purg|wip)/i, "It destroys something: make a copy first, and try it on one item."],
  [
    /\b(?:production|live|customer|users?)\b/i,
    "It touches what people use: try it elsewhere first, and know the way back.",
  ],
  [
    /\b(?:passwords?|secrets?|tokens?|credentials?|api keys?|private keys?)\b/i,
    "It handles secrets: keep them out of code, logs and answers.",
  ],
  [
    /\b(?:personal|gdpr|medical|health|private data|pii)\b/i,
    "It handles personal data: take no more of it than the task needs.",
  ],
  [/\b(?:pay|payments?|invoices?|money|billing|prices?|bank)\b/i, "It is about money: have a person confirm amounts."],
  [
    /\b(?:scrap|crawl|third.party|external api|apis?)\b/i,
    "It depends on a service of others: expect limits, changes and failures.",
  ],
  [
    /\b(?:migrat|convert|upgrad|rewrit)/i,
    "It changes what exists: compare the result with the original before you switch.",
  ],
  [
    /\b(?:send|email|publish|post|tweet|notify)\b/i,
    "It reaches other people and cannot be called back: have the text read first.",
  ],
];
const QUESTIONS: Readonly<Record<Kind, string>> = {
  fix: "How can the failure be seen again, step by step?",
  migrate: "What must work the same afterwards, and how is that checked?",
  test: "Which failures matter most?",
  deploy: "How is a release taken back?",
  research: "Which decision does the answer serve?",
  data: "Where does the data come from, and how clean is it?",
  write: "Who reads it, and what do they do next?",
  design: "What is fixed, and what may be decided?",
  operate: "Who acts when it fails at night?",
  build: "Who uses it, and how do they tell that it works?",
};

export function analyzeTask(task: string): Analysis {
  const sentences = sentencesOf(task);
  const kinds = [...kindsOf(task)];
  const { score, level } = estimateComplexity(task);
  return {
    goal: titleOf(sentences[0] ?? task),
    kinds,
    constraints: sentences
      .filter((sentence) => CONSTRAINT.test(sentence))
      .slice(0, 10)
      .map(titleOf),
    names: namesOf(task),
    open_questions: questionsOf(task, kinds),
    risks: RISKS.filter(([sign]) => sign.test(task)).map(([, risk]) => risk),
    complexity: { score, level },
  };
}

/** What the task names: quoted texts, files, addresses, and words with capitals or digits inside a sentence. */
function namesOf(task: string): string[] {
  const quoted = [...task.matchAll(/["“`]([^"”`\n]{1,80})["”`]/g)].map((found) => found[1] ?? "");
  const places =
    task.match(/\bhttps?:\/\/[^\s"'<>]{1,200}|\b[\w-]{1,60}\.(?:csv|json|ya?ml|md|ts|js|py|sql|txt|xml|html|pdf)\b/g) ??
    [];
  const proper = [...task.matchAll(/(?<=[a-z,]\s)([A-Z][\w+#-]{1,40}(?:\s[A-Z][\w+#-]{1,40}){0,2})/g)].map(
    (found) => found[1] ?? "",
  );
  return [...new Set([...quoted, ...places, ...proper])].slice(0, 20);
}

function questionsOf(task: string, kinds: readonly Kind[]): string[] {
  const words = new Set(wordsOf(task));
  const vague = VAGUE.filter((word) => words.has(word)).map((word) => `What exactly does "${word}" mean here?`);
  const size = words.size < 8 ? ["What is given, and what should come out? The description is very short."] : [];
  const date = /\b(?:by|before|until|deadline|within)\b/i.test(task) ? [] : ["Until when is it needed?"];
  return [...size, ...vague, ...kinds.map((kind) => QUESTIONS[kind]), ...date].slice(0, 8);
}
