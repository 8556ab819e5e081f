import { type RunningPlugin, runPlugin } from "@sallyport/sdk/testing";
import { afterEach, expect, it } from "vitest";
import HomeAutomation from "../src/plugin.ts";

const STATES = [
  { entity_id: "light.kitchen", state: "on" },
  { entity_id: "light.hall", state: "off" },
  { entity_id: "switch.fan", state: "on" },
  { broken: true },
];
let running: RunningPlugin | undefined;

afterEach(async () => {
  await running?.close();
  running = undefined;
});

const start = (token = true) =>
  runPlugin(HomeAutomation, {
    declaredTools: ["status", "turn_on", "turn_off"],
    plugin: { id: "home-automation", version: "0.1.0" },
    secrets: token ? ["HA_TOKEN"] : [],
    fetch: {
      "GET http://homeassistant.local:8123/api/": () => Response.json({ message: "API running." }),
      "GET http://homeassistant.local:8123/api/states": () => Response.json(STATES),
      "POST http://homeassistant.local:8123/api/services/homeassistant/*": async (request) =>
        Response.json([await request.json()]),
    },
  });

it("gives the status of the house, which is also its default action [S0-51] [S0-28]", async () => {
  running = await start();
  const status = {
    running: true,
    message: "API running.",
    devices: [
      { kind: "light", total: 2, on: 1 },
      { kind: "switch", total: 1, on: 1 },
    ],
  };
  expect(await running.call("status")).toEqual(status);
});

it("switches a device, and leaves the token to the host", async () => {
  running = await start();
  expect(await running.call("turn_on", { entity_id: "light.hall" })).toEqual({ entity_id: "light.hall", changed: 1 });
  expect(JSON.stringify(running.requests)).toContain("/api/services/homeassistant/turn_on");
  expect(JSON.stringify(running.requests).toLowerCase()).not.toContain("authorization");
});

it.each(["../../config", "light", "light.kitchen/../x", "", 7])(
  "refuses the entity %j before it asks anybody",
  async (entity) => {
    running = await start();
    await expect(running.call("turn_off", { entity_id: entity })).rejects.toMatchObject({ code: "tool_failed" });
    expect(running.requests).toEqual([]);
  },
);

it("aborts the load when the token is missing [S0-29]", async () => {
  await expect(start(false)).rejects.toMatchObject({ code: "initialize_failed" });
});
