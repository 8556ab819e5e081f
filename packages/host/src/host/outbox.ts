/** What waits to be told to one plugin, in order, one at a time, bounded in number and bytes. */
export interface Outboxes {
  /** Runs `work` when its turn comes. @returns false when there is no room; it is dropped. */
  offer(key: string, bytes: number, work: () => Promise<void>): boolean;
  /** Nothing waits or runs any more. */
  settled(): Promise<void>;
}

export interface OutboxOptions {
  readonly items: number;
  readonly bytes: number;
  /** Of what one plugin was not told for want of room: at the first, and of the rest when there is room again. */
  readonly onDropped: (key: string, count: number) => void;
}

interface Box {
  bytes: number;
  readonly waiting: { readonly bytes: number; readonly work: () => Promise<void> }[];
  /** Not said yet. */
  dropped: number;
  said: boolean;
}

export function createOutboxes(options: OutboxOptions): Outboxes {
  const boxes = new Map<string, Box>();
  const running = new Set<Promise<void>>();

  async function drain(key: string, box: Box): Promise<void> {
    for (let next = box.waiting[0]; next !== undefined; next = box.waiting[0]) {
      // What it fails with is the work's own to say.
      await next.work().catch(() => undefined);
      box.waiting.shift();
      box.bytes -= next.bytes;
    }
    boxes.delete(key);
    if (box.dropped > 0) options.onDropped(key, box.dropped);
  }

  function drop(key: string, box: Box): false {
    if (box.said) box.dropped++;
    else options.onDropped(key, 1);
    box.said = true;
    return false;
  }

  return {
    offer(key, bytes, work) {
      const known = boxes.get(key);
      const box = known ?? { bytes: 0, waiting: [], dropped: 0, said: false };
      if (box.waiting.length >= options.items || box.bytes + bytes > options.bytes) return drop(key, box);
      box.waiting.push({ bytes, work });
      box.bytes += bytes;
      if (known !== undefined) return true;
      boxes.set(key, box);
      const drained = drain(key, box).finally(() => running.delete(drained));
      running.add(drained);
      return true;
    },
    async settled() {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
