import { runPlugin, type RunningPlugin } from "@sallyport/sdk/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { analyzeTask } from "../src/analysis.ts";
import { suggestApproaches } from "../src/approaches.ts";
import { estimateComplexity } from "../src/complexity.ts";
import plugin from "../src/plugin.ts";
import { decomposeTask } from "../src/steps.ts";

const TASK =
  "Migrate the production database of the shop to PostgreSQL, and then delete the old tables. It must not lose orders. " +
  "Read the schema from legacy.sql by Friday.";
let running: RunningPlugin;

beforeAll(async () => {
  running = await runPlugin(plugin, {
    declaredTools: ["analyze_task", "suggest_approaches", "estimate_complexity", "decompose_task"],
  });
});
afterAll(() => running.close());

it("answers each action from the description alone", async () => {
  for (const tool of running.tools) expect(await running.call(tool, { task_description: TASK })).toBeTypeOf("object");
  expect(running.requests).toEqual([]);
});

it("analyzes a task: kinds, constraints, names, open questions and risks [S3-66]", () => {
  const analysis = analyzeTask(TASK);
  expect(analysis.goal).toBe(
    "Migrate the production database of the shop to PostgreSQL, and then delete the old tables",
  );
  expect(analysis.kinds[0]).toBe("migrate");
  expect(analysis.constraints).toEqual(["It must not lose orders", "Read the schema from legacy.sql by Friday"]);
  expect(analysis.names).toEqual(["legacy.sql", "PostgreSQL", "Friday"]);
  expect(analysis.open_questions).toContain("What must work the same afterwards, and how is that checked?");
  expect(analysis.open_questions).not.toContain("Until when is it needed?");
  expect(analysis.risks.join()).toMatch(/destroys.*people use.*changes what exists/);
  expect(analysis.complexity).toEqual({ score: estimateComplexity(TASK).score, level: estimateComplexity(TASK).level });
});

it("asks about what a short or vague task leaves open [S3-66]", () => {
  const { open_questions } = analyzeTask("Make it faster.");
  expect(open_questions.join()).toMatch(/very short.*"faster".*Until when/s);
});

it("suggests approaches that fit the kind and the size [S3-67]", () => {
  const large = suggestApproaches(TASK);
  expect(large.recommended).toBe("Side by side");
  expect(
    large.approaches.every(
      ({ how, advantages, disadvantages }) => how && advantages.length > 0 && disadvantages.length > 0,
    ),
  ).toBe(true);
  expect(suggestApproaches("Write a short readme.").recommended).toBe("Straight through");
  expect(suggestApproaches("Fix the crash at start.").approaches.map(({ name }) => name)).toContain("Reproduce first");
});

it("estimates complexity, with what speaks for it [S3-68]", () => {
  const small = estimateComplexity("Rename a file.");
  expect(small).toEqual({ score: 1, level: "low", hours: { least: 0.5, most: 2 }, factors: [] });
  const large = estimateComplexity(`${TASK} Build a secure distributed API with a dashboard that scales to millions.`);
  expect(large.level).toBe("high");
  expect(large.score).toBe(Math.min(10, 1 + large.factors.reduce((sum, { points }) => sum + points, 0)));
  expect(large.hours.most).toBeGreaterThan(large.hours.least);
});

it("decomposes a task into ordered steps [S3-69]", () => {
  const { steps } = decomposeTask(
    "Import users, orders and prices from the shop, clean them, and then build a dashboard. It must be fast.\n1. Write the docs\n2. Deploy it",
  );
  expect(steps.slice(1, -1).map(({ title }) => title)).toEqual([
    "Import users, orders and prices from the shop",
    "Clean them",
    "Build a dashboard",
    "Write the docs",
    "Deploy it",
  ]);
  expect(steps.map(({ id }) => id)).toEqual(steps.map((_, index) => index + 1));
  expect(steps.every(({ id, needs }) => needs.every((needed) => needed < id))).toBe(true);
  expect(steps.every(({ done_when }) => done_when.length > 0)).toBe(true);
});

it("gives the same answer to the same words, and an answer to any words", () => {
  for (const text of [
    TASK,
    "?",
    "   \n  ",
    "и затем — готово",
    "a".repeat(20_000),
    "and then ".repeat(2000),
    ", ".repeat(10_000),
    "\t".repeat(20_000),
  ]) {
    for (const answer of [analyzeTask, suggestApproaches, estimateComplexity, decomposeTask]) {
      expect(answer(text)).toEqual(answer(text));
    }
  }
});
