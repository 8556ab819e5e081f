export interface Current {
  location: string;
  description: string;
  temperature: number;
  feels_like?: number;
  humidity_percent?: number;
  wind_speed?: number;
  units: "metric" | "imperial";
}

export interface Day {
  date: string;
  low: number;
  high: number;
  description: string;
}

export interface Forecast {
  location: string;
  units: "metric" | "imperial";
  days: Day[];
}

/** An answer to `/data/2.5/weather`. @throws {Error} when it is not one. */
export function readCurrent(answer: unknown, units: Current["units"]): Current {
  const main = record(record(answer).main);
  return {
    location: text(record(answer).name),
    description: describe(record(answer).weather),
    temperature: number(main.temp),
    ...optional("feels_like", main.feels_like),
    ...optional("humidity_percent", main.humidity),
    ...optional("wind_speed", maybeRecord(record(answer).wind).speed),
    units,
  };
}

/** An answer to `/data/2.5/forecast`: one entry each three hours, gathered by the day at the place. */
export function readForecast(answer: unknown, units: Forecast["units"], days: number): Forecast {
  const city = record(record(answer).city);
  const offset = typeof city.timezone === "number" ? city.timezone : 0;
  const byDate = new Map<string, Day & { warmest: number }>();
  for (const entry of list(record(answer).list)) {
    const { dt, main, weather } = record(entry);
    const date = new Date((number(dt) + offset) * 1000).toISOString().slice(0, 10);
    const { temp, temp_min: low = temp, temp_max: high = temp } = record(main);
    const day = byDate.get(date) ?? {
      date,
      low: number(low),
      high: number(high),
      description: describe(weather),
      warmest: number(high),
    };
    // A day is described by its warmest hours.
    if (number(high) > day.warmest) Object.assign(day, { warmest: number(high), description: describe(weather) });
    byDate.set(date, { ...day, low: Math.min(day.low, number(low)), high: Math.max(day.high, number(high)) });
  }
  return {
    location: text(city.name),
    units,
    days: [...byDate.values()]
      .slice(0, days)
      .map(({ date, low, high, description }) => ({ date, low, high, description })),
  };
}

function optional(name: string, value: unknown): Readonly<Record<string, number>> {
  return typeof value === "number" ? { [name]: value } : {};
}

function describe(weather: unknown): string {
  return text(record(list(weather)[0]).description);
}

function unexpected(): never {
  throw new Error("OpenWeatherMap answered something unexpected.");
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : unexpected();
}

function maybeRecord(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : unexpected();
}

function text(value: unknown): string {
  return typeof value === "string" ? value : unexpected();
}

function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : unexpected();
}
