import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answersRequest,
  coveredBy,
  covers,
  networkScope,
  parseScopeArgument,
  type PermissionRequest,
  type Scope,
  type Wish,
  withinScope,
} from "../../src/capability/index.ts";
import { assertLegalEdge, isLegalEdge } from "../../src/catalog/index.ts";
import { EFFECTS, PLUGIN_STATES, type PluginState, SallyportError } from "../../src/kernel/index.ts";
import {
  compilePolicy,
  type PolicyDecision,
  type PolicyDefaults,
  type PolicyQuery,
  type PolicyRule,
} from "../../src/policy/index.ts";
import { runs } from "./campaign.ts";

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/);
const host = fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join("."));
const segments = fc.array(label, { maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
const mode = fc.constantFrom("r" as const, "rw" as const);

/** A scope and a wish at its very edge: what the scope just admits. */
const edge: fc.Arbitrary<{ scope: Scope; wish: Wish }> = fc.oneof(
  fc
    .record({
      host,
      sub: label,
      wild: fc.boolean(),
      port: fc.integer({ min: 1, max: 65_535 }),
      path: segments,
      rest: segments,
    })
    .map(({ host: name, sub, wild, port, path, rest }) => ({
      scope: networkScope({
        host: wild ? `*.${name}` : name,
        port,
        methods: ["GET"],
        paths: [`${path === "/" ? "" : path}/**`],
      }),
      wish: {
        capability: "network" as const,
        host: wild ? `${sub}.${name}` : name,
        port,
        scheme: "https" as const,
        method: "GET",
        path: `${path === "/" ? "" : path}${rest}`,
      },
    })),
  fc.record({ path: segments, below: segments, mode }).map(({ path, below, mode: granted }) => ({
    scope: { capability: "filesystem" as const, path, mode: granted },
    wish: {
      capability: "filesystem" as const,
      path: below === "/" ? path : `${path === "/" ? "" : path}${below}`,
      mode: granted === "r" ? ("r" as const) : ("w" as const),
    },
  })),
  fc.record({ name: label, origin: host, expose: fc.boolean() }).map(({ name, origin, expose }) => {
    const use = { origin: `https://${origin}`, in: "header:x-key", format: "{}" };
    return {
      scope: { capability: "secrets" as const, name, use, ...(expose ? { expose } : {}) },
      wish: { capability: "secrets" as const, name, use },
    };
  }),
  fc.record({ command: label, args: fc.array(label, { maxLength: 3 }) }).map(({ command, args }) => ({
    scope: { capability: "exec" as const, command, args },
    wish: { capability: "exec" as const, command, args },
  })),
  fc.record({ connection: label, mode }).map(({ connection, mode: granted }) => ({
    scope: { capability: "database" as const, connection, mode: granted },
    wish: { capability: "database" as const, connection, mode: granted === "r" ? ("r" as const) : ("w" as const) },
  })),
  fc.record({ topic: label, rest: label }).map(({ topic, rest }) => ({
    scope: { capability: "events" as const, direction: "publish" as const, topic: `${topic}*` },
    wish: { capability: "events" as const, direction: "publish" as const, topic: `${topic}${rest}` },
  })),
);

/** The wish with one of its fields just outside. */
function outside(wish: Wish): Wish[] {
  switch (wish.capability) {
    case "network":
      return [
        { ...wish, host: `${wish.host}.evil` },
        { ...wish, host: `x${wish.host.split(".").slice(-1)[0]}` },
        { ...wish, port: (wish.port % 65_535) + 1 },
        { ...wish, scheme: "http" },
        { ...wish, scheme: "wss" },
        { ...wish, method: "POST" },
        { ...wish, method: "get" },
        { ...wish, path: `${wish.path}/../..` },
        { ...wish, path: `${wish.path}%2f..` },
        { ...wish, path: "" },
      ];
    case "filesystem":
      return [
        { ...wish, path: `${wish.path}/..` },
        { ...wish, path: `${wish.path}/./x` },
        { ...wish, path: `\${data}${wish.path}` },
        { ...wish, path: `${wish.path}//x` },
        { ...wish, path: `${wish.path}\0` },
        { ...wish, path: "" },
        ...(wish.mode === "r" ? [{ ...wish, mode: "w" as const }] : []),
      ];
    case "secrets":
      return [
        { ...wish, name: `${wish.name}x` },
        ...(wish.use === undefined
          ? []
          : [
              { ...wish, use: { ...wish.use, origin: `${wish.use.origin}:8443` } },
              { ...wish, use: { ...wish.use, in: "query:x-key" } },
              { ...wish, use: { ...wish.use, format: "Bearer {}" } },
            ]),
      ];
    case "exec":
      return [
        { ...wish, command: `${wish.command} ` },
        { ...wish, args: [...wish.args, "--help"] },
        { ...wish, args: wish.args.length === 0 ? ["x"] : wish.args.slice(1) },
      ];
    case "database":
      return [
        { ...wish, connection: `${wish.connection}x` },
        ...(wish.mode === "r" ? [{ ...wish, mode: "w" as const }] : []),
      ];
    case "events":
      return [
        { ...wish, direction: "consume" },
        { ...wish, topic: "" },
        { ...wish, topic: `_${wish.topic}` },
        { ...wish, topic: `${wish.topic}*` },
      ];
    case "agent":
    case "system":
      return [];
  }
}

describe("a grant", () => {
  it("admits the wish at its edge, and refuses it with any one field outside [S0-10] [S1-11]", () => {
    fc.assert(
      fc.property(edge, ({ scope, wish }) => {
        assert(covers(scope, wish), JSON.stringify({ scope, wish }));
        assert(withinScope(scope, scope));
        for (const wider of outside(wish)) {
          assert(!covers(scope, wider), `${JSON.stringify(scope)} admits ${JSON.stringify(wider)}`);
        }
      }),
      runs(1500),
    );
  });

  it("never grows when one is taken away, and never shrinks when one is added", () => {
    fc.assert(
      fc.property(fc.array(edge, { minLength: 1, maxLength: 5 }), edge, fc.nat(), (held, { scope, wish }, at) => {
        const scopes = held.map((each) => each.scope);
        const fewer = scopes.toSpliced(at % scopes.length, 1);
        for (const one of [wish, ...held.map((each) => each.wish)]) {
          if (coveredBy(fewer, one)) assert(coveredBy(scopes, one));
          if (coveredBy(scopes, one)) assert(coveredBy([...scopes, scope], one));
        }
      }),
      runs(500),
    );
  });

  it("that answers a request admits nothing that was not asked [S1-10]", () => {
    const pattern = fc.constantFrom("a.test", "*.a.test", "b.a.test", "*.b.a.test", "c.b.a.test");
    const wish = fc.record({
      capability: fc.constant("network" as const),
      host: fc.constantFrom("a.test", "b.a.test", "c.b.a.test"),
      port: fc.constantFrom(443, 8443),
      scheme: fc.constant("https" as const),
      method: fc.constantFrom("GET", "POST"),
      path: fc.constantFrom("/", "/v1", "/v1/a", "/v1/a/b"),
    });
    const scope = fc
      .record({
        host: pattern,
        port: fc.constantFrom(443, 8443),
        methods: fc.constantFrom(undefined, ["GET"], ["GET", "POST"]),
        paths: fc.constantFrom(undefined, ["/v1/*"], ["/v1/**"], ["/v1"], ["/*/a", "/"]),
      })
      .map((parts) => networkScope(parts));
    let answered = 0;
    fc.assert(
      fc.property(scope, scope, fc.array(wish, { maxLength: 12 }), fc.boolean(), (asked, given, wishes, isPrivate) => {
        const request: PermissionRequest = { key: "k", capability: "network", scope: asked, required: true };
        if (!answersRequest({ ...given, ...(isPrivate ? { private: true } : {}) }, request)) return;
        answered++;
        for (const one of wishes)
          if (covers(given, one)) assert(covers(asked, one), JSON.stringify({ asked, given, one }));
      }),
      runs(4000),
    );
    expect(answered).toBeGreaterThan(50);
  });

  it("is read from a command line as one scope or refused, whatever the text", () => {
    const text = fc
      .array(
        fc.oneof(
          fc.constantFrom(
            ..."network filesystem secrets exec database agent events system hooks tools = : / * + , ; @ .. ${data} a.test 443 r rw https:// expose [ ] -> \0".split(
              " ",
            ),
          ),
          fc.string({ maxLength: 4 }),
        ),
        { maxLength: 8 },
      )
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (argument) => {
        try {
          const scope = parseScopeArgument(argument);
          assert(withinScope(scope, scope), argument);
        } catch (error) {
          assert(error instanceof SallyportError && error.code === "usage", String(error));
        }
      }),
      runs(2000),
    );
  });
});

