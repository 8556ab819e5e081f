import type { Notifications, PluginNotificationMethod, PluginRequestMethod, Requests } from "../protocol/v1/index.ts";

/** The way to the host: the wire in the runner, the fakes in a test. */
export interface HostPort {
  /** Rejects with a `SallyportError` when the host refuses or fails. */
  request<Method extends PluginRequestMethod>(
    method: Method,
    params: Requests[Method]["params"],
  ): Promise<Requests[Method]["result"]>;
  notify<Method extends PluginNotificationMethod>(method: Method, params: Notifications[Method]): void;
}
