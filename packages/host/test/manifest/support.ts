import { expect } from "vitest";
import { SallyportError } from "../../src/kernel/index.ts";
import { type ReadManifest, readManifest } from "../../src/manifest/index.ts";

/** The smallest manifest of our own spelling; `change` replaces or, with undefined, removes keys. */
export function minimal(change: Record<string, unknown> = {}): Record<string, unknown> {
  const base: Record<string, unknown> = {
    id: "weather",
    name: "Weather",
    version: "1.0.0",
    description: "Forecasts.",
    entry: "plugin.js",
    contributes: {
      tools: [
        {
          name: "forecast",
          description: "Forecast.",
          effect: "read",
          input_schema: { type: "object", additionalProperties: false },
        },
      ],
    },
    permissions: {},
    config_schema: { type: "object" },
  };
  return Object.fromEntries(Object.entries({ ...base, ...change }).filter(([, value]) => value !== undefined));
}

export function read(value: unknown): ReadManifest {
  return readText(JSON.stringify(value), "plugin.json");
}

export function readText(text: string, name = "plugin.yml"): ReadManifest {
  return readManifest({ name, bytes: new TextEncoder().encode(text) });
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly fix: string | undefined;
  readonly file: unknown;
  readonly path: unknown;
  readonly paths: readonly string[];
}

/** Runs what must be refused and answers with the refusal. */
export function refusal(run: () => unknown): Refusal {
  let caught: unknown;
  try {
    run();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(SallyportError);
  if (!(caught instanceof SallyportError)) throw new Error("nothing was refused");
  const { problems } = caught.data;
  return {
    code: caught.code,
    message: caught.message,
    fix: caught.fix,
    file: caught.data["file"],
    path: caught.data["path"],
    paths: Array.isArray(problems)
      ? problems.map((problem: unknown) => String(Reflect.get(Object(problem), "path")))
      : [],
  };
}
