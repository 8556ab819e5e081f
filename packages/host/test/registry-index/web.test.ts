import { describe, expect, it } from "vitest";
import { classifyAddress } from "../../src/broker/index.ts";
import { parseRegistryPlace } from "../../src/registry/index.ts";
import { webGet } from "../../src/registry/web-get.ts";
import { temporaryFolder } from "../registry/plugin-folder.ts";
import { type Handler, site } from "./support.ts";

async function get(
  url: string,
  given: { readonly private?: boolean; readonly names?: Readonly<Record<string, string>> } = {},
) {
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return [given.names?.[host] ?? "203.0.113.1"];
  };
  const ports = { classify: classifyAddress, resolve, limits: { totalMs: 5000 } };
  const bytes = webGet({ url: new URL(url), maxBytes: 100, private: given.private ?? false }, ports);
  return { text: await bytes.then((all) => all.toString("utf8")), asked };
}

const refused = (detail: string) =>
  expect.objectContaining({ code: "address_refused", detail: expect.stringContaining(detail) });
const moved =
  (location: string, status = 302): Handler =>
  (_request, response) =>
    void response.writeHead(status, { location }).end();

describe("fetching a registry's file", () => {
  it("refuses every address that is not public, written or resolved, unless the registry is a private one", async () => {
    const { url, instead } = await site(temporaryFolder());
    instead.set("a", Buffer.from("hello"));
    expect((await get(`${url}a`, { private: true })).text).toBe("hello");
    await expect(get(`${url}a`)).rejects.toEqual(refused("Plain HTTP"));
    await expect(get("https://127.0.0.1/a")).rejects.toEqual(refused("loopback"));
    await expect(get("https://[::1]/a")).rejects.toEqual(refused("loopback"));
    await expect(get("https://registry.example/a", { names: { "registry.example": "10.0.0.1" } })).rejects.toEqual(
      refused("private"),
    );
    for (const address of ["169.254.169.254", "224.0.0.1", "fe80::1"]) {
      const names = { "registry.example": address };
      await expect(get("https://registry.example/a", { private: true, names })).rejects.toMatchObject({
        code: "address_refused",
      });
    }
    await expect(get("https://user:secret@example.com/a")).rejects.toEqual(refused("password"));
    await expect(get("file:///etc/passwd")).rejects.toEqual(refused("Only HTTPS"));
  });

  it("follows a redirect at home and none to another place of this network, to plain HTTP, or without end", async () => {
    const { url, instead } = await site(temporaryFolder());
    const other = await site(temporaryFolder());
    other.instead.set("a", Buffer.from("stolen"));
    instead.set("b", Buffer.from("moved"));
    instead.set("a", moved("/b", 308));
    expect((await get(`${url}a`, { private: true })).text).toBe("moved");
    for (const place of [`${other.url}a`, "http://example.com/a", "ftp://example.com/a", "file:///etc/passwd"]) {
      instead.set("a", moved(place));
      await expect(get(`${url}a`, { private: true })).rejects.toMatchObject({ code: "address_refused" });
    }
    // The operator's word was about this registry's host alone.
    instead.set("a", moved(other.url.replace("http:", "https:")));
    await expect(get(`${url}a`, { private: true })).rejects.toEqual(refused("loopback"));
    instead.set("a", moved("https://inside.example/x"));
    await expect(get(`${url}a`, { private: true, names: { "inside.example": "10.1.1.1" } })).rejects.toEqual(
      refused("private"),
    );
    instead.set("a", moved("/a"));
    await expect(get(`${url}a`, { private: true })).rejects.toMatchObject({ code: "network_failed" });
    expect(other.asked).toEqual([]);
  });

  it("refuses answers that are too long, compressed, failed or none", async () => {
    const { url, instead } = await site(temporaryFolder());
    const ask = () => get(`${url}a`, { private: true });
    instead.set("a", Buffer.alloc(101));
    await expect(ask()).rejects.toMatchObject({ code: "source_too_large" });
    instead.set("a", (_request, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end("x"));
    await expect(ask()).rejects.toMatchObject({ code: "network_failed" });
    instead.set("a", (_request, response) => void response.writeHead(500).end());
    await expect(ask()).rejects.toMatchObject({ code: "network_failed" });
    instead.set("a", (request) => void request.socket.destroy());
    await expect(ask()).rejects.toMatchObject({ code: "network_failed" });
    instead.delete("a");
    await expect(ask()).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("a registry's place", () => {
  it("is an HTTPS address, a folder, or plain HTTP of the own network", () => {
    expect(parseRegistryPlace("https://example.com/a?", false)).toMatchObject({ kind: "web" });
    expect(parseRegistryPlace("https://example.com/a", false)).toMatchObject({
      url: new URL("https://example.com/a/"),
    });
    expect(parseRegistryPlace("/srv/plugins", false)).toEqual({ kind: "folder", path: "/srv/plugins" });
    for (const text of [
      "http://example.com/",
      "ftp://example.com/",
      "plugins",
      "https://a:b@example.com/",
      "https://e.com/?q=1",
    ]) {
      expect(() => parseRegistryPlace(text, false)).toThrow(expect.objectContaining({ code: "usage" }));
    }
  });
});