describe("the lifecycle", () => {
  /** Told from the design's sentences, not from the table. */
  const live: readonly PluginState[] = ["starting", "running", "idle", "unhealthy"];

  it("lets no order of events into a live state without an approval, nor out of a terminal one [S1-25] [S1-34]", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PLUGIN_STATES), { maxLength: 60 }), (wanted) => {
        let state: PluginState = "discovered";
        let approved = false;
        let ended = false;
        for (const next of wanted) {
          const legal = isLegalEdge(state, next);
          if (legal) assertLegalEdge("fuzz", state, next);
          else assert.throws(() => assertLegalEdge("fuzz", state, next), { code: "illegal_transition" });
          if (!legal) continue;
          assert(!ended, `${state} → ${next}`);
          if (next === "approved") approved = true;
          if (["validated", "denied", "pending_approval"].includes(next)) approved = false;
          if (live.includes(next)) assert(approved, `${state} → ${next} without an approval`);
          if (next === "running") assert(["starting", "unhealthy"].includes(state), `${state} → running`);
          ended = next === "revoked" || next === "invalid";
          state = next;
        }
        assert(ended || isLegalEdge(state, "revoked"));
      }),
      runs(3000),
    );
  });
});

describe("the policy", () => {
  const decision = fc.constantFrom("allow" as const, "require_approval" as const, "deny" as const);
  const tool = fc.constantFrom("a__x", "a__y", "b__x");
  const rule = fc.record(
    {
      id: fc.uuid(),
      tool: fc.oneof(tool, fc.constantFrom("*", "a__*", "a__x*", "", "b*")),
      plugin: fc.constantFrom("a", "b"),
      agent: fc.constantFrom("one", "two"),
      effect: fc.uniqueArray(fc.constantFrom(...EFFECTS), { maxLength: 3 }),
      decision,
    },
    { requiredKeys: ["id", "decision"] },
  );
  const query = fc.record({ agent: fc.constantFrom("one", "two"), tool, effect: fc.constantFrom(...EFFECTS) });
  const defaults = fc.dictionary(fc.constantFrom(...EFFECTS), decision);

  function decide(
    rules: readonly PolicyRule[],
    asked: Omit<PolicyQuery, "risk" | "permissions">,
    fallback: PolicyDefaults,
  ): PolicyDecision {
    const found = compilePolicy([{ name: "fuzz", rules }], fallback).forTool({
      ...asked,
      risk: "low",
      permissions: [],
    });
    return found.fixed ?? assert.fail("No rule asks for more than agent and tool.");
  }

  it("decides as a walk over all rules would, in any order, and deny wins [S2-28]", () => {
    const strength = ["allow", "require_approval", "deny"];
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 12 }), query, defaults, fc.nat(), (rules, asked, fallback, turn) => {
        const [plugin = ""] = asked.tool.split("__");
        const found = rules.filter(
          (each) =>
            (each.plugin === undefined || each.plugin === plugin) &&
            (each.agent === undefined || each.agent === asked.agent) &&
            (each.effect === undefined || each.effect.some((effect) => effect === asked.effect)) &&
            (each.tool === undefined ||
              each.tool === asked.tool ||
              (each.tool.endsWith("*") && asked.tool.startsWith(each.tool.replace(/\*$/, "")))),
        );
        const expected =
          found.length === 0
            ? (fallback[asked.effect] ?? "deny")
            : strength[Math.max(...found.map((each) => strength.indexOf(each.decision)))];
        const turned = [...rules.slice(turn % (rules.length + 1)), ...rules.slice(0, turn % (rules.length + 1))];
        for (const order of [rules, rules.toReversed(), turned]) {
          const answer = decide(order, { ...asked, plugin }, fallback);
          assert.equal(answer.decision, expected);
          if (found.length > 0) assert(found.some(({ id }) => id === answer.rule));
        }
        const denied = decide([...rules, { id: "no", decision: "deny" }], { ...asked, plugin }, fallback);
        assert.equal(denied.decision, "deny");
      }),
      runs(2000),
    );
  });
});
