import * as fc from "fast-check";
import { BlockList } from "node:net";
import { describe, expect, it } from "vitest";
import { classifyAddress } from "../../src/broker/index.ts";

const v4 = fc.ipV4();
const v6 = fc.ipV6();
const hex = (address: string): string =>
  address
    .split(".")
    .map((part) => Number(part).toString(16).padStart(2, "0"))
    .join("")
    .replace(/^(.{4})/, "$1:");

/** The same ranges in Node's own terms, as an independent reader of them. */
const notPublic = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  ["168.63.129.16", 32],
] as const)
  notPublic.addSubnet(net, bits, "ipv4");

describe("classifyAddress", () => {
  it.each([
    ["8.8.8.8", "public"],
    ["127.0.0.1", "loopback"],
    ["127.255.255.254", "loopback"],
    ["10.1.2.3", "private"],
    ["172.15.255.255", "public"],
    ["172.16.0.0", "private"],
    ["172.31.255.255", "private"],
    ["172.32.0.0", "public"],
    ["192.168.1.1", "private"],
    ["100.64.0.1", "shared"],
    ["169.254.1.1", "link-local"],
    ["169.254.169.254", "metadata"],
    ["100.100.100.200", "metadata"],
    ["168.63.129.16", "metadata"],
    ["0.0.0.0", "reserved"],
    ["255.255.255.255", "reserved"],
    ["224.0.0.1", "multicast"],
    ["198.19.255.255", "reserved"],
    ["::", "reserved"],
    ["::1", "loopback"],
    ["2606:4700:4700::1111", "public"],
    ["fc00::1", "private"],
    ["fdff::1", "private"],
    ["fd00:ec2::254", "metadata"],
    ["fd20:ce::254", "metadata"],
    ["fe80::1", "link-local"],
    ["febf::1", "link-local"],
    ["fec0::1", "reserved"],
    ["ff02::1", "multicast"],
    ["::ffff:127.0.0.1", "loopback"],
    ["::ffff:a00:1", "private"],
    ["::ffff:8.8.8.8", "public"],
    ["::127.0.0.1", "reserved"],
    ["64:ff9b::8.8.8.8", "public"],
    ["64:ff9b::10.0.0.1", "reserved"],
    ["64:ff9b::169.254.169.254", "metadata"],
    ["64:ff9b:1::1", "reserved"],
    ["2002:7f00:1::", "reserved"],
    ["2002:808:808::1", "public"],
    ["2001::1", "reserved"],
    ["2001:db8::1", "reserved"],
    ["3fff::1", "reserved"],
    ["100::1", "reserved"],
    ["fe80::1%eth0", "reserved"],
    ["localhost", "reserved"],
    ["2130706433", "reserved"],
    ["127.1", "reserved"],
    ["", "reserved"],
  ])("%s is %s", (address, kind) => {
    expect(classifyAddress(address)).toBe(kind);
  });

  it("calls an IPv4 address public exactly when no special range holds it", () => {
    fc.assert(
      fc.property(v4, (address) => (classifyAddress(address) === "public") !== notPublic.check(address, "ipv4")),
      { numRuns: 2_000 },
    );
  });

  it("sees an IPv4 address through every mapping", () => {
    fc.assert(
      fc.property(v4, (address) => {
        const plain = classifyAddress(address);
        expect(classifyAddress(`::ffff:${address}`)).toBe(plain);
        expect(classifyAddress(`::ffff:${hex(address)}`)).toBe(plain);
        for (const tunnel of [`64:ff9b::${address}`, `2002:${hex(address)}::1`])
          expect(classifyAddress(tunnel) === "public").toBe(plain === "public");
      }),
      { numRuns: 1_000 },
    );
  });

  it("calls an IPv6 address public only in 2000::/3, or mapped to a public IPv4 address", () => {
    const global = new BlockList();
    global.addSubnet("2000::", 3, "ipv6");
    global.addSubnet("::ffff:0:0", 96, "ipv6");
    global.addSubnet("64:ff9b::", 96, "ipv6");
    fc.assert(
      fc.property(v6, (address) => classifyAddress(address) !== "public" || global.check(address, "ipv6")),
      { numRuns: 2_000 },
    );
  });
});
