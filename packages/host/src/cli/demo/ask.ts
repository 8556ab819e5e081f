import { displayLine } from "../../kernel/index.ts";
import type { DemoAgent } from "./agent.ts";
import { isRecord, type Ran, textOf } from "./shell.ts";
import type { Teller } from "./tell.ts";

interface Stage {
  readonly tell: Teller;
  sallyport(...args: string[]): Promise<Ran>;
}

const TOOL = "echo__note";

/** A call that changes something waits for an operator; the yes is for exactly that call, once. */
export async function askAndAnswer({ tell, sallyport }: Stage, agent: DemoAgent): Promise<void> {
  const note = async (text: string): Promise<string> => {
    const ending = await agent.call(TOOL, { text });
    return "code" in ending ? ending.code : displayLine(JSON.stringify(ending.answer), 200);
  };
  const asked = await note("hello");
  tell.step(asked === "approval_required", `the agent calls ${TOOL} "hello" → ${asked}`);
  const listed = await sallyport("approval", "list");
  const open = Array.isArray(listed.json["answer"]) ? listed.json["answer"] : [];
  const request: unknown = open.find((own) => isRecord(own) && own["tool"] === TOOL);
  tell.say(displayLine(textOf(request, "sentence"), 400));
  const answered = await sallyport("approval", "approve", textOf(request, "id"));
  tell.step(answered.exitCode === 0, "one yes, for exactly this call, once");
  const done = await note("hello");
  tell.step(/"kept":1/.test(done), `the agent calls again → ${done}`);
  const changed = await note("hello, and more");
  tell.step(changed === "approval_required", `the agent calls with another text → ${changed}`);
}
