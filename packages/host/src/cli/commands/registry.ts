import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { displayLine, exitCodeOf, isErrorCode } from "../../kernel/index.ts";
import {
  refreshAnswer,
  registryAnswer,
  type RegistryAnswer,
  searchAnswer,
  type SearchHitAnswer,
} from "../../wire/index.ts";
import { isoTime, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, flag, globalOptions, path, query, text, verb } from "./define.ts";
import { defineRegistryKeeping } from "./registry-keep.ts";

type Options = Readonly<Record<string, unknown>>;

const API = "/api/registries";

export function defineRegistryCommands(program: Command, plugin: Command, context: CommandContext): void {
  const registry = globalOptions(program.command("registry")).description(
    "where plugins are found, and how to keep such a place",
  );
  verb(
    registry,
    context,
    "add <name> [place]",
    "look for plugins there from now on: an address, or a folder (REGISTRY_DIR if absent)",
    "sallyport registry add acme https://plugins.acme.example/ --key ed25519:…",
    add,
  )
    .option("--key <key>", "public key that signs its index, learned on another way than from that address")
    .option("--npm", "it is an npm registry, which has no signed index")
    .option("--private", "it is of your own network: private addresses and plain HTTP are taken from it");
  verb(registry, context, "list", "list the registries", "sallyport registry list", listRegistries).alias("ls");
  verb(
    registry,
    context,
    "remove <name>",
    "look there no more, and forget what was seen of it",
    "sallyport registry remove acme",
    async (session, [name = ""]) => {
      await session.call("DELETE", path(API, name), { body: {} });
      session.print({ success: true, name }, `${session.style.good("✔")} Removed ${displayLine(name)}.\n`);
    },
  );
  verb(
    registry,
    context,
    "refresh [name]",
    "fetch the indexes of now; exits 5 when one cannot be trusted",
    "sallyport registry refresh",
    (session, args) => refresh(session, args, context),
  );
  defineRegistryKeeping(registry, plugin, context);
  verb(
    plugin,
    context,
    "search [text...]",
    "look for plugins in the registries",
    "sallyport plugin search weather --category integration",
    search,
  )
    .option("--category <category>", "only this category, such as data_processing")
    .option("--registry <name>", "only this registry")
    .option("--limit <count>", "at most so many; 50 if absent")
    .option("--offline", "ask nobody: only what was fetched before");
}

async function add(session: Session, [name = "", given]: readonly string[], options: Options): Promise<void> {
  const place = given ?? session.io.env["REGISTRY_DIR"] ?? "";
  const key = text(options, "key");
  const body = {
    name,
    place: /^https?:/i.test(place) || place === "" ? place : resolve(place),
    ...(key !== undefined && { key }),
    ...(flag(options, "npm") && { npm: true }),
    ...(flag(options, "private") && { private: true }),
  };
  const registry = await session.get(registryAnswer, "POST", API, { body });
  const versions = registry.versions === undefined ? "" : `, ${registry.versions} versions`;
  session.print(
    { success: true, ...registry },
    `${session.style.good("✔")} Added ${displayLine(registry.name)} (${displayLine(registry.place, 300)}${versions}).\nLook around: sallyport plugin search\n`,
  );
}

async function listRegistries(session: Session): Promise<void> {
  const registries = await session.get(z.array(registryAnswer), "GET", API);
  session.print(registries, () =>
    table(
      ["NAME", "KIND", "STATE", "VERSIONS", "FETCHED", "GOOD UNTIL", "PLACE"],
      registries.map((registry) => [
        registry.name,
        registry.private ? `${registry.kind}, private` : registry.kind,
        registry.state,
        String(registry.versions ?? ""),
        timeOf(registry.refreshed_at),
        timeOf(registry.expires_at),
        registry.place,
      ]),
      "No registry was added. Add one: sallyport registry add NAME URL --key KEY",
    ),
  );
}

function timeOf(time: RegistryAnswer["refreshed_at"]): string {
  return time === null ? "" : isoTime(time);
}

async function refresh(session: Session, [name]: readonly string[], context: CommandContext): Promise<void> {
  const body = name === undefined ? {} : { name };
  const answers = await session.get(z.array(refreshAnswer), "POST", `${API}/refresh`, { body });
  const failed = answers.filter(({ ok }) => !ok);
  const codes = failed.map(({ code }) => (code !== undefined && isErrorCode(code) ? exitCodeOf(code) : 1));
  if (failed.length > 0) context.exitWith(Math.max(...codes));
  session.print({ success: failed.length === 0, registries: answers }, () =>
    answers.length === 0
      ? "No registry was added. Add one: sallyport registry add NAME URL --key KEY\n"
      : answers
          .map((one) =>
            one.ok
              ? `${session.style.good("✔")} ${displayLine(one.name)}: ${one.versions ?? 0} versions, index ${one.counter ?? 0}\n`
              : `${session.style.bad("✘")} ${displayLine(one.name)}: ${[one.error, one.detail, one.fix]
                  .filter((part) => part !== undefined)
                  .map((part) => displayLine(part, 500))
                  .join(" ")}\n`,
          )
          .join(""),
  );
}

async function search(session: Session, words: readonly string[], options: Options): Promise<void> {
  const asked = query({
    text: words.join(" "),
    category: text(options, "category"),
    registry: text(options, "registry"),
    limit: text(options, "limit"),
    offline: flag(options, "offline") ? "true" : undefined,
  });
  const found = await session.get(searchAnswer, "GET", `/api/plugins/search${asked}`);
  session.print(found, () =>
    [
      table(
        ["PLUGIN", "VERSION", "REGISTRY", "SIGNED BY", "ASKS FOR", "DESCRIPTION"],
        found.hits.map((hit) => [hit.id, hit.version, hit.registry, signerOf(hit), wishesOf(hit), hit.description]),
        "Nothing was found.",
      ),
      found.total > found.hits.length ? `And ${found.total - found.hits.length} more: --limit COUNT\n` : "",
      ...found.warnings.map((warning) => `${session.style.warn("!")} ${displayLine(warning, 500)}\n`),
      found.hits[0] ? `Install one: sallyport plugin install ${displayLine(found.hits[0].source, 300)}\n` : "",
    ].join(""),
  );
}

function signerOf({ signer }: SearchHitAnswer): string {
  switch (signer.state) {
    case "signed":
      return signer.name ?? "a trusted key";
    case "unknown":
      return `nobody trusted (${(signer.key ?? "").slice(0, 15)}…)`;
    case "unsigned":
      return "not signed";
  }
}

/** Each capability once, by its highest risk: the list is for choosing, the approval shows each scope. */
function wishesOf({ permissions }: SearchHitAnswer): string {
  const wishes = permissions
    .filter(({ capability }) => capability !== "tools")
    .map(({ key, risk }) => `${key} (${risk})`);
  return wishes.length === 0 ? "nothing" : wishes.join(", ");
}
