import { type Document, isNode, LineCounter, parseDocument } from "yaml";

/** A YAML text, and the lines on which its parts begin. */
export interface LinedDocument {
  readonly document: Document.Parsed;
  /** 1-based; of the nearest part around it when the path itself is not there. */
  lineOf(path: readonly PropertyKey[]): number | undefined;
}

export function parseLined(text: string): LinedDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { uniqueKeys: true, merge: false, lineCounter: lines });
  return {
    document,
    lineOf(path) {
      for (let length = path.length; length > 0; length--) {
        const node: unknown = document.getIn(path.slice(0, length), true);
        const offset = isNode(node) ? node.range?.[0] : undefined;
        if (offset !== undefined) return lines.linePos(offset).line;
      }
      return undefined;
    },
  };
}
