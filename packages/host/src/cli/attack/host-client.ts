import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { SallyportError } from "../../kernel/index.ts";
import { health, type Order, reply, type Reply } from "./protocol.ts";
import type { Ending } from "./types.ts";

const PROGRAM = fileURLToPath(new URL("../../../dist/cli/attack/host-process.js", import.meta.url));
/** Longer than any call, load or stop of an attack may take; a host that is silent for so long is counted as stopped. */
const ORDER_MS = 60_000;
const MAX_STDERR = 4_000;

/** The host under attack, in a process of its own. */
export interface AttackedHost {
  readonly pid: number;
  /** @throws {SallyportError} what the host answered; `conflict` when it is gone or silent. */
  order(order: Order): Promise<unknown>;
  /** A call's or a load's end as the list of attacks knows it. */
  ending(order: Order): Promise<Ending>;
  health(): Promise<z.infer<typeof health>>;
  readonly ended: boolean;
  /** SIGKILL, as the kernel or a person would. Resolves when it is gone. */
  kill(): Promise<void>;
}

const ending = z.union([
  z.object({ code: z.string(), detail: z.string().optional() }),
  z.object({ answer: z.unknown() }),
]);

/** Starts a host with exactly this environment. */
export function startHost(env: Readonly<Record<string, string>>): AttackedHost {
  const child = spawn(process.execPath, [PROGRAM], { env: { ...env }, cwd: "/", stdio: ["pipe", "pipe", "pipe"] });
  const waiting = new Map<number, (answer: Reply) => void>();
  let nextId = 0;
  let ended = false;
  let stderr = "";
  const gone = new Promise<void>((resolve) => {
    child.once("close", () => {
      ended = true;
      for (const [id, answer] of waiting)
        answer({ id, ok: false, code: "conflict", detail: `The host ended. ${stderr}` });
      waiting.clear();
      resolve();
    });
  });
  child.once("error", () => (ended = true));
  child.stdin.on("error", () => undefined);
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-MAX_STDERR)));
  createInterface({ input: child.stdout }).on("line", (line) => {
    const answer = reply.parse(JSON.parse(line));
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });

  async function ask(order: Order): Promise<Reply> {
    const id = ++nextId;
    if (ended) return { id, ok: false, code: "conflict", detail: `The host ended. ${stderr}` };
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        waiting.delete(id);
        resolve({ id, ok: false, code: "conflict", detail: "The host did not answer for a minute." });
      }, ORDER_MS);
      waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      child.stdin.write(`${JSON.stringify({ id, order })}\n`);
    });
  }

  const host: AttackedHost = {
    pid: child.pid ?? 0,
    async order(order) {
      const answer = await ask(order);
      if (answer.ok) return answer.result;
      throw new SallyportError("conflict", `The host under attack refused to ${order.do}: ${answer.code}.`, {
        detail: answer.detail,
      });
    },
    async ending(order) {
      const answer = await ask(order);
      if (!answer.ok) return { code: answer.code, detail: answer.detail };
      const parsed = ending.safeParse(answer.result);
      return parsed.success ? parsed.data : { answer: answer.result };
    },
    health: async () => health.parse(await host.order({ do: "health" })),
    get ended() {
      return ended;
    },
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
  return host;
}
