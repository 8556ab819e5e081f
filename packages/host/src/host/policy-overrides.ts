import type { AuditLog } from "../audit/index.ts";
import type { Operator, OverrideRequest, OverrideView } from "../host-api.ts";
import { type Clock, newId, SallyportError, toSallyportError } from "../kernel/index.ts";
import {
  type PolicyClock,
  type PolicyLayer,
  type PolicyRule,
  type RuleFile,
  ruleShape,
  toRule,
} from "../policy/index.ts";
import { type Database, deleteOverride, listOverrides, saveOverride, type StoredOverride } from "../store/index.ts";
import { actorOf, eventOf } from "./plugins-deps.ts";

export interface OverridesDeps {
  readonly db: Database;
  readonly audit: Pick<AuditLog, "commit">;
  readonly clock: Clock;
  readonly time: PolicyClock;
  /** Reads what operators decided again. */
  refresh(): Promise<void>;
  readonly onDefect: (error: unknown) => void;
}

export interface Overrides {
  list(): Promise<readonly OverrideView[]>;
  add(operator: Operator, request: OverrideRequest): Promise<OverrideView>;
  remove(operator: Operator, id: string): Promise<void>;
  /** Takes out what is over, and again when the next one is. */
  sweep(): Promise<void>;
  close(): void;
}

const MOST = 1000;
const MOST_MS = 30 * 24 * 3_600_000;
/** Timers take no longer than that; and a clock that is put forward is noticed. */
const LOOK_AGAIN_MS = 3_600_000;

/**
 * Rules for a time. They lift no deny and no question that another rule asks; when their time is over they are taken out of the store, so
 * that no clock brings them back.
 */
export function createOverrides(deps: OverridesDeps): Overrides {
  const { db, audit, clock, time } = deps;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  async function end(override: StoredOverride, actor: string, change: string): Promise<void> {
    const event = eventOf(clock, "policy.changed", actor, {
      rule: override.id,
      data: { change, ...factsOf(override) },
    });
    await audit.commit([deleteOverride(override.id)], [event]);
  }

  function wakeAt(ends: readonly number[]): void {
    clearTimeout(timer);
    if (closed || ends.length === 0) return;
    const wait = Math.min(LOOK_AGAIN_MS, Math.max(0, Math.min(...ends) - clock.now()) + 1);
    timer = setTimeout(() => void sweep().catch(deps.onDefect), wait);
    timer.unref();
  }

  async function sweep(): Promise<void> {
    const all = await listOverrides(db);
    const { now, certain } = time.read();
    const over = certain ? all.filter(({ endsAt }) => endsAt <= now) : [];
    for (const override of over) {
      await end(override, "host", "override ended").catch((error: unknown) => {
        // An operator took it out first.
        if (toSallyportError(error).code !== "conflict") throw error;
      });
    }
    if (over.length > 0) await deps.refresh();
    wakeAt(all.filter((override) => !over.includes(override)).map(({ endsAt }) => endsAt));
  }

  return {
    list: async () => (await listOverrides(db)).map(toView),
    async add(operator, { rule, endsAt }) {
      const now = clock.now();
      if (!(endsAt > now && endsAt <= now + MOST_MS)) {
        throw new SallyportError("usage", "An override ends within 30 days from now.", {
          fix: "Give --until 2h, or write a lasting rule into config.yml.",
        });
      }
      checkRule(rule);
      if ((await listOverrides(db)).length >= MOST) {
        throw new SallyportError("limit_exceeded", `There are ${MOST} overrides already.`, {
          fix: "Remove some, or write a lasting rule into config.yml.",
        });
      }
      const override = { id: newId("ovr"), rule, endsAt, setBy: operator.name, setAt: now };
      const event = eventOf(clock, "policy.changed", actorOf(operator), {
        rule: override.id,
        data: { change: "override added", ...factsOf(override) },
      });
      await audit.commit([saveOverride(override)], [event]);
      await deps.refresh();
      await sweep();
      return toView(override);
    },
    async remove(operator, id) {
      const override = (await listOverrides(db)).find((one) => one.id === id);
      if (!override) {
        throw new SallyportError("not_found", "There is no such override.", {
          fix: "List them: sallyport policy override list",
        });
      }
      await end(override, actorOf(operator), "override removed");
      await deps.refresh();
    },
    sweep,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** @throws {SallyportError} `usage` for what is no rule, or has an id or an end of its own. */
function checkRule(rule: unknown): void {
  const parsed = parseRule(rule);
  if (parsed.id === undefined && parsed.time?.until === undefined) return;
  throw new SallyportError("usage", "An override gets its id here, and its end beside the rule.", {
    fix: "Leave out id and until.",
  });
}

function parseRule(rule: unknown): RuleFile & { readonly time?: PolicyRule["time"] } {
  const read = ruleShape.safeParse(rule);
  if (read.success) return read.data;
  const [first] = read.error.issues;
  throw new SallyportError(
    "usage",
    `This is no rule: ${first?.path.map(String).join(".") ?? ""} ${first?.message ?? ""}`,
    {
      fix: "See docs/policy.md for what a rule holds.",
    },
  );
}

/** The temporary layer. @throws {SallyportError} `usage` for one that cannot be read: it may be one that denies. */
export function overrideLayer(overrides: readonly StoredOverride[]): PolicyLayer {
  return {
    name: "overrides",
    temporary: true,
    rules: overrides.map(({ id, rule, endsAt, setAt }) => {
      const parsed = toRule(parseRule(rule), `override ${id}`);
      return { ...parsed, time: { from: setAt, ...withoutAbsent(parsed.time ?? {}), until: endsAt } };
    }),
  };
}

function withoutAbsent(time: NonNullable<PolicyRule["time"]>): NonNullable<PolicyRule["time"]> {
  return Object.fromEntries(Object.entries(time).filter(([, value]) => value !== undefined));
}

function toView({ id, rule, endsAt, setBy, setAt }: StoredOverride): OverrideView {
  return { id, rule, endsAt, setBy, setAt };
}

function factsOf({ id, rule, endsAt }: StoredOverride): Readonly<Record<string, unknown>> {
  return { id, rule, ends_at: endsAt };
}
