/** Lower-case words, without punctuation around them. */
export function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}.+#-]*/gu) ?? [];
}

/** Sentences, lines and list items, without their bullets and numbers. */
export function sentencesOf(text: string): readonly string[] {
  return text
    .split(/\n+|(?<=[.!?;])\s+/)
    .map((sentence) => sentence.replace(/^\s*(?:[-*•]|\d{1,3}[.)])\s+/, "").trim())
    .filter((sentence) => wordsOf(sentence).length > 0);
}

/** The parts of a sentence that are things to do one after the other. */
export function partsOf(sentence: string): readonly string[] {
  return sentence
    .replace(/[.!?;]+$/, "")
    .split(/,?\s+(?:and then|then|after that|afterwards|finally|next)\s+|,\s+and\s+(?=[a-z]+\s)|,\s+(?=(?:then|finally)\b)|;\s+/i)
    .map((part) => part.trim())
    .filter((part) => wordsOf(part).length >= 2);
}

/** First letter upper case, no full stop, at most 160 characters. */
export function titleOf(text: string): string {
  const title = text.trim().replace(/[.!?;,]+$/, "");
  const short = title.length > 160 ? `${title.slice(0, 159)}…` : title;
  return short.charAt(0).toUpperCase() + short.slice(1);
}
