import { definePlugin } from "@sallyport/sdk";
import { analyzeTask } from "./analysis.ts";
import { suggestApproaches } from "./approaches.ts";
import { estimateComplexity } from "./complexity.ts";
import { decomposeTask } from "./steps.ts";

type Input = { task_description: string };

interface Tools {
  analyze_task: { input: Input; output: ReturnType<typeof analyzeTask> };
  suggest_approaches: { input: Input; output: ReturnType<typeof suggestApproaches> };
  estimate_complexity: { input: Input; output: ReturnType<typeof estimateComplexity> };
  decompose_task: { input: Input; output: ReturnType<typeof decomposeTask> };
}

export default definePlugin<Tools>({
  tools: {
    analyze_task: ({ task_description }) => analyzeTask(task_description),
    suggest_approaches: ({ task_description }) => suggestApproaches(task_description),
    estimate_complexity: ({ task_description }) => estimateComplexity(task_description),
    decompose_task: ({ task_description }) => decomposeTask(task_description),
  },
});
