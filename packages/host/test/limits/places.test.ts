import { describe, expect, it } from "vitest";
import { placesFor } from "../../src/isolation/cgroup-place.ts";

const V1 = [
  "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755",
  "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
  "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
  "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids",
].join("\n");
const V2 = "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
const folder = (path: string) => ({ version: 2, folders: { memory: path, pids: path, cpu: path } });

describe("places for groups", () => {
  it("are below the host's own group in each hierarchy of version 1", () => {
    const own = "9:cpu,cpuacct:/a\n8:pids:/\n4:memory:/b/c\n0::/";
    expect(placesFor(V1, own)).toEqual([
      {
        version: 1,
        folders: {
          memory: "/sys/fs/cgroup/memory/b/c",
          pids: "/sys/fs/cgroup/pids",
          cpu: "/sys/fs/cgroup/cpu,cpuacct/a",
        },
      },
    ]);
  });

  it("need memory and pids, and not cpu", () => {
    const lines = V1.split("\n");
    expect(placesFor(lines.toSpliced(3, 1).join("\n"), "8:pids:/\n4:memory:/b")).toEqual([]);
    const [place] = placesFor(lines.toSpliced(1, 1).join("\n"), "8:pids:/\n4:memory:/b");
    expect(place?.folders.cpu).toBeUndefined();
    expect(placesFor(V1, "0::/")).toEqual([]);
    expect(placesFor("", "")).toEqual([]);
  });

  it("are the host's own group and those around it in version 2", () => {
    expect(placesFor(V2, "0::/user.slice/app.scope\n")).toEqual([
      folder("/sys/fs/cgroup/user.slice/app.scope"),
      folder("/sys/fs/cgroup/user.slice"),
      folder("/sys/fs/cgroup"),
    ]);
    expect(placesFor(V2, "0::/\n")).toEqual([folder("/sys/fs/cgroup")]);
  });

  it("follow what a container sees of the hierarchy, and nothing outside of it", () => {
    const inside = "30 23 0:27 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
    expect(placesFor(inside, "0::/docker/abc/x")[0]).toEqual(folder("/sys/fs/cgroup/x"));
    expect(placesFor(inside, "0::/docker/abc")).toEqual([folder("/sys/fs/cgroup")]);
    expect(placesFor(inside, "0::/docker/abcd")).toEqual([]);
    expect(placesFor(inside, "0::/")).toEqual([]);
    expect(placesFor(V2, "0::/../outside")).toEqual([]);
  });

  it("may have names with a space", () => {
    expect(placesFor(String.raw`30 23 0:27 / /my\040groups rw - cgroup2 cgroup2 rw`, "0::/")).toEqual([
      folder("/my groups"),
    ]);
  });
});
