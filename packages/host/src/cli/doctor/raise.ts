import { readFileSync } from "node:fs";
import { type IsolationLevel, satisfiesFloor } from "../../kernel/index.ts";

/** What is known of a machine that lacks a kernel level. Texts are empty where there is nothing to read. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly available: readonly IsolationLevel[];
  readonly bwrapInstalled: boolean;
  /** `/etc/os-release`. */
  readonly osRelease: string;
  /** `kernel.apparmor_restrict_unprivileged_userns`, `kernel.unprivileged_userns_clone`, `user.max_user_namespaces`. */
  readonly apparmorRestricts: string;
  readonly usernsClone: string;
  readonly maxUserns: string;
  readonly inContainer: boolean;
}

const APPARMOR =
  "printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/bwrap >/dev/null && sudo apparmor_parser -r /etc/apparmor.d/bwrap";

const INSTALL: readonly (readonly [family: RegExp, command: string])[] = [
  [/^(?:debian|ubuntu)$/, "sudo apt-get install -y bubblewrap"],
  [/^(?:fedora|rhel|centos)$/, "sudo dnf install -y bubblewrap"],
  [/^(?:suse|opensuse.*|sles)$/, "sudo zypper install -y bubblewrap"],
  [/^arch$/, "sudo pacman -S --noconfirm bubblewrap"],
  [/^alpine$/, "sudo apk add bubblewrap"],
];

/** The one command that gives this machine its strongest level; null when it has it, or when no command does. */
export function raiseCommand(machine: Machine): string | null {
  if (machine.available.includes("namespace")) return null;
  if (machine.platform === "win32") return "wsl --install";
  if (machine.platform !== "linux") return null;
  if (!machine.bwrapInstalled) return installCommand(machine.osRelease);
  if (machine.inContainer) {
    return "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined IMAGE";
  }
  if (machine.apparmorRestricts === "1") return APPARMOR;
  if (machine.usernsClone === "0") return "sudo sysctl -w kernel.unprivileged_userns_clone=1";
  if (machine.maxUserns === "0") return "sudo sysctl -w user.max_user_namespaces=10000";
  return null;
}

function installCommand(osRelease: string): string | null {
  const families = [...osRelease.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(([, ids = ""]) => ids.split(" "));
  for (const [family, command] of INSTALL) if (families.some((id) => family.test(id))) return command;
  return null;
}

/** This machine. */
export function lookAtMachine(available: readonly IsolationLevel[], bwrapInstalled: boolean): Machine {
  return {
    platform: process.platform,
    available,
    bwrapInstalled,
    osRelease: read("/etc/os-release"),
    apparmorRestricts: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    usernsClone: read("/proc/sys/kernel/unprivileged_userns_clone"),
    maxUserns: read("/proc/sys/user/max_user_namespaces"),
    inContainer:
      read("/proc/1/environ").includes("container=") || /docker|kubepods|containerd/.test(read("/proc/1/cgroup")),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

/** In words, what holds while nothing raises it. */
export function floorOf(available: readonly IsolationLevel[]): string {
  if (available.some((level) => satisfiesFloor(level, "kernel"))) return "third-party plugins can run";
  return available.length === 0 ? "no plugin can run here" : "third-party plugins are refused here";
}
