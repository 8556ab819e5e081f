import { runPlugin, type RunningPlugin } from "@sallyport/sdk/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import DataProcessor from "../src/plugin.ts";

const DATA = [1, 2, 3, 4, 5];
let plugin: RunningPlugin;

beforeAll(async () => {
  plugin = await runPlugin(DataProcessor, { declaredTools: ["transform", "filter", "aggregate", "normalize"] });
});
afterAll(() => plugin.close());

describe("transform", () => {
  it("multiplies 1 to 5 by 2 [S3-65]", async () => {
    expect(await plugin.call("transform", { data: DATA, operation: "multiply", value: 2 })).toEqual([2, 4, 6, 8, 10]);
  });

  it("multiplies, adds and raises to a power [S3-61]", async () => {
    expect(await plugin.call("transform", { data: DATA, operation: "multiply", factor: 3 })).toEqual([3, 6, 9, 12, 15]);
    expect(await plugin.call("transform", { data: DATA, operation: "add", value: -1 })).toEqual([0, 1, 2, 3, 4]);
    expect(await plugin.call("transform", { data: DATA, operation: "power", value: 2 })).toEqual([1, 4, 9, 16, 25]);
    expect(await plugin.call("transform", { data: [], operation: "power", value: 2 })).toEqual([]);
  });

  it.each([
    { data: [-1], operation: "power", value: 0.5 },
    { data: [1e308], operation: "multiply", value: 10 },
    { data: DATA, operation: "multiply" },
    { data: DATA, operation: "constructor", value: 1 },
    { data: "12345", operation: "add", value: 1 },
    { data: ["1"], operation: "add", value: 1 },
    { data: DATA, value: 1 },
  ])("fails, rather than answering nonsense: %j", async (params) => {
    await expect(plugin.call("transform", params)).rejects.toMatchObject({ code: "tool_failed" });
  });
});

it("filters by greater, less and equal [S3-62]", async () => {
  expect(await plugin.call("filter", { data: DATA, operation: "greater", value: 3 })).toEqual([4, 5]);
  expect(await plugin.call("filter", { data: DATA, operation: "less", value: 3 })).toEqual([1, 2]);
  expect(await plugin.call("filter", { data: DATA, condition: "equal", threshold: 3 })).toEqual([3]);
  expect(await plugin.call("filter", { data: DATA, operation: "greater", value: 9 })).toEqual([]);
});

it("aggregates to sum, avg, min and max [S3-63]", async () => {
  const results = await Promise.all(
    ["sum", "avg", "min", "max"].map((operation) => plugin.call("aggregate", { data: [4, 1, 2.5, 5], operation })),
  );
  expect(results).toEqual([12.5, 3.125, 1, 5]);
  expect(await plugin.call("aggregate", { data: [], operation: "sum" })).toBe(0);
  await expect(plugin.call("aggregate", { data: [], operation: "avg" })).rejects.toMatchObject({
    code: "tool_failed",
    message: "There are no numbers.",
  });
});

it("aggregates more numbers than fit in one argument list", async () => {
  const data = Array.from({ length: 50_000 }, (_, index) => index);
  expect(await plugin.call("aggregate", { data, operation: "max" })).toBe(49_999);
});

it("normalizes to the range from 0 to 1 [S3-64]", async () => {
  expect(await plugin.call("normalize", { data: [10, 20, 30] })).toEqual([0, 0.5, 1]);
  expect(await plugin.call("normalize", { data: [-1.5e308, 0, 1.5e308] })).toEqual([0, 0.5, 1]);
  expect(await plugin.call("normalize", { data: [7, 7] })).toEqual([0, 0]);
  expect(await plugin.call("normalize", { data: [] })).toEqual([]);
});

it("names its actions and parameters, and refuses others [S3-44]", async () => {
  const actions = new DataProcessor().getAvailableActions();
  expect(actions.map(({ name }) => name)).toEqual(["transform", "filter", "aggregate", "normalize"]);
  expect(actions.every(({ description, parameters }) => description && parameters?.data === "number[]")).toBe(true);
  expect(new DataProcessor().execute("toString", {})).toMatchObject({ success: false });
});
