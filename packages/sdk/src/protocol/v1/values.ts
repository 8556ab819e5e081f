/** What the messages of protocol v1 are made of. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The call that a request belongs to, or null outside a call. */
export type CallId = string | null;

export type LogLevel = "debug" | "info" | "warn" | "error";
