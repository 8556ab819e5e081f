import { type ActionAnswer, type ActionDescription, Plugin } from "@sallyport/sdk";
import { aggregate, filter, normalize, transform } from "./numbers.ts";

const ACTIONS: Readonly<Record<string, (params: Readonly<Record<string, unknown>>) => unknown>> = {
  transform: (params) =>
    transform(numbers(params.data), text(params.operation), number(params.value ?? params.factor, "value")),
  filter: (params) =>
    filter(
      numbers(params.data),
      text(params.operation ?? params.condition),
      number(params.value ?? params.threshold, "value"),
    ),
  aggregate: (params) => aggregate(numbers(params.data), text(params.operation)),
  normalize: (params) => normalize(numbers(params.data)),
};

/** In the class style: an action is a tool, and `{ success: false, error }` is a failure of the call. */
export default class DataProcessor extends Plugin {
  override execute(action: string, params: Readonly<Record<string, unknown>>): ActionAnswer {
    const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (!run)
      return { success: false, error: `There is no action "${action}". There are ${Object.keys(ACTIONS).join(", ")}.` };
    try {
      return { success: true, result: run(params) };
    } catch (error) {
      return { success: false, error: error instanceof Error ? error.message : "The action failed." };
    }
  }

  override getAvailableActions(): readonly ActionDescription[] {
    return [
      {
        name: "transform",
        description: "multiply, add or power",
        parameters: { data: "number[]", operation: "string", value: "number" },
      },
      {
        name: "filter",
        description: "greater, less or equal",
        parameters: { data: "number[]", operation: "string", value: "number" },
      },
      { name: "aggregate", description: "sum, avg, min or max", parameters: { data: "number[]", operation: "string" } },
      { name: "normalize", description: "to the range from 0 to 1", parameters: { data: "number[]" } },
    ];
  }
}

/* The host has checked the input against the schema; these give it its types, and names what the schema leaves open. */
function numbers(value: unknown): readonly number[] {
  if (!Array.isArray(value)) throw new Error('"data" must be a list of numbers.');
  return value.map((one: unknown) => number(one, "data"));
}

function number(value: unknown, name: string): number {
  if (typeof value !== "number") throw new Error(`"${name}" must be a number.`);
  return value;
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new Error('"operation" is missing.');
  return value;
}
