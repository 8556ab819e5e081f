import { packageAttacks, readAttacks } from "../../src/cli/attack/index.ts";
import { repositoryPlugin } from "../support/home.ts";

/** Folder of the example plugins. */
export const PLUGINS = repositoryPlugin("");

/** Everything that `sallyport doctor --attack` tries. */
export const ATTACKS = [...(await readAttacks(repositoryPlugin("hostile"))), ...packageAttacks()];
