import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The longest files, longest first: started last, one of them would keep a single worker busy at the end. */
const LONGEST = ["host/crash.test.ts", "cli/demo.test.ts", "hostile/", "cli/process.test.ts"];

function place({ moduleId }: TestSpecification): number {
  const at = LONGEST.findIndex((part) => moduleId.includes(`/test/${part}`));
  return at === -1 ? LONGEST.length : at;
}

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const usual = await super.sort([...files]);
    return usual.toSorted((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.test.ts", "plugins/*/test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
  },
});
