export { readConfigFile, watchConfigFile } from "./config-file.ts";
export { removeFolder } from "./remove.ts";
export { openHome } from "../cli/home.ts";
