import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { z } from "zod";

const FOLDER = fileURLToPath(new URL("../npm-registry/", import.meta.url));

export interface NpmServer {
  readonly url: string;
  /** `npm publish` of a folder, as its author does it, but for scripts. */
  publish(folder: string): Promise<void>;
  stop(): Promise<void>;
}

/** A real npm registry over a folder, which asks no other one. */
export async function startNpmRegistry(folder: string): Promise<NpmServer> {
  if (!existsSync(`${FOLDER}node_modules`)) {
    throw new Error(
      "Verdaccio is not installed. `npm test` installs it, or run: npm ci in packages/host/test/npm-registry",
    );
  }
  const child = spawn(process.execPath, [`${FOLDER}server.mjs`, folder], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const line = await new Promise<string>((done, fail) => {
    createInterface(child.stdout).once("line", done);
    child.once("exit", () => fail(new Error("Verdaccio did not start.")));
  });
  const { port } = z.object({ port: z.number() }).parse(JSON.parse(line));
  const url = `http://127.0.0.1:${port}/`;
  const user = { name: "author", password: "for-this-test-only" };
  const answer = await fetch(`${url}-/user/org.couchdb.user:author`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(user),
  });
  const { token } = z.object({ token: z.string() }).parse(await answer.json());
  return {
    url,
    async publish(from) {
      const auth = `--//127.0.0.1:${port}/:_authToken=${token}`;
      const args = [
        "publish",
        from,
        `--registry=${url}`,
        auth,
        "--ignore-scripts",
        "--access=public",
        "--loglevel=error",
      ];
      const npm = spawn("npm", args, { stdio: ["ignore", "ignore", "inherit"], cwd: folder });
      const code = await new Promise((done) => npm.once("exit", done));
      if (code !== 0) throw new Error(`npm publish ended with ${String(code)}.`);
    },
    async stop() {
      child.kill();
      await ended;
    },
  };
}
