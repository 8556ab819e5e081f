/** Finds which of many texts stand in another text, from left to right, of those at one place the longest. */
export interface Matcher {
  /** The text with every hit replaced by what belongs to it; the same string when there is none. */
  readonly replace: (text: string) => string;
  /** Whether there is a hit, without building anything. */
  readonly test: (text: string) => boolean;
}

/** A tree of shared beginnings: an edge holds as many characters as all below it have in common. */
interface Node {
  readonly edges: Map<number, Edge>;
  mark: string | undefined;
}

interface Edge {
  label: string;
  node: Node;
}

/** Texts shorter than this are not looked for. */
const BLOCK = 4;

/*
 * Every needle is at least `window` characters long. A table says, for each four characters, how far the end of such a window may
 * move before they could be part of a needle's first `window` characters: most of the text is never looked at, whatever the number
 * of needles. Where the window stands still, the tree decides, in as many steps as the longest beginning that text and needles share.
 */
const MOST_WINDOW = 64;

/** @param needles what to look for, each with what replaces it. Those under four characters are ignored. */
export function createMatcher(needles: ReadonlyMap<string, string>): Matcher {
  const root: Node = { edges: new Map(), mark: undefined };
  const looked = [...needles].filter(([needle]) => needle.length >= BLOCK);
  if (looked.length === 0) return { replace: (text) => text, test: () => false };
  const window = looked.reduce((least, [needle]) => Math.min(least, needle.length), MOST_WINDOW);
  // About one in sixteen places of the table at most says "stand still" by chance.
  const bits = Math.min(22, Math.max(12, Math.ceil(Math.log2(looked.length * (window - BLOCK + 1))) + 4));
  const shifts = new Uint8Array(1 << bits).fill(window - BLOCK + 1);
  const unused = 32 - bits;
  for (const [needle, mark] of looked) {
    for (let end = BLOCK; end <= window; end++) {
      const place = hashBefore(needle, end) >>> unused;
      shifts[place] = Math.min(shifts[place] ?? 0, window - end);
    }
    insert(root, needle, mark);
  }

  /** The next place at or behind `from` that may be a hit; -1 when there is none. */
  const candidate = (text: string, from: number): number => {
    const length = text.length;
    for (let end = from + window; end <= length;) {
      const shift = shifts[hashBefore(text, end) >>> unused] ?? 0;
      if (shift === 0) return end - window;
      end += shift;
    }
    return -1;
  };

  return {
    replace(text) {
      let out = "";
      let copied = 0;
      for (let at = candidate(text, 0); at !== -1;) {
        const hit = longestAt(root, text, at);
        if (hit === undefined) at = candidate(text, at + 1);
        else {
          out += text.slice(copied, at) + hit.mark;
          copied = at + hit.length;
          at = candidate(text, copied);
        }
      }
      return copied === 0 ? text : out + text.slice(copied);
    },
    test(text) {
      for (let at = candidate(text, 0); at !== -1; at = candidate(text, at + 1)) {
        if (longestAt(root, text, at) !== undefined) return true;
      }
      return false;
    },
  };
}

/** A hash of the four characters before `end`. */
function hashBefore(text: string, end: number): number {
  const first = (text.charCodeAt(end - 4) << 16) ^ text.charCodeAt(end - 2);
  const second = (text.charCodeAt(end - 3) << 16) ^ text.charCodeAt(end - 1);
  return Math.imul(Math.imul(first, 0x9e3779b1) ^ second, 0x85ebca6b);
}

function insert(root: Node, needle: string, mark: string): void {
  let node = root;
  let at = 0;
  while (at < needle.length) {
    const edge = node.edges.get(needle.charCodeAt(at));
    if (edge === undefined) {
      node.edges.set(needle.charCodeAt(at), {
        label: needle.slice(at),
        node: { edges: new Map(), mark },
      });
      return;
    }
    const common = commonLength(edge.label, needle, at);
    if (common < edge.label.length) {
      const below: Edge = { label: edge.label.slice(common), node: edge.node };
      edge.node = { edges: new Map([[below.label.charCodeAt(0), below]]), mark: undefined };
      edge.label = edge.label.slice(0, common);
    }
    node = edge.node;
    at += common;
  }
  node.mark ??= mark;
}

function commonLength(label: string, needle: string, from: number): number {
  const most = Math.min(label.length, needle.length - from);
  let length = 0;
  while (length < most && label.charCodeAt(length) === needle.charCodeAt(from + length)) length++;
  return length;
}

function longestAt(root: Node, text: string, from: number): { mark: string; length: number } | undefined {
  let best: { mark: string; length: number } | undefined;
  let node = root;
  let at = from;
  for (;;) {
    const edge = node.edges.get(text.charCodeAt(at));
    if (edge === undefined || !text.startsWith(edge.label, at)) return best;
    at += edge.label.length;
    node = edge.node;
    if (node.mark !== undefined) best = { mark: node.mark, length: at - from };
  }
}
