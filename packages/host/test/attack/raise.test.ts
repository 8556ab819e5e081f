import { describe, expect, it } from "vitest";
import { type Machine, raiseCommand } from "../../src/cli/doctor/raise.ts";

const bare: Machine = {
  platform: "linux",
  available: ["landlock", "runtime"],
  bwrapInstalled: true,
  osRelease: "",
  apparmorRestricts: "",
  usernsClone: "",
  maxUserns: "",
  inContainer: false,
};

describe("the one command that raises the level", () => {
  it.each([
    ["ID=debian\nVERSION_ID=12\n", "sudo apt-get install -y bubblewrap"],
    ['ID=linuxmint\nID_LIKE="ubuntu debian"\n', "sudo apt-get install -y bubblewrap"],
    ["ID=fedora\n", "sudo dnf install -y bubblewrap"],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install -y bubblewrap"],
    ['ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "sudo zypper install -y bubblewrap"],
    ["ID=arch\n", "sudo pacman -S --noconfirm bubblewrap"],
    ["ID=slackware\n", null],
  ])("installs bubblewrap as the distribution does: %j", (osRelease, command) => {
    expect(raiseCommand({ ...bare, bwrapInstalled: false, osRelease })).toBe(command);
  });

  it("loads a profile where AppArmor keeps user namespaces from bwrap", () => {
    expect(raiseCommand({ ...bare, apparmorRestricts: "1" })).toMatch(
      /userns,.*apparmor_parser -r \/etc\/apparmor\.d\/bwrap$/s,
    );
  });

  it.each([
    [{ usernsClone: "0" }, "sudo sysctl -w kernel.unprivileged_userns_clone=1"],
    [{ maxUserns: "0" }, "sudo sysctl -w user.max_user_namespaces=10000"],
    [{ platform: "win32" }, "wsl --install"],
    [{ platform: "darwin" }, null],
    [{}, null],
  ] as const)("knows %j", (known, command) => {
    expect(raiseCommand({ ...bare, ...known })).toBe(command);
  });

  it("names the flags in a container", () => {
    expect(raiseCommand({ ...bare, inContainer: true })).toMatch(/^docker run --security-opt/);
  });

  it("is none where nothing is higher", () => {
    expect(raiseCommand({ ...bare, available: ["namespace"], bwrapInstalled: false })).toBeNull();
  });
});
