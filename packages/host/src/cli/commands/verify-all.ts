import { displayLine, displayText, exitCodeOf } from "../../kernel/index.ts";
import { storeCheckAnswer } from "../../wire/index.ts";
import { createProgressBar } from "../render/index.ts";
import type { Session } from "../session.ts";
import type { CommandContext } from "./define.ts";

/** Every stored byte of every installed plugin, with what is wrong by file; exits 5 when anything is. */
export async function verifyAll(session: Session, context: CommandContext): Promise<void> {
  const bar = createProgressBar(session.io.stderr);
  const { answer } = await session
    .call("POST", "/api/plugins/verify-all", { body: {}, onStep: (step) => bar.update(step) })
    .then((all) => ({ answer: storeCheckAnswer.parse(all["result"]) }))
    .finally(() => bar.end());
  const { problems } = answer;
  if (problems.length > 0) context.exitWith(exitCodeOf("digest_mismatch"));
  session.print({ success: problems.length === 0, result: answer }, () =>
    problems.length === 0
      ? `${session.style.good("✔")} ${answer.checked} installed versions, each byte as approved.\n`
      : problems
          .map(({ id, version, error, file, expected, actual, fix }) =>
            [
              `${session.style.bad("✘")} ${displayLine(id)} ${displayLine(version)}: ${displayText(error, 600)}\n`,
              file === "" ? "" : `  file      ${displayLine(file, 500)}\n`,
              expected === "" ? "" : `  expected  ${displayLine(expected, 200)}\n`,
              actual === "" ? "" : `  actual    ${displayLine(actual, 200)}\n`,
              `  ${displayText(fix, 600)}\n`,
            ].join(""),
          )
          .join(""),
  );
}
