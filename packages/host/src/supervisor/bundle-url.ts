import { SallyportError } from "../kernel/index.ts";

/**
 * URL of the bundle as the plugin's process sees it. The path comes from a manifest, through the store: it is checked
 * again here, where it becomes an address.
 * @throws {SallyportError} `entry_invalid`.
 */
export function bundleUrl(rootUrl: string, bundle: string): string {
  const parts = bundle.split("/");
  if (
    bundle.includes("\0") ||
    bundle.includes("\\") ||
    parts.some((part) => part === "" || part === "." || part === "..")
  ) {
    throw new SallyportError("entry_invalid", "The bundle's path leaves the plugin's directory.");
  }
  return new URL(parts.map(encodeURIComponent).join("/"), rootUrl).href;
}
