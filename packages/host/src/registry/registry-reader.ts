import { join } from "node:path";
import { displayLine, SallyportError } from "../kernel/index.ts";
import { readSmallFile } from "./index-folder.ts";
import { webGet, type WebPorts } from "./web-get.ts";

/** Reads files of one registry's folder, wherever that is. The names come from signed files or are constants. */
export interface RegistryReader {
  /** @throws {SallyportError} `not_found`, `network_failed`, `address_refused`, `source_too_large`. */
  read(file: string, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** Where a registry is: an absolute path of a folder, or an address that ends with a slash. */
export type RegistryPlace =
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "web"; readonly url: URL; readonly private: boolean };

/**
 * Reads what an operator wrote for a registry's place.
 * @throws {SallyportError} `usage`.
 */
export function parseRegistryPlace(text: string, isPrivate: boolean): RegistryPlace {
  if (text.startsWith("/")) return { kind: "folder", path: text };
  const url = text.length > 2000 ? null : URL.parse(text);
  const sound = url !== null && url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!sound || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new SallyportError("usage", `"${displayLine(text, 200)}" is no place of a registry.`, {
      detail: "It is an https:// address without query or password, or the absolute path of a folder.",
      fix: "Write for example https://plugins.acme.example/ or /srv/plugins.",
    });
  }
  if (url.protocol === "http:" && !isPrivate) {
    throw new SallyportError("usage", "Plain HTTP is taken only from your own network.", {
      detail: "Its index is signed, but anybody on the way could hold it back or see what you install.",
      fix: "Use its https:// address; for a registry of your own network, add --private.",
    });
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return { kind: "web", url, private: isPrivate };
}

export function createRegistryReader(place: RegistryPlace, ports: WebPorts): RegistryReader {
  if (place.kind === "web") {
    return {
      read: (file, maxBytes, signal) =>
        webGet({ url: new URL(encodeURIComponent(file), place.url), maxBytes, private: place.private, signal }, ports),
    };
  }
  return {
    async read(file, maxBytes) {
      const bytes = await readSmallFile(join(place.path, file), maxBytes);
      if (bytes !== undefined) return bytes;
      throw new SallyportError("not_found", `There is no ${displayLine(file)} in the registry's folder.`, {
        fix: "Check its path (sallyport registry list), and whether its index was made: sallyport registry index DIR",
      });
    },
  };
}
