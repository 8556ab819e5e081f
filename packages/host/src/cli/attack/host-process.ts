import { createInterface } from "node:readline";
import { connect } from "node:net";
import type { z } from "zod";
import { createHost } from "../../host.ts";
import type { Host } from "../../host-api.ts";
import { toSallyportError } from "../../kernel/index.ts";
import { type health, type Order, type Reply, request } from "./protocol.ts";

/** Stands for a server on the internet; nothing is ever sent there. */
const PUBLIC_ADDRESS = "93.184.216.34";
const OPERATOR = { name: "attack" };
const AGENT = { kind: "agent", agent: "attack" } as const;

/** The mechanisms are the real ones; only their patience is less, or most of a run would be waiting. */
const WAITS = { importMs: 5_000, initializeMs: 5_000, watchMs: 1_000 };

let host: Host | undefined;
const installed = new Set<string>();
const lookups = new Map<string, number>();
/** Lines of logs that an earlier look at the health told of. */
let told: ReadonlySet<object> = new Set();

/** Names of the attacks' world: two servers on the internet, and names that lead to this machine at once, later, or among others. */
async function resolve(name: string): Promise<readonly string[]> {
  const count = (lookups.get(name) ?? 0) + 1;
  lookups.set(name, count);
  if (name === "private.test") return ["127.0.0.1"];
  if (name === "mixed.test") return [PUBLIC_ADDRESS, "127.0.0.1"];
  if (name === "rebind.test") return count === 1 ? [PUBLIC_ADDRESS] : ["127.0.0.1"];
  if (name.endsWith(".test")) return [PUBLIC_ADDRESS];
  return ["127.0.0.1"];
}

function opened(): Host {
  if (host === undefined) throw new Error("The host is not open.");
  return host;
}

async function open(wanted: Extract<Order, { do: "open" }>): Promise<unknown> {
  host = await createHost({
    home: wanted.home,
    env: process.env,
    overrides: {
      levels: [wanted.level],
      openRuntimePermissions: wanted.permissions === "open",
      supervisor: WAITS,
      network: {
        resolve,
        // Whatever is dialled but the granted server ends at the decoy, where it is seen.
        dial: (address) =>
          connect({ host: "127.0.0.1", port: address === PUBLIC_ADDRESS ? wanted.grantedPort : wanted.decoyPort }),
      },
    },
  });
  const { level } = await host.doctor();
  for (const { id } of await host.plugins.list()) installed.add(id);
  return { level };
}

async function call(wanted: Extract<Order, { do: "call" }>): Promise<unknown> {
  const cancel = new AbortController();
  const timer = wanted.cancelAfterMs === undefined ? undefined : setTimeout(() => cancel.abort(), wanted.cancelAfterMs);
  const answer = await opened().invoke(AGENT, {
    tool: `${wanted.plugin}__${wanted.tool}`,
    input: wanted.input,
    signal: cancel.signal,
  });
  clearTimeout(timer);
  if (answer.success) return { answer: answer.result };
  return { code: answer.code, detail: [answer.error, answer.detail].filter(Boolean).join(" ") };
}

/** Asks to call a tool that needs an approval, gets it, and calls with other input under that approval. */
async function swap({ plugin }: Extract<Order, { do: "swap" }>): Promise<unknown> {
  const tool = `${plugin}__note`;
  const asked = await opened().invoke(AGENT, { tool, input: { text: "harmless" } });
  if (asked.success || asked.approval === undefined) return { code: "no_approval_was_asked_for" };
  await opened().approvals.approve(OPERATOR, asked.approval.id);
  const answer = await opened().invoke(AGENT, { tool, input: { text: "stolen" }, approvalId: asked.approval.id });
  return answer.success ? { answer: answer.result } : { code: answer.code, detail: answer.error };
}

async function healthOf(): Promise<z.infer<typeof health>> {
  const lines = [...installed].flatMap((id) => opened().plugins.logs(id));
  const logs = lines.filter((line) => !told.has(line)).map(({ message }) => message);
  told = new Set(lines);
  const polluted = Object.keys(Object.prototype);
  if ("polluted" in {}) polluted.push("polluted");
  return { polluted, logs: logs.join("\n"), audit: opened().audit.healthy };
}

async function perform(wanted: Order): Promise<unknown> {
  switch (wanted.do) {
    case "open":
      return open(wanted);
    case "install": {
      const { plugin } = await opened().plugins.install(OPERATOR, { source: wanted.source });
      installed.add(plugin.id);
      await opened().plugins.approve(OPERATOR, plugin.id, wanted.approve);
      return { id: plugin.id };
    }
    case "load":
      return void (await opened().plugins.load(OPERATOR, wanted.plugin));
    case "unload":
      return void (await opened().plugins.unload(OPERATOR, wanted.plugin));
    case "call":
      return call(wanted);
    case "secret":
      return opened().secrets.set(OPERATOR, wanted.name, wanted.value, [wanted.origin]);
    case "swap":
      return swap(wanted);
    case "health":
      return healthOf();
    case "close": {
      const verified = await opened().audit.verify();
      await opened().close();
      return { audit: verified.ok };
    }
  }
}

async function replyTo(line: string): Promise<Reply> {
  const { id, order } = request.parse(JSON.parse(line));
  try {
    return { id, ok: true, result: (await perform(order)) ?? null };
  } catch (thrown) {
    const { code, message, detail, cause } = toSallyportError(thrown);
    // It is our own throw-away host: a defect's cause helps, and betrays nothing of anybody's.
    const why = code === "internal" ? String(cause) : detail;
    return { id, ok: false, code, detail: [message, why].filter(Boolean).join(" ") };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await replyTo(line))}\n`);
}
// Who ordered is gone: nothing is to stay behind.
await host?.close();
process.exit();
