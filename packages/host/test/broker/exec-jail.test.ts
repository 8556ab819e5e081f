import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { ExecScope } from "../../src/capability/index.ts";
import { children, execBench, granted, KERNEL_LEVELS, lackingLevel } from "./exec-support.ts";
import { temporaryDirectory } from "./support.ts";

/** An interpreter that needs nothing but itself, so that a command can try whatever code can. */
const PERL = "/usr/bin/perl";
const ATTACKS = String.raw`
sub said { my ($name, $did) = @_; print "$name=", ($did ? "DID" : "no"), "\n" }
sub listed { my ($folder, $wanted) = @_; opendir(my $h, $folder) or return 0; return scalar grep { $_ =~ $wanted } readdir($h) }
said(passwd => open(my $a, "<", "/etc/passwd"));
said(hosts => open(my $b, "<", "/etc/hosts"));
said(home => opendir(my $c, "/root"));
said(own_environment => open(my $d, "<", "/proc/self/environ"));
said(first_process => open(my $e, "<", "/proc/1/environ"));
said(processes => listed("/proc", qr/^[0-9]+$/));
said(host_process => open(my $g, "<", "/proc/$ARGV[0]/environ"));
said(other_data => open(my $h, "<", $ARGV[1]));
said(shell => open(my $i, "<", "/bin/sh"));
said(tree => open(my $j, "<", "/usr/bin/env"));
said(write_root => open(my $k, ">", "/x"));
said(write_here => open(my $l, ">", "x"));
said(write_data => open(my $m, ">", $ARGV[1]));
said(shared_memory => open(my $n, ">", "/dev/shm/x"));
my $pid = fork(); if (defined $pid && $pid == 0) { exit }
said(fork => defined $pid);
said(system => system("/bin/sh", "-c", "true") == 0);
said(itself => system($^X, "-e", "1") == 0);
said(tcp => socket(my $o, 2, 1, 0));
said(udp => socket(my $p, 2, 2, 0));
said(tcp6 => socket(my $q, 10, 1, 0));
said(unix => socket(my $r, 1, 1, 0));
said(raw => socket(my $s, 2, 3, 1));
said(netlink => socket(my $t, 16, 3, 0));
said(signal_host => kill(0, $ARGV[0]));
said(chmod => chmod(0777, "."));
said(chown => chown(0, 0, "."));
said(link => link("/etc/passwd", "/tmp/p"));
said(device => listed("/dev", qr/^(?!(\.\.?|null|urandom)$)/));
said(setuid => do { local $< = 0; $> == 0 });
print "env=", join(",", map { "$_:$ENV{$_}" } sort keys %ENV), "\n";
`;
const SECRET = "sallyport-exec-canary-5170";

