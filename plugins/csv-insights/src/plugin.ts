import { definePlugin } from "@sallyport/sdk";
import Papa from "papaparse";
import { type Column, describeColumn } from "./column.ts";

/** A larger file is refused before it is read. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_COLUMNS = 200;

interface Tools {
  files: { input: { folder: string }; output: { files: { path: string; bytes: number }[] } };
  describe: { input: { path: string }; output: { rows: number; columns: Column[]; problems: string[] } };
}

export default definePlugin<Tools>({
  tools: {
    async files({ folder }, ctx) {
      const base = folder.replace(/\/+$/, "");
      const files = (await ctx.files.list(base))
        .filter(({ kind, name }) => kind === "file" && /\.csv$/i.test(name))
        .map(({ name, size }) => ({ path: `${base}/${name}`, bytes: size }));
      return { files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)).slice(0, 1000) };
    },
    async describe({ path }, ctx) {
      const found = await ctx.files.stat(path);
      if (found?.kind !== "file") throw new Error("There is no such file.");
      if (found.size > MAX_BYTES) throw new Error(`The file has ${found.size} bytes; at most ${MAX_BYTES} are read.`);
      const { data, meta, errors } = Papa.parse<Record<string, string>>(await ctx.files.readText(path), {
        header: true,
        skipEmptyLines: "greedy",
      });
      const names = meta.fields ?? [];
      if (names.length > MAX_COLUMNS)
        throw new Error(`The file has ${names.length} columns; at most ${MAX_COLUMNS} are described.`);
      return {
        rows: data.length,
        columns: names.map((name) =>
          describeColumn(
            name,
            data.map((row) => row[name] ?? ""),
          ),
        ),
        problems: errors
          .slice(0, 10)
          .map(({ message, row }) => (row === undefined ? message : `Row ${row + 1}: ${message}`)),
      };
    },
  },
});
