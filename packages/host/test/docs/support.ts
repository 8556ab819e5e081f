import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";

export const REPOSITORY = fileURLToPath(new URL("../../../../", import.meta.url));

/** A page by its path below the repository. */
export function page(path: string): string {
  return readFileSync(join(REPOSITORY, path), "utf8");
}

/** README.md, and every page of docs but the copied list of requirements. */
export const PAGES: readonly string[] = [
  "README.md",
  ...readdirSync(join(REPOSITORY, "docs"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md"))
    .map((path) => `docs/${path}`)
    .toSorted(),
];

/** The text between a heading and the next one of the same or a higher rank. */
export function section(text: string, heading: string): string {
  const start = text.indexOf(`${heading}\n`);
  if (start === -1) return "";
  const rank = /^#+/.exec(heading)?.[0].length ?? 1;
  const rest = text.slice(start + heading.length + 1);
  const end = rest.search(new RegExp(`^#{1,${rank}} `, "m"));
  return end === -1 ? rest : rest.slice(0, end);
}

/** Contents of the fenced blocks in one language. */
export function fences(text: string, language: string): readonly string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, name, body]) =>
    name === language && body !== undefined ? [body] : [],
  );
}

/** Relative links that lead nowhere: to a file that is not there, or to a heading that the page has not. */
export function brokenLinks(path: string): readonly string[] {
  const prose = page(path).replaceAll(/^```[\s\S]*?^```$/gm, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [file = "", anchor] = link.split("#");
    const target = file === "" ? join(REPOSITORY, path) : resolve(REPOSITORY, dirname(path), file);
    if (!existsSync(target)) return [link];
    return anchor === undefined || anchors(readFileSync(target, "utf8")).includes(anchor) ? [] : [link];
  });
}

function anchors(text: string): readonly string[] {
  return [...text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Every `sallyport …` of a page, in shell blocks (a whole line) and in inline code. */
export function commandLines(text: string): readonly string[] {
  const shell = fences(text, "sh").flatMap((block) => block.split("\n").flatMap((line) => line.split(" && ")));
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, "");
  const inline = [...prose.matchAll(/(?<!`)`(sallyport [^`]*)`(?!`)/g)].map(([, command = ""]) => command);
  return [...shell, ...inline].map((line) => line.trim()).filter((line) => line.startsWith("sallyport "));
}

/** Every source file of the host, by its path below `packages/host/src`. */
export const SOURCES: readonly string[] = readdirSync(join(REPOSITORY, "packages/host/src"), {
  recursive: true,
  encoding: "utf8",
}).filter((path) => path.endsWith(".ts"));

/** Every `sallyport object …` in the string literals of a source; what is filled in at run time reads as `X`. */
export function commandsInTexts(source: string): readonly string[] {
  const tokens = source.matchAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|\$\{[^}]*\}|[^`\\])*`/g,
  );
  return [...tokens].flatMap(([token]) => {
    if (token.startsWith("/")) return [];
    const text = token.slice(1, -1).replaceAll(/\$\{[^}]*\}/g, "X");
    return [
      ...text.matchAll(/(?<![\w-])sallyport(?= [a-z])(?: [^\s`"'.,;:—\\)]+(?:[.,:](?=\S)[^\s`"'.,;:—\\)]*)*)+/g),
    ].map(([command]) => command);
  });
}

/** What is wrong with a command line: an object or verb that there is not, an option that the verb has not; null if nothing. */
export function complaint(program: Command, line: string): string | null {
  const words = wordsOf(line).slice(1);
  let command = program;
  let at = 0;
  for (; at < words.length && command.commands.length > 0; at++) {
    const word = words[at] ?? "";
    if (word.startsWith("-")) break;
    const next = command.commands.find((child) => child.name() === word || child.aliases().includes(word));
    if (next === undefined) return `${line}: there is no "${word}"`;
    command = next;
  }
  const options = words.slice(at).filter((word) => /^--?[a-z]/.test(word));
  const known = [...program.options, ...command.options].flatMap(({ long, short }) => [long, short]);
  const unknown = options.find((word) => word !== "--help" && !known.includes(word.split("=")[0]));
  if (unknown !== undefined) return `${line}: ${command.name()} has no ${unknown}`;
  const needsVerb = command.commands.length > 0 && options.length === 0;
  return needsVerb ? `${line}: which verb?` : null;
}

/** The words of a shell line, up to a comment; quoted text is one word. */
function wordsOf(line: string): readonly string[] {
  const words = [...line.matchAll(/#.*$|(?:"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'#])+/g)].map(([word]) => word);
  const comment = words.findIndex((word) => word.startsWith("#"));
  return comment === -1 ? words : words.slice(0, comment);
}
