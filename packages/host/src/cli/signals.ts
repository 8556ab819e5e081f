/** Waits for something that can be stopped. A first signal stops it, a second ends the process at once. */
export async function untilStopped(running: { stop(): Promise<void>; readonly stopped: Promise<void> }): Promise<void> {
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let signals = 0;
  const onSignal = (): void => {
    signals++;
    if (signals > 1) process.exit(1);
    void running.stop();
  };
  for (const name of names) process.on(name, onSignal);
  try {
    await running.stopped;
  } finally {
    for (const name of names) process.off(name, onSignal);
  }
}
