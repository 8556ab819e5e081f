import { parentPort } from "node:worker_threads";
import { chainHash } from "./chain.ts";
import type { HashQuestion } from "./messages.ts";

const decoder = new TextDecoder();

/** A thread that recomputes hashes while the store's thread reads on. Answers whether a page is what it claims to be. */
function isSound({ first, prevHash, page }: HashQuestion): boolean {
  if (page.last - first + 1 !== page.count) return false;
  const bodies = decoder.decode(page.bodies).split("\n");
  let hash = prevHash;
  let hashes = "";
  for (const [index, body] of bodies.entries()) {
    hash = chainHash(first + index, hash, body);
    hashes += hash;
  }
  return hashes === page.hashes;
}

const port = parentPort;
port?.on("message", (question: HashQuestion) => port.postMessage(isSound(question)));
