import { isDoing } from "./kinds.ts";
import { sentencesOf, wordsOf } from "./text.ts";

const ABOUT = new Set([
  "it",
  "this",
  "that",
  "these",
  "those",
  "the",
  "they",
  "we",
  "there",
  "please",
  "note",
  "i",
  "you",
  "our",
]);

/** The things to do that a task names, in its order. Sentences about it ("It must be fast") are none. */
export function partsOf(task: string): readonly string[] {
  const sentences = sentencesOf(task);
  const doing = sentences.filter((sentence) => !ABOUT.has(wordsOf(sentence)[0] ?? ""));
  return (doing.length === 0 ? sentences : doing).flatMap(splitSentence);
}

function splitSentence(sentence: string): readonly string[] {
  const clauses = sentence.replace(/[.!?;]+$/, "").split(/,?\s+(?:and then|then|after that|afterwards)\s+|;\s+/i);
  return clauses.flatMap((clause) => {
    const parts: string[] = [];
    let joint = "";
    for (const [index, piece] of clause.split(/(,\s+and\s+|,\s+|\s+and\s+)/).entries()) {
      if (index % 2 === 1) joint = piece;
      // A comma or "and" parts two things to do only where a verb follows; else it is a list.
      else if (parts.length === 0 || startsDoing(piece)) parts.push(piece.replace(/^(?:finally|next)\s+/i, ""));
      else parts.push(`${parts.pop() ?? ""}${joint}${piece}`);
    }
    return parts.map((part) => part.trim()).filter((part) => wordsOf(part).length > 0);
  });
}

function startsDoing(piece: string): boolean {
  const words = wordsOf(piece.replace(/^(?:finally|next)\s+/i, ""));
  return words.length > 1 && isDoing(words[0] ?? "");
}
