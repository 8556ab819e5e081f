import { readFile } from "node:fs/promises";
import { type RunningPlugin, runPlugin } from "@sallyport/sdk/testing";
import { afterEach, expect, it } from "vitest";
import { describeColumn } from "../src/column.ts";
import plugin from "../src/plugin.ts";

const DATA = new URL("../data/seattle-weather-2012.csv", import.meta.url);
let running: RunningPlugin | undefined;

afterEach(async () => {
  await running?.close();
  running = undefined;
});

const start = (files: Record<string, string>) =>
  runPlugin(plugin, { declaredTools: ["files", "describe"], files, filesystem: [{ path: "/data", mode: "r" }] });

it("describes a year of real weather with an unmodified library from npm", async () => {
  running = await start({ "/data/weather.csv": await readFile(DATA, "utf8") });
  const described = await running.call("describe", { path: "/data/weather.csv" });
  expect(described).toMatchObject({
    rows: 366,
    problems: [],
    columns: [
      { name: "date", type: "date", values: 366, distinct: 366, first: "2012-01-01", last: "2012-12-31" },
      { name: "precipitation", type: "number", minimum: 0, maximum: 54.1 },
      { name: "temp_max", type: "number", minimum: -1.1, maximum: 34.4 },
      { name: "temp_min", type: "number", minimum: -3.3, maximum: 18.3 },
      { name: "wind", type: "number" },
    ],
  });
});

it("agrees with the sums done by hand", async () => {
  const rows = (await readFile(DATA, "utf8"))
    .trim()
    .split("\n")
    .slice(1)
    .map((row) => Number(row.split(",")[2]));
  const mean = rows.reduce((sum, value) => sum + value, 0) / rows.length;
  running = await start({ "/data/weather.csv": await readFile(DATA, "utf8") });
  const described = (await running.call("describe", { path: "/data/weather.csv" })) as {
    columns: { name: string; mean: number }[];
  };
  expect(described.columns.find(({ name }) => name === "temp_max")?.mean).toBeCloseTo(mean, 8);
});

it("reads quotes, line breaks, empty cells and ragged rows, and says what is odd", async () => {
  running = await start({ "/data/odd.csv": 'name,age\n"Ann ""A"", jr",3\n"two\nlines",\nNA,5,6\n\n' });
  expect(await running.call("describe", { path: "/data/odd.csv" })).toMatchObject({
    rows: 3,
    columns: [
      { name: "name", type: "text", values: 2, missing: 1 },
      { name: "age", type: "number", values: 2, missing: 1, mean: 4, median: 4 },
    ],
    problems: [expect.stringContaining("Row 3")],
  });
});

it("lists the CSV files of a folder", async () => {
  running = await start({ "/data/b.CSV": "x", "/data/a.csv": "xy", "/data/c.txt": "x" });
  expect(await running.call("files", { folder: "/data/" })).toEqual({
    files: [
      { path: "/data/a.csv", bytes: 2 },
      { path: "/data/b.CSV", bytes: 1 },
    ],
  });
});

it("reads nothing that was not granted", async () => {
  running = await start({});
  await expect(running.call("describe", { path: "/etc/passwd" })).rejects.toThrow();
  await expect(running.call("describe", { path: "/data/none.csv" })).rejects.toThrow("There is no such file.");
});

it("knows the types of columns", () => {
  expect(describeColumn("n", ["1", "-2.5", "1e3", " 7 "])).toMatchObject({
    type: "number",
    minimum: -2.5,
    maximum: 1000,
    median: 4,
  });
  expect(describeColumn("one", ["5"])).toMatchObject({ type: "number", mean: 5, deviation: 0 });
  expect(describeColumn("t", ["1", "two", "two"])).toMatchObject({ type: "text", distinct: 2, most_frequent: "two" });
  expect(describeColumn("huge", ["1e400"])).toMatchObject({ type: "text" });
  expect(describeColumn("hex", ["0x10", "Infinity"])).toMatchObject({ type: "text" });
  expect(describeColumn("d", ["2024-02-01", "2023-01-01T10:00Z"])).toMatchObject({
    type: "date",
    first: "2023-01-01T10:00Z",
  });
  expect(describeColumn("e", ["", "NA"])).toEqual({ name: "e", type: "empty", values: 0, missing: 2, distinct: 0 });
});
