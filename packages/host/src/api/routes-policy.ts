import { z } from "zod";
import type { CallExplanation, OverrideView, PolicyExplanation, Simulation } from "../host-api.ts";
import { handle, nothing, timeMs } from "./fields.ts";
import { done, type Route } from "./route.ts";

/** The API's own bound on a body is smaller than a policy may be; what does not fit is checked without an owner. */
const policyText = z.string().max(1_500_000);
const agent = z.string().min(1).max(100);

export const policyRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/policy",
    verb: "policy.show",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done(host.policy.show()),
  },
  {
    method: "POST",
    path: "/api/policy/check",
    verb: "policy.check",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const { policy } = await request.body(z.strictObject({ policy: policyText.optional() }));
      return done(await request.host.policy.check(policy));
    },
  },
  {
    method: "POST",
    path: "/api/policy/explain",
    verb: "policy.explain",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const shape = z.strictObject({ tool: z.string().min(1).max(200), agent, input: z.unknown().optional() });
      return done(toExplanation(await request.host.policy.explain(await request.body(shape))));
    },
  },
  {
    method: "GET",
    path: "/api/policy/calls/:id",
    verb: "policy.explain_call",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) =>
      done(toCallExplanation(await request.host.policy.explainCall(request.param("id", handle)))),
  },
  {
    method: "POST",
    path: "/api/policy/simulate",
    verb: "policy.simulate",
    audience: "operator",
    needsPassphrase: false,
    handle: async (request) => {
      const shape = z.strictObject({ policy: policyText.optional(), since: timeMs.optional() });
      return done(toSimulation(await request.host.policy.simulate(await request.body(shape))));
    },
  },
  {
    method: "GET",
    path: "/api/policy/overrides",
    verb: "policy.override.list",
    audience: "operator",
    needsPassphrase: false,
    handle: async ({ host }) => done((await host.policy.listOverrides()).map(toOverride)),
  },
  {
    method: "POST",
    path: "/api/policy/overrides",
    verb: "policy.override.add",
    audience: "operator",
    // Unless it denies: whoever is in a hurry must not look for a passphrase.
    needsPassphrase: false,
    needs: "admin",
    handle: async (request) => {
      const shape = z.strictObject({ rule: z.record(z.string(), z.unknown()), ends_at: timeMs });
      const { rule, ends_at: endsAt } = await request.body(shape);
      const operator = request.operator();
      if (rule["decision"] !== "deny") await request.requirePassphrase();
      return done(toOverride(await request.host.policy.addOverride(operator, { rule, endsAt })));
    },
  },
  {
    method: "DELETE",
    path: "/api/policy/overrides/:id",
    verb: "policy.override.remove",
    audience: "operator",
    // It may be one that denies.
    needsPassphrase: true,
    needs: "admin",
    handle: async (request) => {
      const id = request.param("id", handle);
      await request.host.policy.removeOverride(request.operator(), id);
      return done({ id });
    },
  },
  {
    method: "POST",
    path: "/api/policy/accept-clock",
    verb: "policy.accept_clock",
    audience: "operator",
    needsPassphrase: true,
    needs: "admin",
    handle: async (request) => {
      await request.body(nothing);
      return done(await request.host.policy.acceptClock(request.operator()));
    },
  },
];

function toExplanation({ rules, ...rest }: PolicyExplanation) {
  return { ...rest, rules: [...rules] };
}

function toCallExplanation(call: CallExplanation) {
  const { stoppedBy, snapshotInForce, ruleNow, parentCall, ...rest } = call;
  return {
    ...rest,
    stopped_by: stoppedBy,
    snapshot_in_force: snapshotInForce,
    ...(ruleNow === undefined ? {} : { rule_now: ruleNow }),
    ...(parentCall === undefined ? {} : { parent_call: parentCall }),
  };
}

function toSimulation({ notEvaluated, ...rest }: Simulation) {
  return { ...rest, not_evaluated: notEvaluated };
}

function toOverride({ id, rule, endsAt, setBy, setAt }: OverrideView) {
  return { id, rule, ends_at: endsAt, set_by: setBy, set_at: setAt };
}
