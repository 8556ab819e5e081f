import { spawn } from "node:child_process";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { encodeOrders, type JailOrders } from "../../src/isolation/orders.ts";
import { buildSeccompProgram } from "../../src/isolation/seccomp.ts";
import { engine, hostIsRoot, landlockAvailable, landlockNote, publicDir } from "./support.ts";

const ECHO = "/bin/echo";
const EXIT_REFUSED = 121;
const FD = 64;
const user = hostIsRoot ? { uid: 65534, gid: 65534 } : {};

const dir = publicDir();
afterAll(() => dir.remove());

interface Ended {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Runs the helper on any bytes as its orders. */
async function jail(
  orders: Buffer,
  args: string[] = [ECHO, "echo", "ran"],
  command = [engine.jail],
  as: { uid?: number; gid?: number } = user,
): Promise<Ended> {
  const [program = "", ...before] = command;
  const child = spawn(program, [...before, ...args], {
    env: {},
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    ...as,
  });
  const pipe = child.stdio[3];
  if (pipe === null || pipe === undefined || !("end" in pipe)) throw new Error("no pipe");
  pipe.on("error", () => undefined);
  pipe.end(orders);
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

const arch = process.arch === "arm64" ? "arm64" : "x64";
const seccomp = buildSeccompProgram(arch, { shared: true, programFd: FD });
const good: JailOrders = {
  parentPid: process.pid,
  programFd: FD,
  limits: [
    ["nofile", FD],
    ["core", 0],
  ],
  landlock: null,
  seccomp,
};

const refused = (step: RegExp | string): object => ({
  code: EXIT_REFUSED,
  signal: null,
  stdout: "",
  stderr: expect.stringMatching(
    step instanceof RegExp ? step : new RegExp(`^sallyport-jail: ${step}(: error \\d+)?\n$`),
  ),
});

describe("the helper", () => {
  it("becomes the program when every step succeeds", async () => {
    expect(await jail(encodeOrders(good))).toEqual({ code: 0, signal: null, stdout: "ran\n", stderr: "" });
  });

  const setpriv = "/usr/bin/setpriv";
  it.skipIf(!hostIsRoot || !existsSync(setpriv))(
    "passes no capability on, that the host was started with (skipped without root and setpriv)",
    async () => {
      const given = ["--reuid=65534", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"];
      const show = ["/bin/grep", "grep", "-E", "^Cap(Prm|Eff|Amb)", "/proc/self/status"];
      const { stdout, stderr } = await jail(encodeOrders(good), show, [setpriv, ...given, engine.jail], {});
      expect(stderr).toBe("");
      expect(stdout.match(/\t0{16}$/gm)).toHaveLength(3);
    },
  );

  const bytes = encodeOrders(good);
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy.writeUInt32LE(value, at);
    return copy;
  };
  const FORMS: [string, Buffer, string][] = [
    ["nothing", Buffer.alloc(0), "orders are too short"],
    ["less than a header", bytes.subarray(0, 10), "orders are too short"],
    [
      "orders of another version",
      Buffer.concat([Buffer.from("SALLYJL2"), bytes.subarray(8)]),
      "orders are of another version",
    ],
    ["orders cut short", bytes.subarray(0, bytes.length - 1), "orders are not whole"],
    ["orders with more behind them", Buffer.concat([bytes, Buffer.alloc(1)]), "orders are not whole"],
    ["more than it takes", Buffer.alloc(1 << 18), "orders are too long"],
    ["a count beyond the end", changed(24, 0xffffffff), "(orders are too short|set a limit)"],
    ["bytes that nothing asks for", Buffer.concat([changed(8, bytes.length + 8), Buffer.alloc(8)]), "orders hold more"],
  ];
  it.each(FORMS)("refuses %s, and starts nothing", async (_name, orders, step) => {
    expect(await jail(orders)).toEqual(refused(step));
  });

  const STEPS: [string, Partial<JailOrders>, string][] = [
    ["a parent that is another process", { parentPid: 1 }, "the parent is gone"],
    ["a limit that the kernel does not take", { limits: [["nofile", 2 ** 40]] }, "set a limit"],
    [
      "a program within reach of later descriptors",
      { limits: [["nofile", FD + 1]] },
      "the program's descriptor is within the limit",
    ],
    ["no limit on descriptors", { limits: [] }, "the program's descriptor is within the limit"],
    ["an empty filter", { seccomp: { bytes: Buffer.alloc(0), ownPidAt: [] } }, "the filter's size"],
    [
      "a filter that the kernel does not take",
      { seccomp: { bytes: Buffer.alloc(8, 0xff), ownPidAt: [] } },
      "filter system calls",
    ],
    ["a filter that is too long", { seccomp: { bytes: Buffer.alloc(8 * 5000), ownPidAt: [] } }, "the filter's size"],
    ["a mark outside the filter", { seccomp: { ...seccomp, ownPidAt: [9999] } }, "a mark is outside the filter"],
  ];
  it.each(STEPS)("refuses %s, and starts nothing", async (_name, orders, step) => {
    expect(await jail(encodeOrders({ ...good, ...orders }))).toEqual(refused(step));
  });

  it("refuses a program that is not there or is none", async () => {
    const text = dir.write("text", "no program");
    expect(await jail(encodeOrders(good), ["/nonexistent/program", "x"])).toEqual(refused("open the program"));
    expect(await jail(encodeOrders(good), [text, "x"])).toEqual(refused("start the program"));
    expect(await jail(encodeOrders(good), [])).toEqual(refused(/usage/));
  });

  describe.skipIf(!landlockAvailable)(`with Landlock${landlockNote}`, () => {
    const landlock = { leastAbi: 1, paths: [] };
    const CASES: [string, JailOrders["landlock"], RegExp | string][] = [
      ["a kernel that has less than is asked for", { leastAbi: 99, paths: [] }, "landlock is too old"],
      [
        "a path that is not there",
        { ...landlock, paths: [{ path: "/nonexistent/x", rights: "read" }] },
        /cannot open \/nonexistent\/x\nsallyport-jail: open a path: error 2\n$/,
      ],
      ["rights of a folder for a file", { ...landlock, paths: [{ path: ECHO, rights: "tree" }] }, "allow a path"],
      ["a program that no path allows to start", landlock, "start the program"],
      [
        "a program that may be read and not started",
        { ...landlock, paths: [{ path: ECHO, rights: "read" }] },
        "start the program",
      ],
    ];
    it.each(CASES)("refuses %s, and starts nothing", async (_name, orders, step) => {
      expect(await jail(encodeOrders({ ...good, landlock: orders }))).toEqual(refused(step));
    });
  });

  const qemu = "/usr/bin/qemu-aarch64-static";
  const arm64 = fileURLToPath(new URL("../../native/prebuilt/linux-arm64/jail", import.meta.url));
  it.skipIf(process.arch === "arm64" || !existsSync(qemu))(
    "for arm64 takes the same orders, up to the steps that an emulator does not have (skipped without qemu-user)",
    async () => {
      // A clone may lie where nobody cannot read.
      const helper = join(dir.path, "jail-arm64");
      copyFileSync(arm64, helper);
      expect(await jail(Buffer.alloc(0), undefined, [qemu, helper])).toEqual(refused("orders are too short"));
      expect(await jail(encodeOrders({ ...good, limits: [] }), undefined, [qemu, helper])).toEqual(
        refused("the program's descriptor is within the limit"),
      );
      expect(await jail(encodeOrders(good), undefined, [qemu, helper])).toEqual(refused("filter system calls"));
    },
  );
});
