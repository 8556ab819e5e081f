import { badArchive } from "./archive-errors.ts";

/** What an extension may say: facts that nobody here reads. Names, sizes, links and holes are the header's to tell. */
const IGNORED =
  /^(?:[acm]time|uid|gid|uname|gname|comment|SCHILY\.(?:dev|ino|nlink|xattr\..+)|LIBARCHIVE\.(?:creationtime|xattr\..+))$/;
const EXTENSION_BYTES = 64 * 1024;

/**
 * Checks the records of a pax extension (`<length> <key>=<value>\n`), of one entry (`x`) or of all (`g`, where git writes its commit).
 * @throws {SallyportError} `source_unsafe`.
 */
export function checkExtension(bytes: Uint8Array, type: "x" | "g"): void {
  if (bytes.length > EXTENSION_BYTES)
    throw badArchive("", "has an extension of unusual size", { expected: EXTENSION_BYTES, actual: bytes.length });
  let rest = Buffer.from(bytes);
  while (rest.length > 0) {
    const [whole, digits = "", key = ""] =
      /^([1-9]\d{0,5}) ([^=\0]{1,200})=/.exec(rest.toString("latin1", 0, 220)) ?? [];
    const length = Number(digits);
    if (whole === undefined || length < whole.length + 1 || length > rest.length || rest[length - 1] !== 0x0a)
      throw badArchive("", "has an extension that cannot be read");
    if (!IGNORED.test(key) || (type === "g" && key !== "comment"))
      throw badArchive("", `has an extension that changes what its headers say`, {
        expected: "times, owners or comments",
        actual: key,
      });
    rest = rest.subarray(length);
  }
}
