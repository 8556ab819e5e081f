/** Digests that somebody is about to register: garbage collection and a failed install leave them alone. */
export interface Holds {
  /** Returns the way to let go. */
  take(digest: string): () => void;
  held(): ReadonlySet<string>;
}

export function createHolds(): Holds {
  const counts = new Map<string, number>();
  return {
    take(digest) {
      counts.set(digest, (counts.get(digest) ?? 0) + 1);
      let open = true;
      return () => {
        if (!open) return;
        open = false;
        const left = (counts.get(digest) ?? 1) - 1;
        if (left === 0) counts.delete(digest);
        else counts.set(digest, left);
      };
    },
    held: () => new Set(counts.keys()),
  };
}
