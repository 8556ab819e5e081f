export { renderError } from "./error.ts";
export { safeJson } from "./json.ts";
export { createProgressBar, type ProgressBar } from "./progress.ts";
export { createStyle, type Style } from "./style.ts";
export { fields, table } from "./table.ts";
export { isoTime, parseExpiry, parsePast } from "./time.ts";
