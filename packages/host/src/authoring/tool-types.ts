import { displayLine } from "../kernel/index.ts";
import type { Manifest } from "../manifest/index.ts";
import { typeOfSchema } from "./schema-types.ts";

/**
 * The file that `plugin types` writes: `ToolTypes`, for `definePlugin<ToolTypes>(…)`, from a manifest that was read. The same
 * manifest gives the same text, tools in its order. Text of the manifest stays inside comments and literals.
 */
export function generateToolTypes(manifest: Pick<Manifest, "tools">): string {
  const tools = manifest.tools.map(
    (tool) =>
      `  ${comment(tool.description)}\n  ${tool.name}: {\n    input: ${typeOfSchema(tool.inputSchema)};\n    output: ${typeOfSchema(tool.outputSchema)};\n  };\n`,
  );
  return `// Written by "sallyport plugin types" from the manifest. Do not edit; run it again instead.\n\nexport interface ToolTypes {\n${tools.join("\n")}}\n`;
}

function comment(text: string): string {
  return `/** ${displayLine(text, 500).replaceAll("*/", "* /")} */`;
}
