export { type Scaffold, type ScaffoldOptions, scaffoldPlugin } from "./scaffold.ts";
export type { TemplateName } from "./templates.ts";
export { generateToolTypes } from "./tool-types.ts";
export { type PluginWatch, watchPlugin, type WatchOptions } from "./watch.ts";
