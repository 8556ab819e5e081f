export { readConfigFile, watchConfigFile } from "./config-file.ts";
export { removeFolder } from "./remove.ts";
export { createHome, openHome, resolveHome } from "./home.ts";
