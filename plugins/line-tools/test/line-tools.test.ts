import { runPlugin } from "@sallyport/sdk/testing";
import { afterEach, expect, it } from "vitest";
// @ts-expect-error A plain JavaScript file, as an author without a build writes it.
import plugin from "../plugin.js";

let open: Awaited<ReturnType<typeof runPlugin>> | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

it("asks for sort with the arguments that the manifest has patterns for", async () => {
  const asked: string[] = [];
  open = await runPlugin(plugin, {
    exec: (command, args, { stdin }) => {
      asked.push([command, ...args].join(" "));
      return stdin;
    },
  });
  for (const input of [{}, { unique: true }, { column: 2 }, { column: 2, unique: true }])
    expect(await open.call("sort", { text: "a\n", ...input })).toEqual({ text: "a\n" });
  expect(asked).toEqual(["sort", "sort -u", "sort -k2", "sort -u -k2"]);
});

it("reads what wc says, and tells when it failed or said too much", async () => {
  let answer: object = { stdout: "      2       3      12\n" };
  open = await runPlugin(plugin, { exec: () => answer });
  expect(await open.call("count", { text: "x" })).toEqual({ lines: 2, words: 3, bytes: 12 });
  answer = { code: 1, stderr: "no" };
  await expect(open.call("count", { text: "x" })).rejects.toThrow("wc failed (1): no");
  answer = { truncated: true };
  await expect(open.call("sort", { text: "x" })).rejects.toThrow("more than the host passes on");
});
