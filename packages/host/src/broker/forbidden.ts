/** Never reachable through a grant, whatever it says. Absolute paths, each with everything below it. */
const SYSTEM_PATHS = [
  "/proc",
  "/sys",
  "/dev",
  "/run",
  "/var/run",
  "/boot",
  "/etc/shadow",
  "/etc/shadow-",
  "/etc/gshadow",
  "/etc/gshadow-",
  "/etc/sudoers",
  "/etc/sudoers.d",
  "/etc/pam.d",
  "/etc/ssh",
  "/etc/ssl/private",
  "/etc/profile",
  "/etc/profile.d",
  "/etc/environment",
  "/etc/bash.bashrc",
  "/etc/bashrc",
  "/etc/zsh",
  "/etc/fish",
  "/etc/ld.so.preload",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/systemd",
  "/etc/init.d",
  "/etc/crontab",
  "/etc/cron.d",
  "/etc/cron.hourly",
  "/etc/cron.daily",
  "/etc/cron.weekly",
  "/etc/cron.monthly",
  "/etc/xdg/autostart",
  "/lib/systemd",
  "/usr/lib/systemd",
  "/var/spool/cron",
];

/** Names that hold credentials, or that shells, desktops, tools and agents run or obey when they start: at any depth. */
const NAMES = new Set([
  ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store", ".netrc", ".pgpass", ".git-credentials",
  ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", ".my.cnf", ".vault-token", ".terraform.d", ".mozilla", ".thunderbird", ".pki",
  ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".bash_history", ".profile", ".login", ".logout",
  ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".zsh_history", ".kshrc", ".cshrc", ".tcshrc", ".inputrc", ".envrc",
  ".xinitrc", ".xsession", ".xsessionrc", ".xprofile", ".pam_environment", ".gitconfig", ".vimrc", ".exrc", ".emacs", ".emacs.d",
  ".gdbinit", ".lldbinit", ".tmux.conf", ".screenrc", ".vscode", ".idea", ".husky",
  ".claude", ".claude.json", "CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", "AGENT.md", "GEMINI.md", ".mcp.json", "mcp.json", ".cursor",
  ".cursorrules", ".windsurf", ".windsurfrules", ".clinerules", ".roo", ".codex", ".gemini", ".aider.conf.yml", ".continue", ".copilot",
  "copilot-instructions.md", ".goose", ".goosehints", ".sallyport", "claude_desktop_config.json",
].map((name) => name.toLowerCase()));

/** Neighbouring segments, at any depth. */
const PAIRS = new Set([
  ".config/fish", ".config/autostart", ".config/systemd", ".config/environment.d", ".config/gcloud", ".config/gh", ".config/git",
  ".config/nvim", ".config/claude", ".config/goose", ".config/opencode", ".config/google-chrome", ".config/chromium", ".config/op",
  ".local/bin", "share/systemd", "share/keyrings", ".git/hooks", ".git/config", ".git/info", ".git/modules",
]);

/**
 * Whether a path may not be granted, and is cut out of a grant that reaches it.
 * @param path absolute and canonical. @param roots absolute paths of the host's own: home, engine, content store.
 */
export function isNeverGrantable(path: string, roots: readonly string[]): boolean {
  for (const root of SYSTEM_PATHS) if (isWithin(path, root)) return true;
  for (const root of roots) if (isWithin(path, root)) return true;
  const segments = path.toLowerCase().split("/");
  return segments.some((segment, index) => NAMES.has(segment) || PAIRS.has(`${segments[index - 1] ?? ""}/${segment}`));
}

function isWithin(path: string, root: string): boolean {
  return path === root || (path.startsWith(root) && path.charCodeAt(root.length) === 0x2f) || root === "/";
}
