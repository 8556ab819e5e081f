import { type Attack, type Ending, wordOf } from "../attack/index.ts";

export interface Verdict {
  readonly contained: boolean;
  /** In plain words: what became of it. */
  readonly how: string;
}

/** What the ending says; `sallyport doctor --attack` also looks from the outside. */
export function judge(attack: Attack, ending: Ending): Verdict {
  const { expected, succeeded, how } = wordOf(attack, ending);
  return { contained: expected && succeeded.length === 0, how };
}
