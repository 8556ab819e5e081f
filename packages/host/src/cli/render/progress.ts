import { displayLine } from "../../kernel/index.ts";

export interface ProgressBar {
  update(step: { readonly name: string; readonly index: number; readonly of: number }): void;
  end(): void;
}

const WIDTH = 24;
/** What is over sooner shows no bar. */
const APPEARS_AFTER_MS = 1000;

/** A bar on a terminal; elsewhere nothing. */
export function createProgressBar(stream: NodeJS.WritableStream & { readonly isTTY?: boolean }): ProgressBar {
  let line = "";
  let shown = false;
  const draw = (): void => {
    shown = true;
    stream.write(`\r\u001b[2K${line}`);
  };
  const timer = stream.isTTY === true ? setTimeout(draw, APPEARS_AFTER_MS) : undefined;
  timer?.unref();
  return {
    update({ name, index, of }) {
      const full = Math.round((WIDTH * index) / Math.max(of, 1));
      line = `[${"█".repeat(full)}${"░".repeat(WIDTH - full)}] ${index}/${of} ${displayLine(name, 40)}`;
      if (shown) draw();
    },
    end() {
      clearTimeout(timer);
      if (shown) stream.write("\r\u001b[2K");
    },
  };
}
