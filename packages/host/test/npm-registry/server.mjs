/** A Verdaccio for tests: node server.mjs FOLDER. Prints its port; keeps everything below FOLDER and asks no other registry. */
import { join } from "node:path";
import { runServer } from "verdaccio";

const folder = process.argv[2] ?? "";
const app = await runServer({
  configPath: join(folder, "config.yaml"),
  self_path: folder,
  storage: join(folder, "storage"),
  auth: { htpasswd: { file: join(folder, "htpasswd"), max_users: 10 } },
  packages: { "**": { access: "$all", publish: "$authenticated" } },
  uplinks: {},
  web: { enable: false },
  log: { type: "stdout", format: "json", level: "fatal" },
});
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
