import type { Operator, RevocationMark, RevocationView } from "../host-api.ts";
import { SallyportError } from "../kernel/index.ts";
import {
  closeApprovalsOf,
  insertRevocation,
  listRevocations,
  type Revocation,
  type StoredPlugin,
} from "../store/index.ts";
import { readPluginSignature } from "../trust/index.ts";
import { actorOf, eventOf, type PluginsDeps, withdrawal } from "./plugins-deps.ts";

const ID = /^[a-z][a-z0-9-]*(?:\/[a-z][a-z0-9-]*)?$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * Permanent, by id and by the bytes and code of every version, so that neither another version nor another name helps. The marks
 * are durable before anything is stopped.
 */
export async function revoke(deps: PluginsDeps, operator: Operator, id: string, reason: string): Promise<StoredPlugin> {
  const { catalog } = deps;
  const newest = catalog.get(id);
  const marks = catalog.versions(id).flatMap(({ ref, codeDigest }): readonly RevocationMark[] => [
    { kind: "tree_digest", value: ref.digest },
    { kind: "code_digest", value: codeDigest },
  ]);
  await mark(deps, operator, id, [{ kind: "id", value: id }, ...marks], reason);
  await stopRevoked(deps, actorOf(operator), operator, reason);
  return catalog.current(newest.ref) ?? newest;
}

/**
 * One mark, of something installed or not. Answers the versions that it stopped.
 * @throws {SallyportError} `usage` for what is no id, digest or key.
 */
export async function revokeMark(
  deps: PluginsDeps,
  operator: Operator,
  { kind, value }: RevocationMark,
  reason: string,
): Promise<readonly StoredPlugin[]> {
  if (kind === "publisher_key") {
    await deps.revokeKey(operator, value, reason);
  } else {
    if (!(kind === "id" ? ID : DIGEST).test(value)) throw malformed(kind);
    const known = deps.catalog.all().find((record) => carries(record, new Set([keyOf(kind, value)])));
    await mark(deps, operator, known?.ref.id ?? (kind === "id" ? value : "*"), [{ kind, value }], reason);
  }
  return stopRevoked(deps, actorOf(operator), operator, reason);
}

export async function revocations(deps: PluginsDeps): Promise<readonly RevocationView[]> {
  return (await listRevocations(deps.db)).map(({ pluginId, ...rest }) => ({ ...rest, plugin: pluginId }));
}

/** What was revoked while it was not in force here, as after a restore, has no other state. */
export async function refuseRevoked(deps: PluginsDeps, actor: string): Promise<void> {
  await stopRevoked(deps, actor, { name: actor }, "revoked");
}

async function mark(
  deps: PluginsDeps,
  operator: Operator,
  pluginId: string,
  marks: readonly RevocationMark[],
  reason: string,
): Promise<void> {
  const revokedAt = deps.clock.now();
  const statements = marks.map(({ kind, value }) =>
    insertRevocation({ kind, value, pluginId, reason, revokedBy: operator.name, revokedAt }),
  );
  await deps.audit.commit(statements, [
    eventOf(deps.clock, "plugin.revoked", actorOf(operator), { reason, data: { plugin: pluginId, marks } }),
  ]);
}

/** Stops all that carries a mark. One that cannot be moved does not keep the others from being stopped. */
async function stopRevoked(
  deps: PluginsDeps,
  actor: string,
  operator: Operator,
  reason: string,
): Promise<readonly StoredPlugin[]> {
  const known = marksOf(await listRevocations(deps.db));
  if (known.size === 0) return [];
  const hit = deps.catalog.all().filter((record) => record.state !== "revoked" && carries(record, known));
  const results = await Promise.allSettled(
    hit.map((record) => {
      const before = withdrawal(deps, record, operator);
      const statements = [
        ...before.statements,
        closeApprovalsOf(record.ref, operator.name, deps.clock.now(), "revoked"),
      ];
      return deps.runtime.stop(record, "revoked", { actor, reason, statements, events: before.events });
    }),
  );
  if (hit.length > 0) await deps.refresh();
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return hit.map((record) => deps.catalog.current(record.ref) ?? record);
}

function keyOf(kind: RevocationMark["kind"], value: string): string {
  return `${kind}\n${value}`;
}

function marksOf(all: readonly Revocation[]): ReadonlySet<string> {
  return new Set(all.map(({ kind, value }) => keyOf(kind, value)));
}

function carries({ ref, codeDigest, publisherKey, signature }: StoredPlugin, known: ReadonlySet<string>): boolean {
  return (
    known.has(keyOf("id", ref.id)) ||
    known.has(keyOf("tree_digest", ref.digest)) ||
    known.has(keyOf("code_digest", codeDigest)) ||
    signersOf(publisherKey, signature).some((key) => known.has(keyOf("publisher_key", key)))
  );
}

/** Whoever signed it, believed here or not: installing found each signature sound. */
function signersOf(publisherKey: string | undefined, signature: string | undefined): readonly string[] {
  const own = publisherKey === undefined ? [] : [publisherKey];
  if (signature === undefined) return own;
  try {
    return [...own, ...readPluginSignature(signature).envelope.signatures.map(({ keyid }) => keyid)];
  } catch {
    return own; // the gate of a load refuses it
  }
}

function malformed(kind: RevocationMark["kind"]): SallyportError {
  return new SallyportError("usage", kind === "id" ? "This is no plugin's id." : "This is no digest.", {
    detail:
      kind === "id" ? "An id is small letters, digits and dashes." : "A digest is sha256: and 64 hexadecimal digits.",
    fix: "Take it from plugin list, plugin info or plugin verify.",
  });
}
