/** Wall clock in milliseconds since the epoch, and a monotonic clock in milliseconds. Passed in, so that tests own time. */
export interface Clock {
  now(): number;
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
