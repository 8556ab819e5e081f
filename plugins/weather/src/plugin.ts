import { definePlugin, type ToolContext } from "@sallyport/sdk";
import { type Current, type Forecast, readCurrent, readForecast } from "./answers.ts";

interface Tools {
  current: { input: { location?: string }; output: Current };
  forecast: { input: { location?: string; days?: number }; output: Forecast };
}

export default definePlugin<Tools>({
  tools: {
    async current({ location }, ctx) {
      return readCurrent(await ask(ctx, "weather", location), unitsOf(ctx));
    },
    async forecast({ location, days }, ctx) {
      return readForecast(await ask(ctx, "forecast", location), unitsOf(ctx), days ?? 5);
    },
  },
});

function unitsOf({ config }: ToolContext): "metric" | "imperial" {
  return config.units === "imperial" ? "imperial" : "metric";
}

async function ask(ctx: ToolContext, what: "weather" | "forecast", location: string | undefined): Promise<unknown> {
  const place = location || ctx.config.location;
  if (typeof place !== "string" || place === "")
    throw new Error("Which place? Give a location, or set one in the configuration.");
  const address = typeof ctx.config.address === "string" ? ctx.config.address : "https://api.openweathermap.org";
  const query = new URLSearchParams({ q: place, units: unitsOf(ctx) });
  // The host writes the key into the request; it is never here.
  const answer = await ctx.fetch(`${address}/data/2.5/${what}?${query}`, {
    secrets: ["OPENWEATHER_KEY"],
    signal: ctx.signal,
  });
  if (answer.status === 404) throw new Error(`OpenWeatherMap knows no place "${place}".`);
  if (answer.status === 401) throw new Error("OpenWeatherMap refused the key. Check the secret OPENWEATHER_KEY.");
  if (!answer.ok) throw new Error(`OpenWeatherMap answered with status ${answer.status}.`);
  return answer.json();
}
