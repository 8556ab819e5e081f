import { fileURLToPath } from "node:url";

/** The plugins that the demo and `doctor --attack` run, as the build copied them from the repository. */
export const EXAMPLE_PLUGINS = fileURLToPath(new URL("../../dist/plugins/", import.meta.url));
