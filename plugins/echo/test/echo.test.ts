import { runPlugin } from "@sallyport/sdk/testing";
import { afterEach, expect, it } from "vitest";
// @ts-expect-error A plain JavaScript file, as an author without a build writes it.
import plugin from "../plugin.js";

const running = () => runPlugin(plugin, { declaredTools: ["echo", "note"] });
let open: Awaited<ReturnType<typeof running>> | undefined;

afterEach(async () => {
  await open?.close();
  open = undefined;
});

it("gives back the text, and asks the host for nothing", async () => {
  open = await running();
  expect(await open.call("echo", { text: "hällo\n" })).toEqual({ text: "hällo\n" });
  expect(open.requests).toEqual([]);
});

it("keeps the newest hundred notes", async () => {
  open = await running();
  for (let count = 1; count <= 102; count++) {
    expect(await open.call("note", { text: `${count}` })).toEqual({ text: `${count}`, kept: Math.min(count, 100) });
  }
});