describe.each(KERNEL_LEVELS)("a command at %s", (level) => {
  const note = lackingLevel(level) || (existsSync(PERL) ? "" : ` (skipped: no ${PERL})`);
  const on = note === "";
  let perl: ExecScope | undefined;
  beforeAll(async () => {
    perl = await granted(PERL, ["-", "**"]).catch(() => undefined);
    process.env["SALLYPORT_EXEC_CANARY"] = SECRET;
    return () => void delete process.env["SALLYPORT_EXEC_CANARY"];
  });
  const script = (code: string, args: readonly string[] = [], timeoutMs = 30_000) => {
    if (perl === undefined) throw new Error(`${PERL} is not here`);
    return execBench(level, [perl]).exec(PERL, ["-", ...args], { stdin: code, timeoutMs });
  };

  it.skipIf(!on)(`reaches nothing of the machine, however it tries [S0-14] [S3-75]${note}`, async () => {
    const other = await temporaryDirectory();
    try {
      const { code, stdout } = await script(ATTACKS, [String(process.pid), `${other.path}/x`]);
      const lines = stdout.trim().split("\n");
      const said = Object.fromEntries(lines.map((line) => line.split("=", 2)));
      const { env, ...tried } = said;
      expect([code, Object.keys(tried).length]).toEqual([0, 29]);
      expect(Object.entries(tried).filter(([, did]) => did !== "no")).toEqual([]);
      const here = level === "namespace" ? ",PWD:/work" : "";
      expect(env).toBe(`HOME:/tmp,LANG:C.UTF-8,OPENSSL_CONF:/dev/null${here},TMPDIR:/tmp`);
      expect(stdout).not.toContain(SECRET);
    } finally {
      await other.remove();
    }
  });

  it.skipIf(!on)(`cannot multiply: neither fork bomb nor a child that outlives it${note}`, async () => {
    const bomb = await script(
      `my $made = 0; for (1 .. 1000) { my $p = fork(); next unless defined $p; $made++; if ($p == 0) { sleep 100 } } print $made;`,
    );
    expect([bomb.code, bomb.stdout]).toEqual([0, "0"]);
    expect(children()).toEqual([]);
  });

  it.skipIf(!on)(
    `is ended at its deadline, whatever it does with signals, and nothing is left of it${note}`,
    async () => {
      const deaf = script(`$SIG{$_} = "IGNORE" for qw(TERM INT HUP QUIT ALRM); sleep 100 while 1;`, [], 150);
      await expect(deaf).rejects.toMatchObject({ code: "deadline_exceeded" });
      expect(children()).toEqual([]);
    },
  );

  it.skipIf(!on)(`has the limits that it should have, and no more processor time than its time${note}`, async () => {
    const ask = process.arch === "x64" ? 97 : 163;
    const names = { cpu: 0, fsize: 1, data: 2, stack: 3, core: 4, nproc: 6, nofile: 7 };
    const { stdout } = await script(
      `for (${Object.values(names).join(", ")}) { my $b = pack("QQ", 7, 7); syscall(${ask}, $_ + 0, $b); print join(":", unpack("QQ", $b)), " " }`,
      [],
      29_500,
    );
    const said = Object.fromEntries(Object.keys(names).map((name, index) => [name, stdout.split(" ")[index]]));
    const mib = 1024 * 1024;
    const both = (value: number): string => `${value}:${value}`;
    expect(said).toMatchObject({
      cpu: both(30),
      fsize: both(16 * mib),
      data: both((64 + 256) * mib),
      stack: both(8 * mib),
      core: both(1),
      nofile: both(256),
      ...(level === "namespace" ? { nproc: both(32) } : {}),
    });
  });

  it.skipIf(!on)(`meets its walls: memory and disk${note}`, async () => {
    const greedy = await script(`my @all; push @all, "x" x (64 << 20) for 1 .. 32; print "got it"`);
    expect(greedy.stdout).not.toContain("got it");
    expect(greedy.code).not.toBe(0);
    const writer = await script(
      `my $sum = 0; open(my $f, ">", "/tmp/x") or print("nowhere"), exit; binmode $f; for (1 .. 64) { my $n = syswrite($f, "x" x (1 << 20)); last unless defined $n; $sum += $n } print $sum <= 16 << 20 ? "bounded" : $sum`,
    );
    if (level === "landlock") expect(writer.stdout).toBe("nowhere");
    else expect([writer.stdout, writer.signal]).toEqual(writer.signal === null ? ["bounded", null] : ["", "SIGXFSZ"]);
  });

  it.skipIf(!on)(`is ended when it writes without end, and what is kept says so${note}`, async () => {
    const endless = await script(`print "y\\n" x 4096 while 1`);
    expect(endless).toMatchObject({ code: null, signal: "SIGKILL", truncated: true });
    expect(endless.stdout.length).toBe(1024 * 1024);
    const noisy = await script(`print STDERR "e" x 100000; print "out"; exit 7`);
    expect(noisy).toMatchObject({ code: 7, signal: null, truncated: true, stdout: "out" });
    expect(noisy.stderr.length).toBe(64 * 1024);
    const deafening = await script(`print STDERR "y\\n" x 4096 while 1`);
    expect(deafening).toMatchObject({ code: null, signal: "SIGKILL", truncated: true });
  });

  it.skipIf(!on)(`reads what it was handed, in its own folder, and changes nothing of it${note}`, async () => {
    const data = await temporaryDirectory();
    try {
      await writeFile(join(data.path, "in.txt"), "handed", { mode: 0o600 });
      if (perl === undefined) throw new Error(`${PERL} is not here`);
      const own = { capability: "filesystem", path: "${data}", mode: "rw" } as const;
      const { stdout } = await execBench(level, [perl, own], { dataDir: data.path }).exec(PERL, ["-"], {
        stdin: `opendir(my $d, "."); print join(",", grep { !/^\\./ } readdir($d)), " "; open(my $f, "<", "a.txt"); print <$f>;
print " ", (open(my $g, ">>", "a.txt") || unlink("a.txt") || rename("a.txt", "b.txt") || open(my $h, ">", "c.txt")) ? "DID" : "no"`,
        files: [{ name: "a.txt", path: "${data}/in.txt" }],
      });
      expect(stdout).toBe("a.txt handed no");
      expect(await readFile(join(data.path, "in.txt"), "utf8")).toBe("handed");
    } finally {
      await data.remove();
    }
  });

  it.skipIf(!on)(`tells its exit code, its signal, and its output as it is${note}`, async () => {
    expect(await script(`print "\\e[2J\\x00\\xc3\\xa9"; exit 42`)).toEqual({
      code: 42,
      signal: null,
      stdout: "\u001b[2J\0é",
      stderr: "",
      truncated: false,
    });
    expect(await script(`kill 9, $$; sleep 5`)).toMatchObject({ code: null, signal: "SIGKILL", truncated: false });
  });
});
