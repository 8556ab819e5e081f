import { isIPv4, isIPv6 } from "node:net";

/**
 * What kind of place an address is. Only `public` may be reached without the operator's word; `private` and `loopback`
 * may be admitted for one name; the rest never.
 */
export type AddressClass =
  | "public"
  | "loopback"
  | "private"
  | "shared"
  | "link-local"
  | "metadata"
  | "multicast"
  | "reserved";

type V4Range = readonly [network: string, bits: number, kind: AddressClass];

/** IANA special-purpose registries. First match wins. */
const V4_RANGES: readonly V4Range[] = [
  ["169.254.169.254", 32, "metadata"],
  ["169.254.170.2", 32, "metadata"],
  ["100.100.100.200", 32, "metadata"],
  ["168.63.129.16", 32, "metadata"],
  ["192.0.0.192", 32, "metadata"],
  ["0.0.0.0", 8, "reserved"],
  ["10.0.0.0", 8, "private"],
  ["100.64.0.0", 10, "shared"],
  ["127.0.0.0", 8, "loopback"],
  ["169.254.0.0", 16, "link-local"],
  ["172.16.0.0", 12, "private"],
  ["192.0.0.0", 24, "reserved"],
  ["192.0.2.0", 24, "reserved"],
  ["192.88.99.0", 24, "reserved"],
  ["192.168.0.0", 16, "private"],
  ["198.18.0.0", 15, "reserved"],
  ["198.51.100.0", 24, "reserved"],
  ["203.0.113.0", 24, "reserved"],
  ["224.0.0.0", 4, "multicast"],
  ["240.0.0.0", 4, "reserved"],
];

const V4_TABLE = V4_RANGES.map(([network, bits, kind]) => ({
  network: v4Number(network) >>> (32 - bits),
  shift: 32 - bits,
  kind,
}));

const V6_METADATA = new Set(["fd000ec2000000000000000000000254", "fd2000ce000000000000000000000254"]);

/** Host names under which clouds serve credentials to their machines. Refused before they are resolved. */
const METADATA_NAMES = new Set([
  "metadata",
  "metadata.google.internal",
  "metadata.goog",
  "metadata.azure.internal",
  "instance-data",
  "instance-data.ec2.internal",
  "metadata.tencentyun.com",
  "metadata.platformequinix.com",
]);

export function isMetadataName(host: string): boolean {
  return METADATA_NAMES.has(host);
}

/** Anything that is no address literal is `reserved`, hence refused. IPv4 inside IPv6 counts as that IPv4 address. */
export function classifyAddress(address: string): AddressClass {
  if (isIPv4(address)) return classifyV4(v4Number(address));
  if (isIPv6(address) && !address.includes("%")) return classifyV6(v6Words(address));
  return "reserved";
}

function classifyV4(number: number): AddressClass {
  for (const { network, shift, kind } of V4_TABLE) {
    // A shift by 32 would be none at all in JavaScript, but no range is that wide.
    if (number >>> shift === network) return kind;
  }
  return "public";
}

function classifyV6(words: readonly number[]): AddressClass {
  const hex = words.map((word) => word.toString(16).padStart(4, "0")).join("");
  const [first = 0, second = 0] = words;
  if (V6_METADATA.has(hex)) return "metadata";
  if (hex === "00000000000000000000000000000001") return "loopback";
  if (hex.startsWith("00000000000000000000ffff")) return classifyV4(v4Of(words, 6));
  // Translators and tunnels lead to an IPv4 address: as public as that one, and never admitted as anything else.
  if (hex.startsWith("0064ff9b0000000000000000")) return publicOnly(classifyV4(v4Of(words, 6)));
  if (first === 0x2002) return publicOnly(classifyV4(v4Of(words, 1)));
  if ((first & 0xfe00) === 0xfc00) return "private";
  if ((first & 0xffc0) === 0xfe80) return "link-local";
  if ((first & 0xff00) === 0xff00) return "multicast";
  // Global unicast is 2000::/3; inside it, protocol assignments (Teredo, ORCHID), documentation.
  if ((first & 0xe000) !== 0x2000) return "reserved";
  if (first === 0x2001 && (second & 0xfe00) === 0) return "reserved";
  if (first === 0x2001 && second === 0x0db8) return "reserved";
  if (first === 0x3fff && (second & 0xf000) === 0) return "reserved";
  return "public";
}

function publicOnly(kind: AddressClass): AddressClass {
  return kind === "public" || kind === "metadata" ? kind : "reserved";
}

function v4Of(words: readonly number[], at: number): number {
  return (((words[at] ?? 0) << 16) | (words[at + 1] ?? 0)) >>> 0;
}

function v4Number(address: string): number {
  return address.split(".").reduce((number, part) => ((number << 8) | Number(part)) >>> 0, 0);
}

/** The eight 16-bit words of a valid IPv6 literal. */
function v6Words(address: string): number[] {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  const number = dotted?.[2] === undefined ? 0 : v4Number(dotted[2]);
  const text =
    dotted === null ? address : `${dotted[1]}${(number >>> 16).toString(16)}:${(number & 0xffff).toString(16)}`;
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(gap).fill("0"), ...right].map((word) => Number.parseInt(word, 16));
}
