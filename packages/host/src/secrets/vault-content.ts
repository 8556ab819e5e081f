import { z } from "zod";
import { canonicalJson, parseBoundedJson } from "../kernel/index.ts";
import { unavailable } from "./vault-file.ts";

/** A value in the vault. */
export interface StoredSecret {
  readonly name: string;
  /** Whose configuration it is of; `null`: an operator's secret. */
  readonly space: string | null;
  readonly value: string;
  readonly origins: readonly string[];
  /** How often a value was set under this name, counted from 1. */
  readonly version: number;
  readonly updatedAt: number;
}

const Content = z.strictObject({
  v: z.literal(2),
  secrets: z.array(
    z.strictObject({
      name: z.string(),
      space: z.string().nullable(),
      value: z.string(),
      origins: z.array(z.string()),
      version: z.number().int().positive(),
      updatedAt: z.number(),
    }),
  ),
});

/** No operator's secret has a line feed in its name, and no space has: the two never meet. */
export function keyOf({ space, name }: Pick<StoredSecret, "space" | "name">): string {
  return space === null ? name : `${space}\n${name}`;
}

export function writeContent(secrets: Iterable<StoredSecret>): Buffer {
  return Buffer.from(canonicalJson({ v: 2, secrets: [...secrets] }));
}

/** @throws {SallyportError} `vault_unavailable`. */
export function readContent(plain: Buffer): Map<string, StoredSecret> {
  const content = Content.safeParse(parseBoundedJson(plain.toString("utf8"), { maxDepth: 8 }));
  if (!content.success)
    throw unavailable("The vault's content is not of a form that this program knows.", "Another version wrote it.");
  return new Map(content.data.secrets.map((secret) => [keyOf(secret), secret]));
}
