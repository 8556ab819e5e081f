import type { SearchHitView, SignerView } from "../host-api.ts";
import type { SearchHit } from "../registry/index.ts";
import { scopesName } from "../trust/index.ts";
import type { TrustState } from "./trust.ts";

/** A hit with what this home knows of who signed it. What the index says is checked when it is installed. */
export function toHitView(registry: string, { entry, versions }: SearchHit, trust: TrustState): SearchHitView {
  return {
    registry,
    id: entry.id,
    version: entry.version,
    versions,
    name: entry.name,
    description: entry.description,
    categories: entry.categories,
    signer: signerOf(entry.id, entry.signed_by, trust),
    permissions: entry.permissions,
    publishedAt: entry.published_at,
    integrity: entry.integrity,
  };
}

function signerOf(id: string, keys: readonly string[], trust: TrustState): SignerView {
  const [first] = keys;
  if (first === undefined) return { state: "unsigned" };
  const known = trust.stored.find(
    (key) => keys.includes(key.id) && trust.stateOf(key) === "trusted" && scopesName(key.scopes, id),
  );
  return known ? { state: "signed", key: known.id, name: known.name } : { state: "unknown", key: first };
}
