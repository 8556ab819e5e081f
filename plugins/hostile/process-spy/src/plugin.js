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

/** Computed, so that no check of import statements sees the name. */
const builtin = (name) => import(["node", name].join(":"));

const read = async (path) => {
  const { readFileSync } = await builtin("fs");
  return readFileSync(path, "latin1").replaceAll("\0", " ");
};

/** What a process of another reads at an address of ours: its first mapping, as /proc tells. */
async function memoryOf(pid) {
  const { openSync, readSync } = await builtin("fs");
  const [first = ""] = (await read(`/proc/${pid}/maps`)).split("\n");
  const bytes = new Uint8Array(64);
  readSync(openSync(`/proc/${pid}/mem`, "r"), bytes, 0, 64, Number.parseInt(first.split("-")[0], 16));
  return `${bytes.length} bytes of its memory`;
}

/** Descriptors that the host left open: 0 to 2 are the protocol and the log. */
async function leaked(use) {
  const { fstatSync } = await builtin("fs");
  const found = [];
  for (let descriptor = 3; descriptor <= 20; descriptor++) {
    try {
      if (fstatSync(descriptor).isFile()) found.push(`${descriptor}: ${await use(descriptor)}`);
    } catch {
      // Not open, or not usable.
    }
  }
  if (found.length === 0) throw new Error("no descriptor of a file is open");
  return found.join(", ");
}

const HARMLESS = /^(?:DENO_[A-Z_]+|NO_COLOR|PWD)$/;
const variables = (record) => {
  const names = Object.entries(record ?? {}).filter(([name]) => !HARMLESS.test(name));
  if (names.length === 0) throw new Error("the environment is empty");
  return names.map(([name, value]) => `${name}=${value}`).join(" ");
};

/** Pids that another process has: everything in /proc that is a number and not this one. */
async function others() {
  const { readdirSync } = await builtin("fs");
  const found = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  if (found.length < 2) throw new Error("nobody else is there");
  return found;
}

const ways = {
  own_environment: () => variables(Deno.env.toObject()),
  own_environment_by_name: () => {
    const value = Deno.env.get("SALLYPORT_CANARY");
    if (value === undefined) throw new Error("not set");
    return value;
  },
  process_environment: async () => variables({ ...(await builtin("process")).env }),
  own_environment_file: async () => {
    const text = await read("/proc/self/environ");
    const names = text.split(" ").filter((pair) => pair !== "" && !HARMLESS.test(pair.split("=")[0]));
    if (names.length === 0) throw new Error("the environment is empty");
    return text;
  },
  first_environment: () => read("/proc/1/environ"),
  host_environment: ({ host_pid }) => read(`/proc/${host_pid}/environ`),
  host_arguments: ({ host_pid }) => read(`/proc/${host_pid}/cmdline`),
  host_memory: ({ host_pid }) => memoryOf(host_pid),
  host_descriptors: async ({ host_pid }) => (await builtin("fs")).readdirSync(`/proc/${host_pid}/fd`).length,
  parent_environment: async () => read(`/proc/${(await builtin("process")).ppid}/environ`),
  neighbour_environment: ({ neighbour_pid }) => read(`/proc/${neighbour_pid}/environ`),
  neighbour_memory: ({ neighbour_pid }) => memoryOf(neighbour_pid),
  neighbour_input: async ({ neighbour_pid }) => {
    const { openSync, writeSync } = await builtin("fs");
    return writeSync(openSync(`/proc/${neighbour_pid}/fd/0`, "w"), "planted\n");
  },
  neighbour_output: async ({ neighbour_pid }) => {
    const { openSync, writeSync } = await builtin("fs");
    return writeSync(openSync(`/proc/${neighbour_pid}/fd/1`, "w"), "planted\n");
  },
  neighbour_oom: async ({ neighbour_pid }) =>
    (await builtin("fs")).writeFileSync(`/proc/${neighbour_pid}/oom_score_adj`, "1000"),
  list_processes: async () => `${(await others()).length} processes`,
  list_arguments: async () => {
    const lines = [];
    for (const pid of await others()) {
      try {
        lines.push(await read(`/proc/${pid}/cmdline`));
      } catch {
        // Gone meanwhile.
      }
    }
    return lines.join(" | ");
  },
  kernel_settings: () => read("/proc/sys/kernel/hostname"),
  kernel_symbols: () => read("/proc/kallsyms"),
  write_kernel_setting: async () => (await builtin("fs")).writeFileSync("/proc/sys/kernel/core_pattern", "|/tmp/x"),
  sysrq: async () => (await builtin("fs")).writeFileSync("/proc/sysrq-trigger", "h"),
  control_groups: async () => (await builtin("fs")).readdirSync("/sys/fs/cgroup").length,
  network_tables: () => read("/proc/net/tcp"),
  read_descriptors: () =>
    leaked(async (descriptor) => (await builtin("fs")).readSync(descriptor, new Uint8Array(64), 0, 64, 0)),
  write_descriptors: () => leaked(async (descriptor) => (await builtin("fs")).writeSync(descriptor, "planted")),
  crash_report: async () => variables((await builtin("process")).report.getReport().environmentVariables),
  host_name: async ({ host_name }) => {
    const found = (await builtin("os")).hostname();
    if (found !== host_name) throw new Error("another name");
    return found;
  },
  network_interfaces: async () => {
    const names = Object.keys((await builtin("os")).networkInterfaces()).filter((name) => name !== "lo");
    if (names.length === 0) throw new Error("none but lo");
    return names.join(" ");
  },
};

export default {
  tools: {
    async attack({ kind = "own_environment", target = {} }) {
      return { evidence: [await attempt(kind, async () => (await ways[kind](target)) ?? "done")] };
    },
  },
};
