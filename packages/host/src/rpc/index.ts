export { createLineReader, type LineReader } from "./lines.ts";
export { createPeer } from "./peer.ts";
export { isRecord, type RemoteError } from "./messages.ts";
export { createRateCap, type RateCap } from "./rate-cap.ts";
export { type Alarm, createAlarm, type Timers, systemTimers } from "./timers.ts";
export type { Peer, PeerAnswer, PeerLimits, PeerOptions, PeerStats } from "./types.ts";
