import { PassThrough } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { expect, it } from "vitest";
import { readKeys } from "../../src/cli/keys.ts";
import type { Io } from "../../src/cli/io.ts";

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 4; turn++) await setImmediate();
};

it("gives keys one by one, and drops what was typed while it was paused: that was meant for another question", async () => {
  const stdin = new PassThrough();
  const got: string[] = [];
  const keys = readKeys({ stdin } as unknown as Io, (key) => got.push(key));
  await turns();
  stdin.write("ya");
  await turns();
  expect(got).toEqual(["y", "a"]);

  keys.pause();
  stdin.write("y");
  keys.resume();
  await turns();
  expect(got).toEqual(["y", "a"]);
  stdin.write("n");
  await turns();
  expect(got).toEqual(["y", "a", "n"]);

  // Paused again before it listened.
  keys.pause();
  keys.resume();
  keys.pause();
  stdin.write("y");
  keys.resume();
  await turns();
  expect(got).toEqual(["y", "a", "n"]);
  keys.pause();
});
