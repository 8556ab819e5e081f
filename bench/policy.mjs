/**
 * One decision with 10, 1,000 and 10,000 rules, p50 and p99 of single decisions, against a peer: the same rules asked one after the other,
 * each by its compiled parts, as a policy without an index does. Budget: 1,000 rules, 3 µs p99. Three mixes of rules:
 * `other tools` (one unconditional rule is about the tool that is called), `conditions` (one in ten of the tool's own hundred rules asks for
 * arguments), `one tool` (all rules ask for an argument of the very tool that is called). Also what compiling costs, once per (agent, tool).
 */
import { compileConditions, compilePolicy, createFlowMemory } from "../packages/host/dist/policy/index.js";
import { show } from "./measure.mjs";

const QUICK = process.argv.includes("--quick");
const ROUNDS = QUICK ? 3 : 9;
const ROUND_MS = QUICK ? 30 : 200;
const MOST = 100_000;
const TOOL = "weather__forecast";
const QUERY = {
  agent: "local",
  plugin: "weather",
  tool: TOOL,
  effect: "external",
  risk: "high",
  permissions: ["network", "network:api.example.com:443"],
};
const INPUT = { city: "Bern", days: 3 };
const FACTS = { input: INPUT, time: { now: Date.now(), certain: true }, flow: createFlowMemory(0) };
const DECISION = ["allow", "require_approval", "deny"];

const MIXES = {
  "other tools": (n) => ({ tool: `plugin${n % 997}__tool${n}`, decision: DECISION[n % 3] }),
  conditions: (n) =>
    n < 100
      ? {
          tool: TOOL,
          decision: "allow",
          ...(n % 10 === 0 ? { when: { city: { equals: `City ${n}` } } } : { agent: `a${n}` }),
        }
      : { tool: `plugin${n % 997}__tool${n}`, when: { path: { path: `/srv/${n}/**` } }, decision: DECISION[n % 3] },
  "one tool": (n) => ({ tool: TOOL, when: { city: { equals: `City ${n}` } }, decision: DECISION[n % 3] }),
};

function rulesOf(mix, count) {
  return Array.from({ length: count }, (_, n) => ({ id: `rule ${n}`, ...MIXES[mix](n) }));
}

/** The peer: no index, no compiling per tool; the strictest of all rules that match. */
function linear(rules) {
  const compiled = rules.map((rule) => ({ rule, when: rule.when && compileConditions(rule.when) }));
  const strength = { allow: 0, require_approval: 1, deny: 2 };
  return (query, facts) => {
    let winner;
    for (const { rule, when } of compiled) {
      if (rule.tool !== query.tool) continue;
      if (rule.agent !== undefined && rule.agent !== query.agent) continue;
      if (when && !(rule.decision === "allow" ? when.matches(facts.input) : when.mayMatch(facts.input))) continue;
      if (!winner || strength[rule.decision] > strength[winner.decision]) winner = rule;
    }
    return winner?.decision ?? "require_approval";
  };
}

/** Single decisions, in microseconds, for as long as a round lasts; the clock itself costs about 0.05. */
function timed(decide) {
  const times = [];
  const end = performance.now() + ROUND_MS;
  for (let start = performance.now(); start < end && times.length < MOST; start = performance.now()) {
    decide();
    times.push((performance.now() - start) * 1000);
  }
  times.sort((x, y) => x - y);
  return { p50: times[Math.floor(times.length / 2)], p99: times[Math.floor(times.length * 0.99)] };
}

for (const mix of Object.keys(MIXES)) {
  for (const count of [10, 1000, 10_000]) {
    const rules = rulesOf(mix, count);
    const policy = compilePolicy([{ name: "bench", rules }], { external: "require_approval" });
    const tool = policy.forTool(QUERY);
    const peer = linear(rules);
    const seen = { compile: [], ours: [], peers: [] };
    const decide = () => tool.fixed ?? tool.decide(FACTS);
    if (decide().decision !== peer(QUERY, FACTS)) throw new Error("The two do not decide the same.");
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      policy.forTool(QUERY);
      seen.compile.push((performance.now() - start) * 1000);
      seen.ours.push(timed(decide));
      seen.peers.push(timed(() => peer(QUERY, FACTS)));
    }
    console.log(`${count} rules, ${mix}`);
    for (const q of ["p50", "p99"]) {
      const peers = seen.peers.map((one) => one[q]);
      show(`peer: every rule in turn, ${q}`, peers, "µs");
      show(
        `one decision, ${q}`,
        seen.ours.map((one) => one[q]),
        "µs",
        peers,
      );
    }
    show("compiled once for an agent and a tool", seen.compile, "µs");
  }
}
