import { displayLine, displayText, SallyportError, toSallyportError } from "../../kernel/index.ts";
import { type ApprovalAnswer, type ApprovalChangeAnswer, approvalChangeAnswer } from "../../wire/index.ts";
import { isInteractive } from "../io.ts";
import { readKeys } from "../keys.ts";
import { parseAnswer } from "../owner-client.ts";
import { isoTime, renderError, safeJson } from "../render/index.ts";
import type { Session } from "../session.ts";
import { approveBody, askScope } from "./approval-scope.ts";
import { path, usage } from "./define.ts";

const FEED = "/api/approvals/watch";

/** Shows each request as it comes and takes one key for an answer. */
export async function watchApprovals(session: Session): Promise<void> {
  if (session.json) {
    for await (const line of session.lines(FEED)) session.io.stdout.write(`${safeJson(parseAnswer(line), 0)}\n`);
    return;
  }
  if (!isInteractive(session.io)) {
    throw usage("approval watch asks at a terminal, and there is none.", "Follow it with --json instead.");
  }
  await createInbox(session).run();
}

type Event =
  | { readonly key: string; readonly shown: number }
  | { readonly change: ApprovalChangeAnswer }
  | { readonly ended: unknown };

function createInbox(session: Session) {
  const { io, style } = session;
  const waiting = new Map<string, ApprovalAnswer>();
  const events: Event[] = [];
  let wake: (() => void) | undefined;
  let current: ApprovalAnswer | undefined;
  /** A key belongs to what was on the screen when it was pressed, and to nothing that came after. */
  let shown = 0;
  let stands = true;
  const ending = new AbortController();

  const push = (event: Event): void => {
    events.push(event);
    wake?.();
  };
  const write = (text: string): void => void io.stdout.write(text);
  const keys = readKeys(io, (key) => push({ key, shown }));

  async function next(): Promise<Event> {
    for (;;) {
      const event = events.shift();
      if (event) return event;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  async function follow(): Promise<void> {
    try {
      for await (const line of session.lines(FEED, ending.signal)) {
        push({ change: approvalChangeAnswer.parse(parseAnswer(line)) });
      }
      push({ ended: new SallyportError("conflict", "The process that owns this home ended.") });
    } catch (error) {
      push({ ended: error });
    }
  }

  function show(): void {
    shown++;
    stands = true;
    current = waiting.values().next().value;
    if (current === undefined) return write(style.dim("Nothing waits. [q] quit\n"));
    const { sentence, rule, created_at: asked, kind, plugin } = current;
    const more = waiting.size === 1 ? "" : style.dim(` (${waiting.size - 1} more wait)`);
    write(`\n${style.bold("●")} ${displayLine(sentence, 2000)}${more}\n`);
    write(
      style.dim(
        `  ${current.id}, asked ${isoTime(asked)}${rule === undefined ? "" : `, by ${displayLine(rule, 100)}`}\n`,
      ),
    );
    if (kind === "call") return write("  [y] once  [a] with limits…  [n] no  [d] detail  [s] skip  [q] quit\n");
    write(`  Say yes with: sallyport plugin approve ${plugin.id}\n  [n] no  [d] detail  [s] skip  [q] quit\n`);
  }

  function onChange({ change, approval }: ApprovalChangeAnswer): void {
    if (change === "waiting") {
      waiting.set(approval.id, approval);
      if (current === undefined) show();
      return;
    }
    waiting.delete(approval.id);
    if (current?.id !== approval.id) return;
    const by = approval.ended_by ?? approval.decided_by;
    write(`  ${approval.state}${by === undefined ? "" : ` by ${displayLine(by, 100)}`}, elsewhere.\n`);
    // A key that was meant for this one must not answer the next.
    shown++;
    stands = false;
    write(style.dim("  Press any key to go on.\n"));
  }

  async function answer(word: "approve" | "deny", body: Record<string, unknown>): Promise<void> {
    const request = current;
    if (request === undefined) return;
    try {
      keys.pause();
      const { approval } = await session.call("POST", `${path("/api/approvals", request.id)}/${word}`, { body });
      const state = approval !== null && typeof approval === "object" && "state" in approval ? approval.state : word;
      write(`  ${style.good("✔")} ${displayLine(String(state))}\n`);
    } catch (error) {
      const failure = toSallyportError(error);
      io.stderr.write(renderError(failure, style));
      // Somebody was faster; everything else can be tried again.
      if (failure.code !== "conflict" && failure.code !== "not_found") return;
    } finally {
      keys.resume();
    }
    waiting.delete(request.id);
    show();
  }

  async function withLimits(): Promise<void> {
    keys.pause();
    let body: Record<string, unknown> | undefined;
    try {
      const words = await askScope(io);
      body = words && approveBody(words, io.now());
    } catch (error) {
      io.stderr.write(renderError(toSallyportError(error), style));
    } finally {
      keys.resume();
    }
    if (body) await answer("approve", body);
    else show();
  }

  /** @returns whether to go on. */
  async function onKey(key: string): Promise<boolean> {
    if (key === "q" || key === "\u0003" || key === "\u0004") return false;
    if (!stands) show();
    else if (current === undefined) return true;
    else if (key === "y" && current.kind === "call") await answer("approve", {});
    else if (key === "a" && current.kind === "call") await withLimits();
    else if (key === "n") await answer("deny", {});
    else if (key === "d") write(detail(current));
    else if (key === "s") {
      waiting.delete(current.id);
      show();
    }
    return true;
  }

  return {
    async run(): Promise<void> {
      show();
      void follow();
      try {
        for (;;) {
          const event = await next();
          if ("ended" in event) throw event.ended;
          if ("change" in event) onChange(event.change);
          else if (event.shown === shown && !(await onKey(event.key))) return;
        }
      } finally {
        keys.pause();
        ending.abort();
      }
    },
  };
}

function detail(approval: ApprovalAnswer): string {
  const lines: readonly (readonly [string, string | undefined])[] = [
    ["tool", approval.tool],
    ["plugin", `${approval.plugin.id} ${approval.plugin.version} ${approval.plugin.digest}`],
    ["agent", approval.agent],
    ["operator", approval.operator],
    ["through", approval.via?.join(" → ")],
    ["effect", approval.effect],
    ["rule", approval.rule],
    ["input digest", approval.input_digest],
    ["ends", approval.expires_at === null ? undefined : isoTime(approval.expires_at)],
  ];
  return [
    ...lines.flatMap(([label, value]) => (value === undefined ? [] : [`  ${label}: ${displayLine(value, 1000)}\n`])),
    listed("the plugin, at most", approval.reach),
    listed("changed since the last yes", approval.changes),
    approval.input === undefined ? "" : `  input:\n${displayText(safeJson(approval.input, 2), 100_000)}\n`,
  ].join("");
}

function listed(label: string, items: readonly string[] | undefined): string {
  if (items === undefined || items.length === 0) return "";
  return `  ${label}:\n${items.map((item) => `    ${displayLine(item, 1000)}\n`).join("")}`;
}
