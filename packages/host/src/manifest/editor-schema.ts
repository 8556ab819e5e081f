import { z } from "zod";
import { manifestShape } from "./shape.ts";

/** JSON Schema of `plugin.yml` in our own spelling, for editors. Kept in packages/sdk/schemas; a test fails when that file is stale. */
export function manifestEditorSchema(): Readonly<Record<string, unknown>> {
  const generated: Record<string, unknown> = {
    ...z.toJSONSchema(manifestShape, { io: "input", target: "draft-2020-12" }),
  };
  const { $schema, ...rest } = generated;
  return {
    $schema,
    $id: "manifest.schema.json",
    title: "Sallyport plugin manifest",
    description: "plugin.yml, plugin.yaml or plugin.json at the root of a plugin. Unknown keys are errors.",
    ...rest,
  };
}
