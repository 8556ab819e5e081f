/** Lower-case words, without punctuation around them. */
export function wordsOf(text: string): readonly string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}.+#-]*/gu) ?? [];
  return words.map((word) => word.replace(/[.-]$/, ""));
}

/** Sentences, lines and list items, without their bullets and numbers. */
export function sentencesOf(text: string): readonly string[] {
  return text
    .replace(/[^\S\n]+/g, " ")
    .split(/\n+/)
    .flatMap((line) =>
      line
        .trim()
        .replace(/^(?:[-*•]|\d{1,3}[.)]) /, "")
        .split(/(?<=[.!?;]) /),
    )
    .map((sentence) => sentence.trim())
    .filter((sentence) => wordsOf(sentence).length > 0);
}

/** First letter upper case, no full stop, at most 160 characters. */
export function titleOf(text: string): string {
  const title = text.trim().replace(/[.!?;,]+$/, "");
  const short = title.length > 160 ? `${title.slice(0, 159)}…` : title;
  return short.charAt(0).toUpperCase() + short.slice(1);
}
