/** One of several that act at the same time. It awaits `step()` before each thing that it does to the store. */
export type Actor = (step: () => Promise<void>) => Promise<void>;

/**
 * Runs the actors once in every order in which their steps can follow each other. Only one moves at a time: whoever is chosen
 * goes on to its next step. `begin` makes a fresh world for each order; `check` looks at what came of it.
 * @returns how many orders there are.
 */
export async function everySchedule<World>(
  begin: () => Promise<World>,
  actorsOf: (world: World) => readonly Actor[],
  check: (world: World, order: string) => Promise<void>,
): Promise<number> {
  let count = 0;
  /** For each choice of the last run: which was taken, and how many there were. */
  let choices: { taken: number; of: number }[] = [];
  for (;;) {
    const world = await begin();
    const planned = choices;
    choices = [];
    const order = await runOnce(actorsOf(world), (of) => {
      const taken = planned[choices.length]?.taken ?? 0;
      choices.push({ taken, of });
      return taken;
    });
    count++;
    await check(world, order.join(""));
    while (choices.length > 0 && (choices.at(-1)?.taken ?? 0) + 1 >= (choices.at(-1)?.of ?? 0)) choices.pop();
    const last = choices.at(-1);
    if (last === undefined) return count;
    last.taken++;
  }
}

async function runOnce(actors: readonly Actor[], choose: (of: number) => number): Promise<readonly number[]> {
  const paused = new Map<number, () => void>();
  const order: number[] = [];
  let settled: () => void = () => undefined;
  let moving: Promise<void> = Promise.resolve();
  const expectMove = (): void => {
    moving = new Promise((resolve) => (settled = resolve));
  };
  const ends: Promise<void>[] = [];
  for (const [index, actor] of actors.entries()) {
    expectMove();
    const step = (): Promise<void> =>
      new Promise((resume) => {
        paused.set(index, resume);
        settled();
      });
    ends.push(actor(step).finally(() => settled()));
    await moving;
  }
  while (paused.size > 0) {
    const waiting = [...paused.keys()].toSorted((a, b) => a - b);
    const chosen = waiting[choose(waiting.length)] ?? 0;
    const resume = paused.get(chosen);
    paused.delete(chosen);
    order.push(chosen);
    expectMove();
    resume?.();
    await moving;
  }
  await Promise.all(ends);
  return order;
}
