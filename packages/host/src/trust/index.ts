export { codeDigest, type FileLeaf, treeDigest } from "./digest.ts";
