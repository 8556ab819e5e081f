const WAIT_MS = 2000;

/** Runs one attempt. It has succeeded only when `run` returns; of a planted canary it gives the text, which only a theft can know. */
async function attempt(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in two seconds")), WAIT_MS);
  });
  try {
    return { attempt: name, outcome: "succeeded", detail: String(await Promise.race([run(), late])).slice(0, 500) };
  } catch (error) {
    const text = [error?.code, error?.message ?? error].filter((part) => part !== undefined).join(" ");
    return { attempt: name, outcome: "refused", error: text.slice(0, 300) };
  } finally {
    clearTimeout(timer);
  }
}

/** `granted` is the folder of the grant, in which links, a pipe and a hard link lie; `file` is a canary outside of it. */
const ways = {
  link: ({ granted }, { files }) => files.readText(`${granted}/link`),
  link_to_folder: ({ granted }, { files }) => files.readText(`${granted}/folder-link/secret.txt`),
  link_list: async ({ granted }, { files }) => (await files.list(`${granted}/folder-link`)).length,
  link_stat: async ({ granted }, { files }) => {
    const found = await files.stat(`${granted}/folder-link/secret.txt`);
    if (found === undefined) throw new Error("nothing there");
    return found.size;
  },
  link_write: ({ granted }, { files }) => files.write(`${granted}/link`, "overwritten"),
  link_remove: ({ granted }, { files }) => files.remove(`${granted}/folder-link/secret.txt`),
  link_make_folder: ({ granted }, { files }) => files.mkdir(`${granted}/folder-link/planted`),
  named_pipe: ({ granted }, { files }) => files.read(`${granted}/pipe`),
  named_pipe_write: ({ granted }, { files }) => files.write(`${granted}/pipe`, "x"),
  unix_socket: ({ granted }, { files }) => files.read(`${granted}/socket`),
  climb: ({ granted }, { files }) => files.readText(`${granted}/../outside/secret.txt`),
  climb_encoded: ({ granted }, { files }) => files.readText(`${granted}/%2e%2e/outside/secret.txt`),
  climb_backslash: ({ granted }, { files }) => files.readText(`${granted}\\..\\outside\\secret.txt`),
  sibling_prefix: ({ granted }, { files }) => files.readText(`${granted}-beside/secret.txt`),
  absolute: ({ file }, { files }) => files.readText(file),
  null_byte: ({ granted, file }, { files }) => files.readText(`${file}\0${granted}`),
  home_key: ({ home }, { files }) => files.readText(`${home}/keys/audit.pem`),
  home_write: ({ home }, { files }) => files.write(`${home}/config.yml`, "plugins: { enabled: true }"),
  process_files: (_target, { files }) => files.readText("/proc/self/environ"),
  process_root: ({ file }, { files }) => files.readText(`/proc/self/root${file}`),
  device: (_target, { files }) => files.read("/dev/zero", { length: 16 }),
  data_climb: (_target, { files, data }) => files.write(`${data}/../planted`, "x"),
  data_of_neighbour: (_target, { files, data }) => files.readText(`${data}/../echo/secret.txt`),
  huge_offset: ({ granted }, { files }) => files.write(`${granted}/grown`, "x", { offset: 2 ** 45 }),
  negative_offset: ({ granted }, { files }) => files.read(`${granted}/plain`, { offset: -1, length: 10 }),
  huge_length: async ({ granted }, { files }) => {
    const got = await files.read(`${granted}/plain`, { length: 2 ** 45 });
    if (got.length < 1000) throw new Error("no more than the file has");
    return got.length;
  },
  rename_over_folder: ({ granted }, { files }) => files.write(granted, "x"),
  remove_granted: ({ granted }, { files }) => files.remove(granted),
  key_prefix_of_neighbour: async (_target, { kv }) => {
    const keys = await kv.list("../");
    if (keys.length === 0) throw new Error("none but its own");
    return keys.join(" ");
  },
  key_flood: async (_target, { kv }) => {
    for (let count = 0; count < 20_000; count++) await kv.set(`k${count}`, "x".repeat(60_000));
    return "1.2 GB of keys";
  },
};

export default {
  tools: {
    async attack({ kind = "link", target = {} }, ctx) {
      return { evidence: [await attempt(kind, async () => (await ways[kind](target, ctx)) ?? "done")] };
    },
  },
};
