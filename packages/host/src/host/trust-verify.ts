import type { VerifyAnswer } from "../host-api.ts";
import { toSallyportError } from "../kernel/index.ts";
import { writeSourceRecord } from "../registry/index.ts";
import type { TrustDecision } from "../trust/index.ts";
import type { PluginsDeps } from "./plugins-deps.ts";
import { subjectOf, trustView } from "./trust.ts";

/**
 * What the evidence of a plugin is worth here, now: of an installed one over its stored bytes, which are read again, or of a
 * source, opened as installing would and not kept. Bytes that are not the approved ones are a refusal, not an error.
 */
export async function verifyPlugin(
  deps: PluginsDeps,
  what: { readonly source: string } | { readonly id: string; readonly version?: string },
): Promise<VerifyAnswer> {
  if ("source" in what) {
    const { opened, record, provenance } = await deps.openSource(what.source);
    const { manifest, manifestDigest, treeDigest } = await deps.prepare(opened);
    const ref = { id: manifest.id, version: manifest.version, digest: treeDigest };
    const subject = subjectOf({ ref, manifest, manifestDigest, source: writeSourceRecord(record) });
    return { ...ref, trust: trustView(await deps.trust.decide(subject, { signature: opened.signature, provenance })) };
  }
  const record = deps.catalog.get(what.id, what.version);
  const decision = await deps.trust.decideFor(record);
  const broken = await brokenBytes(deps, record.ref.digest);
  return { ...record.ref, trust: trustView(broken ? { ...decision, ...broken(decision) } : decision) };
}

type Overrule = (decision: TrustDecision) => Partial<TrustDecision>;

async function brokenBytes(deps: PluginsDeps, digest: string): Promise<Overrule | undefined> {
  try {
    await deps.verifyStored(digest);
    return undefined;
  } catch (error) {
    const { code, message, detail, fix } = toSallyportError(error);
    return ({ evidence }) => ({
      verdict: "refused",
      evidence: evidence.map((item) =>
        item.kind === "digest" ? { kind: "digest", state: "invalid", detail: detail ?? message } : item,
      ),
      reasons: detail === undefined ? [message] : [message, detail],
      publisherKey: undefined,
      refusal: { code, fix: fix ?? "Install the plugin again." },
    });
  }
}
