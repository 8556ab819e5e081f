export { readConfigFile, watchConfigFile } from "./config-file.ts";
export { hasFolder, removeFolder } from "./folder.ts";
export { type LockFile, openLockFile } from "./lock-file.ts";
export { createHome, openHome, resolveHome } from "./home.ts";
export { realPathOf } from "./real-path.ts";
