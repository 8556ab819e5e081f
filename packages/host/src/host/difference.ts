import {
  answersRequest,
  type Grant,
  type PermissionRequest,
  riskOf,
  type Scope,
  withinScope,
} from "../capability/index.ts";
import type { UpgradeChange, UpgradeDifference } from "../host-api.ts";
import { canonicalJson, displayLine, type PluginRef } from "../kernel/index.ts";
import type { Manifest, ToolDefinition } from "../manifest/index.ts";
import type { StoredPlugin } from "../store/index.ts";
import { definitionsOf } from "./lock-entry.ts";
import { wishSentence } from "./program.ts";

type Version = Pick<StoredPlugin, "manifest" | "publisherKey" | "signature" | "provenance">;

/**
 * What a version is that the one in use is not: in the host's words, and why it needs a person's yes. No question is left when
 * the same trusted key signed both, no tool is another one than before, and nothing more is asked for than was granted.
 */
export function differenceBetween(old: Version, next: Version, grant: Grant | undefined): UpgradeDifference {
  const asked = old.manifest.permissions;
  const added = next.manifest.permissions.filter(
    (request) => !asked.some((known) => covers(old, known, next, request)),
  );
  const removed = asked.filter((request) => !next.manifest.permissions.some((now) => covers(next, now, old, request)));
  const tools = toolChanges(old.manifest, next.manifest);
  const other = otherChanges(old.manifest, next.manifest);
  const signer = signerQuestion(old, next);
  const derived = derivedScopes(next.manifest.permissions, grant);
  const unmet = next.manifest.permissions.filter(
    (request) =>
      request.required &&
      request.scope !== null &&
      !added.includes(request) &&
      request.capability !== "tools" &&
      !derived.some((scope) => answersRequest(scope, request)),
  );
  return {
    added: added.map((request) => changeOf(next.manifest, request)),
    removed: removed.map((request) => changeOf(old.manifest, request)),
    tools,
    other,
    questions: [
      ...signer,
      ...(grant ? [] : ["The version in use has no approval that this one could carry on."]),
      ...added.map((request) => `It asks for more: it ${wishSentence(next.manifest, request)}.`),
      ...unmet.map(
        (request) => `It cannot do without what was not granted before: it ${wishSentence(next.manifest, request)}.`,
      ),
      ...tools.added.map((name) => `It offers another tool: ${name}.`),
      ...tools.changed.map(({ name, what }) => `Its tool ${name} has another ${what.join(", ")}.`),
      ...other.map((what) => `It has other ${what}.`),
      ...isolationQuestion(old.manifest, next.manifest),
    ],
  };
}

/** What a grant for the old version comes to for the new one: never more than was granted, and never more than is asked. */
export function derivedScopes(requests: readonly PermissionRequest[], grant: Grant | undefined): readonly Scope[] {
  const scopes = requests.flatMap((request) => {
    const held = grant?.scopes ?? [];
    const answers = held.filter((scope) => answersRequest(scope, request));
    if (answers.length > 0) return answers;
    const { scope } = request;
    const outer = scope && held.find((own) => withinScope(scope, own));
    return scope && outer ? [scope] : [];
  });
  return [...new Map(scopes.map((scope) => [canonicalJson(scope), scope])).values()];
}

/** Whether whoever said yes to `known` has said yes to `request` in it. */
function covers(before: Version, known: PermissionRequest, after: Version, request: PermissionRequest): boolean {
  if (known.capability !== request.capability) return false;
  if (wishSentence(before.manifest, known) === wishSentence(after.manifest, request)) {
    if (known.scope === null || request.scope === null)
      return known.scope === request.scope && known.mode === request.mode;
    if (canonicalJson(known.scope) === canonicalJson(request.scope)) return true;
  }
  if (request.capability === "tools" || request.scope === null || known.scope === null) return false;
  return withinScope(request.scope, known.scope);
}

function changeOf(manifest: Manifest, request: PermissionRequest): UpgradeChange {
  return {
    key: request.key,
    capability: request.capability,
    risk: riskOf(request),
    sentence: wishSentence(manifest, request),
    required: request.required,
    needsScope: request.scope === null,
  };
}

function toolChanges(old: Manifest, next: Manifest): UpgradeDifference["tools"] {
  const before = new Map(old.tools.map((tool) => [tool.name, tool]));
  const after = new Set(next.tools.map(({ name }) => name));
  const [was, is] = [definitionsOf(old), definitionsOf(next)];
  return {
    added: next.tools.filter(({ name }) => !before.has(name)).map(({ name }) => name),
    removed: old.tools.filter(({ name }) => !after.has(name)).map(({ name }) => name),
    changed: next.tools.flatMap((tool) => {
      const known = before.get(tool.name);
      return known && was[tool.name] !== is[tool.name] ? [{ name: tool.name, what: partsThatDiffer(known, tool) }] : [];
    }),
  };
}

const PARTS = {
  description: "description",
  effect: "effect",
  inputSchema: "input schema",
  outputSchema: "output schema",
  timeoutMs: "time limit",
} as const;

function partsThatDiffer(old: ToolDefinition, next: ToolDefinition): readonly string[] {
  const parts = Object.keys(PARTS).filter((part): part is keyof typeof PARTS => Object.hasOwn(PARTS, part));
  const found = parts.filter((part) => text(old[part]) !== text(next[part])).map((part) => PARTS[part]);
  return found.length > 0 ? found : ["definition"];
}

/** What else a manifest contributes, which agents or people see. */
function otherChanges(old: Manifest, next: Manifest): readonly string[] {
  const kinds = { commands: "commands", routes: "routes", hooks: "hooks", mcpServers: "MCP servers" } as const;
  const keys = Object.keys(kinds).filter((kind): kind is keyof typeof kinds => Object.hasOwn(kinds, kind));
  return keys.filter((kind) => text(old[kind]) !== text(next[kind])).map((kind) => kinds[kind]);
}

function isolationQuestion(old: Manifest, next: Manifest): readonly string[] {
  if (old.isolation.minimum !== "kernel" || next.isolation.minimum === "kernel") return [];
  return ["It accepts to run without a kernel sandbox, which it did not before."];
}

function text(value: unknown): string {
  return value === undefined ? "" : canonicalJson(value);
}

function signerQuestion(old: Version, next: Version): readonly string[] {
  const { publisherKey: key } = next;
  if (key !== undefined && key === old.publisherKey) return [];
  if (key !== undefined) {
    return old.publisherKey === undefined
      ? [`It is signed by ${displayLine(key)}; the version in use is not signed by a trusted key.`]
      : [`It is signed by another key: ${displayLine(key)}, not ${displayLine(old.publisherKey)}.`];
  }
  if (next.signature !== undefined || next.provenance !== undefined)
    return ["It is signed by nobody who is trusted here, so nobody can say that the same people made it."];
  return ["It is not signed, so nobody can say that the same people made it."];
}

/** For the sentence of a request: only what is added. */
export function addedSentence(from: PluginRef, to: PluginRef, { questions }: UpgradeDifference): string {
  const added = questions.length === 0 ? "It asks for nothing more." : questions.join(" ");
  return `Plugin ${to.id} ${to.version}, in the place of ${from.version}. ${added}`;
}
