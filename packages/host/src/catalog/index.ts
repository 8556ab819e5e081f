export { type Catalog, type Move, openCatalog } from "./catalog.ts";
export { assertTrusted, LOAD_GATES, type LoadPermit, type LoadQuestion, passGates } from "./gates.ts";
export { assertLegalEdge, isLegalEdge, isLive } from "./lifecycle.ts";
export { unenforceableAt, unenforceableScopes } from "./enforceable.ts";
export { assertMayBeInProcess, assertSignedForInProcess } from "./in-process.ts";
export { grantedScopes, type GrantedScopes, type Yes } from "./yes.ts";
export { createTurns, type Turns } from "./turns.ts";
