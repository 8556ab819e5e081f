import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];

/** Colours text, or leaves it alone: only a terminal gets colour, and `NO_COLOR` turns it off. */
export interface Style {
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  dim(text: string): string;
  bold(text: string): string;
}

export function createStyle(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): Style {
  const colour = stream.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  const as =
    (format: Format) =>
    (text: string): string =>
      colour ? styleText(format, text) : text;
  return { good: as("green"), bad: as("red"), warn: as("yellow"), dim: as("dim"), bold: as("bold") };
}
