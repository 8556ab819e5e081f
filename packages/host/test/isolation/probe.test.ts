import { chmodSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { planSandbox, probeIsolation } from "../../src/isolation/index.ts";
import { engine, hostIsRoot, namespaceAvailable, probe, publicDir } from "./support.ts";

const dir = publicDir();
afterAll(() => dir.remove());

describe("the probe", () => {
  it("says of each level whether it holds here, and otherwise why not and what helps", () => {
    for (const [level, report] of Object.entries(probe.report.levels)) {
      expect(report.available ? [report.detail] : [report.reason, report.fix], level).not.toContain("");
    }
    expect(probe.report.levels["in-process"].available).toBe(false);
    expect(probe.report.available).not.toContain("in-process");
  });

  it("without bubblewrap has no level namespace, and says how to get one", async () => {
    const { report, tools } = await probeIsolation({ engine, hostIsRoot, bwrapCandidates: ["/nonexistent/bwrap"] });
    expect(tools.bwrap).toBeNull();
    expect(report.levels.namespace).toMatchObject({
      available: false,
      fix: expect.stringContaining("apt install bubblewrap"),
    });
    expect(report.available).not.toContain("namespace");
  });

  it.skipIf(!hostIsRoot)("believes no wrapper that starts the process without walls", async () => {
    // Drops every argument up to `--` and runs the rest, as a broken bubblewrap would.
    const fake = dir.write("bwrap", '#!/bin/bash\nwhile [ "$1" != -- ]; do shift; done\nexec "$DENO" "${@:5}"\n');
    const text = readFileSync(fake, "utf8").replace("$DENO", engine.deno);
    dir.write("bwrap", text);
    chmodSync(fake, 0o755);
    const { report } = await probeIsolation({ engine, hostIsRoot, bwrapCandidates: [fake] });
    expect(report.levels.namespace).toMatchObject({
      available: false,
      reason: expect.stringContaining("read a file of the host"),
    });
  });

  it.skipIf(!hostIsRoot)("tells an old bubblewrap and forbidden user namespaces apart", async () => {
    const failing = async (message: string): Promise<unknown> => {
      const fake = dir.write("failing", `#!/bin/sh\necho "bwrap: ${message}" >&2\nexit 1\n`);
      chmodSync(fake, 0o755);
      return (await probeIsolation({ engine, hostIsRoot, bwrapCandidates: [fake] })).report.levels.namespace;
    };
    expect(await failing("Unknown option --disable-userns")).toMatchObject({ fix: expect.stringContaining("0.8") });
    expect(await failing("setting up uid map: Permission denied")).toMatchObject({
      fix: expect.stringContaining("user namespaces"),
    });
  });

  it("says what a kernel without Landlock lacks, or with too old a one", async () => {
    const failing = async (line: string): Promise<unknown> => {
      const jail = dir.write("jail", `#!/bin/sh\necho "sallyport-jail: ${line}" >&2\nexit 121\n`);
      chmodSync(jail, 0o755);
      return (await probeIsolation({ engine: { ...engine, jail }, hostIsRoot })).report;
    };
    for (const line of ["landlock is not there: error 38", "landlock is not there: error 95"]) {
      expect(await failing(line)).toMatchObject({
        available: [],
        levels: {
          landlock: { available: false, reason: expect.stringContaining(line), fix: expect.stringContaining("5.13") },
        },
      });
    }
    expect(await failing("filter system calls: error 22")).toMatchObject({
      levels: {
        runtime: {
          available: false,
          reason: expect.stringContaining("filter system calls"),
          fix: expect.stringContaining("kernel"),
        },
      },
    });
  });

  it("believes no helper that starts the process without walls", async () => {
    const jail = dir.write("open-jail", '#!/bin/sh\nshift\nexec "$@"\n');
    chmodSync(jail, 0o755);
    const { report } = await probeIsolation({ engine: { ...engine, jail }, hostIsRoot });
    expect(report.levels.landlock).toMatchObject({
      available: false,
      reason: expect.stringContaining("read a file of the host"),
    });
    expect(report.available).not.toContain("landlock");
  });

  it("is no way to a lesser level: what is not there is refused", async () => {
    const spec = { engine, root: null, memoryMb: 64, hostIsRoot, tools: { bwrap: null } };
    for (const level of ["namespace", "in-process"] as const) {
      await expect(planSandbox({ ...spec, level })).rejects.toMatchObject({ code: "isolation_unavailable" });
    }
  });

  it.skipIf(!namespaceAvailable)(
    "starts processes with nothing of the host's environment and another user",
    async () => {
      const plan = await planSandbox({
        engine,
        root: null,
        memoryMb: 64,
        hostIsRoot,
        tools: probe.tools,
        level: "namespace",
      });
      expect(plan.env).toEqual({});
      expect(plan.command).toMatch(/^\//);
      if (hostIsRoot) expect([plan.uid, plan.gid]).toEqual([65534, 65534]);
    },
  );
});
