import { type RunningPlugin, runPlugin } from "@sallyport/sdk/testing";
import { afterEach, expect, it } from "vitest";
import plugin from "../src/plugin.ts";

const CURRENT = {
  name: "Rome",
  weather: [{ description: "clear sky" }],
  main: { temp: 21.5, feels_like: 20, humidity: 40 },
  wind: { speed: 3 },
};
const hour = (dt: number, low: number, high: number, description: string) => ({
  dt,
  main: { temp: high, temp_min: low, temp_max: high },
  weather: [{ description }],
});
const FORECAST = {
  city: { name: "Rome", timezone: 3600 },
  // 22:30 and 23:30 UTC are two days in Rome.
  list: [
    hour(1_700_000_000 + 900, 8, 9, "rain"),
    hour(1_700_004_600, 7, 12, "clouds"),
    hour(1_700_048_000, 9, 18, "sun"),
  ],
};
let running: RunningPlugin | undefined;

afterEach(async () => {
  await running?.close();
  running = undefined;
});

const start = (answer: () => Response, config = {}) =>
  runPlugin(plugin, {
    declaredTools: ["current", "forecast"],
    plugin: { id: "weather", version: "1.0.0" },
    config,
    secrets: ["OPENWEATHER_KEY"],
    fetch: { "GET https://api.openweathermap.org/data/2.5/*": answer },
  });

it("gives the weather now, and leaves the key to the host [S0-50]", async () => {
  running = await start(() => Response.json(CURRENT), { units: "metric" });
  expect(await running.call("current", { location: "Rome,IT" })).toEqual({
    location: "Rome",
    description: "clear sky",
    temperature: 21.5,
    feels_like: 20,
    humidity_percent: 40,
    wind_speed: 3,
    units: "metric",
  });
  expect(JSON.stringify(running.requests)).toContain(
    "https://api.openweathermap.org/data/2.5/weather?q=Rome%2CIT&units=metric",
  );
  expect(JSON.stringify(running.requests)).not.toContain("appid");
});

it("gathers a forecast by the days of the place", async () => {
  running = await start(() => Response.json(FORECAST));
  expect(await running.call("forecast", { location: "Rome", days: 2 })).toEqual({
    location: "Rome",
    units: "metric",
    days: [
      { date: "2023-11-14", low: 8, high: 9, description: "rain" },
      { date: "2023-11-15", low: 7, high: 18, description: "sun" },
    ],
  });
});

it("takes the place from the configuration when the call names none [S0-28]", async () => {
  running = await start(() => Response.json(CURRENT), { location: "Oslo", units: "imperial" });
  expect(await running.call("current", { location: "" })).toMatchObject({ units: "imperial" });
  expect(JSON.stringify(running.requests)).toContain("q=Oslo&units=imperial");
});

it.each([
  [404, "{}", /knows no place/],
  [401, "{}", /refused the key/],
  [503, "{}", /status 503/],
  [200, '{"name":"Rome"}', /unexpected/],
  [200, '{"name":7,"weather":[],"main":{"temp":"hot"}}', /unexpected/],
])("says what is wrong: status %i, %s", async (status, body, message) => {
  running = await start(() => new Response(body, { status }));
  await expect(running.call("current", { location: "Rome" })).rejects.toThrow(message);
});

it("asks for a place when there is none", async () => {
  running = await start(() => Response.json(CURRENT));
  await expect(running.call("current", {})).rejects.toThrow("Which place?");
  expect(running.requests).toEqual([]);
});
