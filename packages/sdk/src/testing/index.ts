/** Runs a plugin in a unit test, against fakes of what the host grants. */
export type { RecordedRequest } from "./fake-host.ts";
export type {
  FakeDatabase,
  FakeExec,
  FakeFetch,
  FakeRows,
  FakeRun,
  Fakes,
  FakeSocket,
  FakeWebSocket,
} from "./fakes.ts";
export { type CallOptions, type RunningPlugin, type RunOptions, runPlugin } from "./run-plugin.ts";
