import type { Scope } from "../capability/index.ts";
import { type Caller, canonicalJson, type PluginRef, sha256 } from "../kernel/index.ts";
import type { StoredApproval } from "../store/index.ts";
import { scopeCovers } from "./scope.ts";

/** All that an approval of one call is bound to. A change in any of it makes another request. */
export interface CallBinding {
  readonly plugin: PluginRef;
  /** `<plugin>__<tool>`. */
  readonly tool: string;
  /** Digest of the whole tool definition. */
  readonly definitionDigest: string;
  /** The agent, the operator who acts as it, the token that proved who asks, and through which plugin. */
  readonly caller: Caller;
  /** Digest of the canonical input. */
  readonly inputDigest: string;
  /** The canonical input itself; never stored. */
  readonly value: unknown;
  /** For people; redacted. */
  readonly input: unknown;
  readonly effect: string;
  /** What the plugin was granted. */
  readonly scopes: readonly Scope[];
  readonly policySnapshot: string;
  /** Ids of the rules that ask, at least one. */
  readonly rules: readonly string[];
}

/** Whether a request or an answer is about this call by this caller. */
export function isAbout(approval: StoredApproval, binding: CallBinding): boolean {
  return isOf(approval, binding) && bytesOf(approval) === bytesOf(binding) && underPolicy(approval, binding);
}

/** Whether an answer, when it is a yes, reaches this call's input. @throws nothing: what cannot be read covers nothing. */
export function coversInput(approval: StoredApproval, binding: CallBinding): boolean {
  return approval.inputDigest === binding.inputDigest || scopeCovers(approval, binding);
}

/** Asked by the same, in the same way, for the same tool. */
export function isOf(approval: StoredApproval, { tool, caller }: CallBinding): boolean {
  return (
    approval.kind === "call" &&
    approval.tool === tool &&
    approval.agent === caller.agent &&
    approval.operator === (caller.operator ?? null) &&
    canonicalJson(approval.via) === canonicalJson(viaOf(caller))
  );
}

export function viaOf({ via }: Caller): StoredApproval["via"] {
  return via === undefined ? null : { plugin: refOf(via.plugin), chain: [...via.chain] };
}

function bytesOf({ plugin, definitionDigest }: Pick<StoredApproval, "plugin" | "definitionDigest">): string {
  return canonicalJson([refOf(plugin), definitionDigest]);
}

function refOf({ id, version, digest }: PluginRef) {
  return { id, version, digest };
}

/** A yes answers the rules that asked for it and no other, whatever else the policy says by now; from before rules were kept, only the same policy. */
function underPolicy({ policySnapshot, rule }: StoredApproval, binding: CallBinding): boolean {
  if (rule === null) return policySnapshot === binding.policySnapshot;
  if (rule === rulesText(binding)) return true;
  const asked = rule.split(BETWEEN_RULES);
  return binding.rules.every((id) => asked.includes(id));
}

/** No rule's id has a comma. */
const BETWEEN_RULES = ", ";

/** More of them than anybody reads are kept as a digest: then only the very same rules are answered. */
const RULES_CHARS = 2000;

/** The rules that a request is about, as it is kept and shown. */
export function rulesText({ rules }: Pick<CallBinding, "rules">): string {
  const text = rules.join(BETWEEN_RULES);
  return text.length <= RULES_CHARS ? text : `${rules[0] ?? ""} and ${rules.length - 1} more (${sha256(text)})`;
}
