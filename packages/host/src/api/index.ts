export { type ApiOptions, createApi } from "./api.ts";
export { createLogReader, LOG_POLL_MS } from "./log-feed.ts";
export { agentName, callerOf, type Principal, principalOfToken } from "./principal.ts";
export { type Audience, done, type Route } from "./route.ts";
export { toLearn } from "./routes-learn.ts";
export { ROUTES } from "./routes.ts";
export { toLogLine } from "./wire.ts";
