import { type Kind, kindsOf } from "./kinds.ts";
import { partsOf } from "./parts.ts";
import { titleOf } from "./text.ts";

export interface Step {
  id: number;
  title: string;
  /** Ids of the steps that must be done before. */
  needs: number[];
  done_when: string;
}

type Draft = Omit<Step, "id" | "needs">;

const draft = (title: string, done_when: string): Draft => ({ title, done_when });
const MAX_STEPS = 40;

/** What this kind of work always has, around what the task itself says. */
const BEFORE: Readonly<Record<Kind, Draft>> = {
  fix: draft("Make the failure happen again", "a case fails for the reason described"),
  migrate: draft("List what must work the same afterwards", "each item on the list can be checked"),
  test: draft("List what could fail", "the list is in order of harm"),
  deploy: draft("Write down how to take it back", "taking it back was tried once"),
  research: draft("Write down the question and what would settle it", "two people read it the same way"),
  data: draft("Look at a sample of the data", "types, gaps and outliers are known"),
  write: draft("Say who reads it and what for", "it fits in one sentence"),
  design: draft("Gather what is fixed and what is open", "each open point has somebody who decides"),
  operate: draft("Do it once by hand and note each step", "the notes are enough for somebody else"),
  build: draft("Say how to tell that it works", "there is one example of input and output"),
};
const AFTER: Readonly<Record<Kind, Draft>> = {
  fix: draft("Keep the case as a test", "it fails without the change and passes with it"),
  migrate: draft("Compare old and new", "no difference is unexplained"),
  test: draft("Break what is tested on purpose", "the tests notice"),
  deploy: draft("Watch the first hours", "errors and times are as before"),
  research: draft("Recommend, with what speaks against it", "the question can be decided"),
  data: draft("Check totals against another source", "they agree, or the difference is known"),
  write: draft("Let somebody read it", "they can say what to do next"),
  design: draft("Try the design on the hardest case", "it holds, or was changed"),
  operate: draft("Let it fail on purpose", "somebody is told"),
  build: draft("Check it against the example and its edges", "empty, large and wrong input are handled"),
};

/** What the task says to do, in its order, between what its kind of work starts and ends with. */
export function decomposeTask(task: string): { steps: Step[] } {
  const kind = kindsOf(task)[0] ?? "build";
  const own = partsOf(task)
    .slice(0, MAX_STEPS)
    .map((part) => draft(titleOf(part), "its result can be shown"));
  const steps = [BEFORE[kind], ...own, AFTER[kind]];
  return {
    steps: steps.map((step, index) => ({
      id: index + 1,
      title: step.title,
      needs: index === 0 ? [] : [index],
      done_when: step.done_when,
    })),
  };
}
