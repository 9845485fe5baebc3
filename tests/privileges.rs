//! Messages of a gate without privileges, and the privileges of its checkers.
//!
//! These need root, to be several users at once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Background, Cage, Gate, Nginx, command, eventually, install, installed, needs, skip, unique};

pub(crate) const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// Ends a test here unless it is run by root.
macro_rules! needs_root {
    () => {
        if !rustix::process::geteuid().is_root() {
            return skip("only root can be several users");
        }
        needs!("setpriv");
    };
}
pub(crate) use needs_root;

/// A place that every user can read, with the gate's binary and a configuration.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("there is room"));
        open(place.path());
        let (binary, here) = (env!("CARGO_BIN_EXE_reload-gate"), place.path().join("reload-gate"));
        if std::fs::hard_link(binary, &here).is_err() {
            install(Path::new(binary), &here);
        }
        std::fs::create_dir(place.config()).expect("there is room");
        std::fs::write(place.config().join("app.conf"), "one").expect("there is room");
        open(&place.config());
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("config")
    }

    /// The gate, as setpriv(1) makes it.
    pub(crate) fn gate(&self, privileges: &[&str]) -> Command {
        let mut gate = command("setpriv");
        gate.args(privileges).arg(self.path().join("reload-gate"));
        gate.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("SECRET", "hunter2");
        gate
    }

    /// The gate over the configuration, running.
    fn run(&self, privileges: &[&str], arguments: &[&str]) -> Gate {
        let mut gate = self.gate(privileges);
        gate.arg("run").arg("--watch").arg(self.config()).args(["--settle", "20ms"]).args(arguments);
        Gate::start(gate)
    }
}

fn open(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// A target that is some user, waits in some directory, and counts the HUPs it gets.
pub(crate) struct Target {
    pub(crate) process: Background,
    directory: tempfile::TempDir,
    pub(crate) name: String,
}

impl Target {
    pub(crate) fn start(privileges: &[&str]) -> Self {
        let (directory, name) = (tempfile::tempdir().expect("there is room"), unique("prv"));
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
        let script = "#!/bin/sh\ntrap 'echo >> hups' HUP\necho > ready\nwhile :; do sleep 0.05; done\n";
        let text = directory.path().join("script");
        std::fs::write(&text, script).expect("there is room");
        install(&text, &directory.path().join(&name));
        let mut target = command("setpriv");
        target.args(privileges).arg(directory.path().join(&name)).current_dir(directory.path());
        target.env_clear().env("PATH", "/usr/bin:/bin").env("OWN", "its own").env("MARK", "a mark");
        let process = Background::start(&mut target);
        eventually("the target is ready", || directory.path().join("ready").exists());
        Self { process, directory, name }
    }

    pub(crate) fn hups(&self) -> usize {
        std::fs::read_to_string(self.directory.path().join("hups")).unwrap_or_default().len()
    }
}

/// Field 22 of /proc/PID/stat (proc_pid_stat(5)).
fn start_time(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is alive");
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19)).expect("it is there").to_owned()
}

/// Output and exit code of a command that runs like the process `pid`.
fn like(mut gate: Command, pid: u32, root: &str, unset: &[&str], words: &[&str]) -> (String, i32) {
    gate.args(["enter", &pid.to_string(), &start_time(pid), root]).args(unset).arg("--").args(words);
    said(&gate.output().expect("it starts"))
}

fn said(output: &Output) -> (String, i32) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (String::from_utf8(text).expect("it is UTF-8"), output.status.code().expect("it ends by itself"))
}

#[track_caller]
fn contains(value: &Value, part: &str) {
    assert!(value.as_str().is_some_and(|text| text.contains(part)), "`{part}` is not in {value}");
}

#[test]
fn a_target_that_may_not_be_signalled_is_left_alone_and_it_says_why() {
    needs_root!();
    let (mut target, place) = (Target::start(&[]), Place::new());
    let mut gate = place.run(&NOBODY, &["--process", &target.name, "--signal", "HUP"]);
    let refused = gate.wait_for("target_refused");
    let pid = target.process.pid();
    assert_eq!(refused["pid"], pid);
    let expected = format!("no permission to send SIGHUP to pid {pid} (uid 0) as uid 65534");
    assert_eq!(refused["message"], Value::from(expected));
    contains(&refused["help"], "run the gate as the same user, or as root with the capability KILL");
    assert_eq!((gate.count("reloaded"), target.hups(), target.process.is_alive()), (0, 0, true));
}

#[test]
fn an_included_directory_that_may_not_be_listed_is_no_empty_one() {
    needs_root!();
    let place = Place::new();
    let closed = place.path().join("closed");
    std::fs::create_dir(&closed).expect("there is room");
    std::fs::write(closed.join("a.conf"), "nonsense;").expect("there is room");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
    std::os::unix::fs::symlink(&closed, place.config().join("conf.d")).expect("there is room");
    let text = "events {}\nhttp {\n    include conf.d/*.conf;\n}\n";
    std::fs::write(place.config().join("nginx.conf"), text).expect("there is room");
    let mut gate = place.run(&NOBODY, &["--builtin", "nginx", "--main", "nginx.conf", "--signal", "none"]);
    let verdict = gate.wait_for_any(&["inconclusive", "accepted", "rejected"]);
    assert_eq!(verdict["event"], "inconclusive", "{verdict}");
    assert!(verdict.to_string().contains(&format!("cannot read `{}`", closed.display())), "{verdict}");
}

#[test]
fn a_target_of_the_same_user_is_signalled_without_any_privilege() {
    needs_root!();
    let (target, place) = (Target::start(&NOBODY), Place::new());
    let restricted = [&NOBODY[..], &["--bounding-set=-all", "--no-new-privs"]].concat();
    let checker = ["--validate", "grep -q one {config}"];
    let mut gate = place.run(&restricted, &[&checker[..], &["--process", &target.name, "--signal", "HUP"]].concat());
    let accepted = gate.wait_for("accepted");
    contains(&accepted["message"], &format!("as the user of pid {}", target.process.pid()));
    gate.wait_for("reloaded");
    eventually("it is told", || target.hups() == 1);
}

#[test]
fn a_root_that_may_not_be_entered_is_no_verdict_and_says_what_it_takes() {
    needs_root!();
    let (target, place) = (Target::start(&[]), Place::new());
    let pid = target.process.pid();
    let arguments = ["--process", &target.name, "--signal", "HUP", "--validate", "true"];
    let mut gate = place.run(&NOBODY, &arguments);
    let inconclusive = gate.wait_for("inconclusive");
    let finding = &inconclusive["findings"][0];
    assert_eq!(finding["code"], "root-not-entered");
    contains(&finding["message"], &format!("cannot look into pid {pid}: "));
    contains(&finding["message"], "Permission denied");
    for part in ["the same uid and gid and every capability", "SYS_CHROOT", "`--root local`"] {
        contains(&finding["help"], part);
    }
    assert_eq!((gate.count("rejected"), target.hups()), (0, 0));
    // What it says helps.
    let mut gate = place.run(&NOBODY, &[&arguments[..], &["--root", "local", "--observe"]].concat());
    gate.wait_for("accepted");
}

#[test]
fn for_a_root_that_chroot_refuses_the_bundled_checker_judges_and_says_what_it_takes() {
    needs_root!();
    needs!("nginx");
    let (place, cage) = (Place::new(), Cage::with_nginx());
    let config = cage.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = place.gate(&["--bounding-set=-sys_chroot"]);
    gate.args(["run", "--app", "nginx", "--process", &cage.name, "--watch", &config, "--mount", "/config"]);
    let mut gate = Gate::start(gate);
    let finding = gate.wait_for("accepted")["findings"][0].clone();
    assert_eq!(finding["code"], "root-not-entered");
    let expected = format!("cannot enter the root of pid {}: Operation not permitted", cage.process.pid());
    contains(&finding["message"], &expected);
    contains(&finding["help"], "SYS_CHROOT where the root is another one");
}

#[test]
fn an_executable_that_may_not_be_seen_is_no_verdict() {
    needs_root!();
    needs!("nginx");
    let (place, nginx) = (Place::new(), Nginx::start());
    let mut gate = place.run(&NOBODY, &["--app", "nginx", "--process", &nginx.name]);
    let finding = gate.wait_for("inconclusive")["findings"][0].clone();
    assert_eq!(finding["code"], "root-not-entered");
    contains(&finding["message"], &format!("cannot see which file pid {} executes", nginx.process.pid()));
    contains(&finding["help"], "`--root local`");
    assert_eq!(nginx.signals(), 0);
}

#[test]
fn a_source_that_may_not_be_read_is_no_verdict_and_says_who_may_not() {
    needs_root!();
    let place = Place::new();
    let file = place.config().join("app.conf");
    for (path, mode) in [(&file, 0o600), (&place.config(), 0o711)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
        let mut gate = place.run(&NOBODY, &["--signal", "none"]);
        let finding = gate.wait_for("inconclusive")["findings"][0].clone();
        assert_eq!(finding["code"], "unreadable-file");
        contains(&finding["message"], &format!("cannot read `{}`: Permission denied", path.display()));
        contains(&finding["help"], "the gate runs as uid 65534; give that user read access");
        open(path);
        gate.wait_for("accepted");
        gate.wait_for("recovered");
    }
}

#[test]
fn a_checker_is_the_targets_user_with_nothing_to_gain() {
    needs_root!();
    let ids = ["--reuid=1234", "--regid=2345", "--groups=3456,4567"];
    let target = Target::start(&ids);
    let pid = target.process.pid();
    let place = Place::new();
    let (status, code) = like(place.gate(&[]), pid, "same", &[], &["cat", "/proc/self/status"]);
    assert_eq!(code, 0, "{status}");
    for line in [
        "Uid:\t1234\t1234\t1234\t1234",
        "Gid:\t2345\t2345\t2345\t2345",
        "Groups:\t3456 4567 ",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.lines().any(|other| other == line), "`{line}` is not in:\n{status}");
    }
    // Its environment and its directory, and nothing of the gate's.
    let (environment, _) = like(place.gate(&[]), pid, "same", &["--unset=MARK"], &["env"]);
    let mut lines: Vec<_> = environment.lines().filter(|line| !line.starts_with("PWD=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["OWN=its own", "PATH=/usr/bin:/bin"]);
    let (directory, _) = like(place.gate(&[]), pid, "same", &[], &["pwd"]);
    assert_eq!(Path::new(directory.trim()), target.directory.path());
    // It cannot become root again.
    if installed("su") {
        let (said, code) = like(place.gate(&[]), pid, "same", &[], &["su", "-c", "id"]);
        assert_ne!(code, 0, "{said}");
    }
}

#[test]
fn a_checker_has_no_capability_that_the_target_has_not() {
    needs_root!();
    let place = Place::new();
    let capabilities = |pid: &str| -> Vec<String> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
        status.lines().filter(|line| is_capability(line)).map(str::to_owned).collect()
    };
    for kept in ["-all", "-all,+kill,+net_bind_service", "-sys_admin"] {
        let target = Target::start(&[&format!("--bounding-set={kept}")]);
        let pid = target.process.pid();
        let expected = capabilities(&pid.to_string());
        let (status, code) = like(place.gate(&[]), pid, "same", &[], &["cat", "/proc/self/status"]);
        assert_eq!(code, 0, "{status}");
        let number =
            |line: &str| u64::from_str_radix(line.rsplit('\t').next().unwrap_or_default(), 16).expect("it is hex");
        let found: Vec<_> = status.lines().filter(|line| is_capability(line)).map(number).collect();
        let expected: Vec<_> = expected.iter().map(|line| number(line)).collect();
        assert!(found.iter().zip(&expected).all(|(found, expected)| found & !expected == 0), "{kept} {status}");
        // What a checker needs it has: to bind a port, and to give files away.
        let needed = 1 << 10 | 1;
        assert_eq!(found[1] & needed, expected[1] & needed, "{kept} {status}");
    }
}

fn is_capability(line: &str) -> bool {
    line.starts_with("CapPrm") || line.starts_with("CapEff")
}

#[test]
fn a_checker_has_no_capability_of_another_user_namespace() {
    needs_root!();
    needs!("unshare");
    let place = Place::new();
    // All capabilities there, and none here.
    let target = Target::start(&[&NOBODY[..], &["unshare", "--user", "--keep-caps"]].concat());
    let pid = target.process.pid();
    let own = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    assert!(own.lines().any(|line| line.starts_with("CapAmb:") && !line.ends_with("0000000000000000")), "{own}");
    let script = "grep ^Cap /proc/self/status; cat /etc/shadow";
    let (said, code) = like(place.gate(&[]), pid, "same", &[], &["sh", "-c", script]);
    let capabilities: Vec<_> = said.lines().filter(|line| line.starts_with("Cap")).collect();
    assert_eq!(capabilities.len(), 5, "{said}");
    assert!(capabilities.iter().all(|line| line.ends_with("0000000000000000")), "{said}");
    assert!(code != 0 && said.contains("Permission denied"), "{said}");
}

/// A program of Python that names each way by which it reaches a process.
const REACHES: &str = "import ctypes, os, resource, sys
other, terminal = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
def succeeds(call):
    try: return call() not in (-1, None)
    except OSError: return False
def memory():
    with open(f'/proc/{other}/mem', 'rb'): return True
def environment():
    with open(f'/proc/{other}/environ', 'rb') as file: return file.read(1)
def terminal_input():
    import fcntl
    with open(terminal, 'r+b', buffering=0) as file: return fcntl.ioctl(file, 0x5412, b'x') == 0
ways = {
    'signal': lambda: os.kill(other, 0) is None or True,
    'trace': lambda: libc.ptrace(16, other, 0, 0),
    'limit': lambda: resource.prlimit(other, resource.RLIMIT_NOFILE, (64, 64)),
    'priority': lambda: os.setpriority(os.PRIO_PROCESS, other, 5) is None or True,
    'affinity': lambda: os.sched_setaffinity(other, {0}) is None or True,
    'memory': memory,
    'environment': environment,
    'keys': lambda: libc.syscall(250, 0, -3, 0, 0, 0) if os.uname().machine == 'x86_64' else -1,
    'terminal': lambda: os.open('/dev/tty', os.O_RDWR) >= 0,
    'terminal input': terminal_input,
}
print('reached:', [name for name, way in ways.items() if succeeds(way)])
";

#[test]
fn a_checker_reaches_no_other_process_as_whoever_it_runs() {
    needs_root!();
    needs!("python3");
    let place = Place::new();
    let program = place.path().join("reaches.py");
    std::fs::write(&program, REACHES).expect("there is room");
    open(&program);
    let target = Target::start(&[]);
    // A process of the same user, which runs as the gate does.
    let mut other = command("sleep");
    let other = Background::start(other.arg("1000"));
    let (pid, start, number) =
        (target.process.pid().to_string(), start_time(target.process.pid()), other.pid().to_string());
    let program = program.to_str().expect("it is UTF-8");
    let checker = ["--", "python3", program, &number, "/dev/null"];
    for door in [&["enter", &pid, &start, "same"][..], &["confine"], &["view"]] {
        let mut gate = place.gate(&[]);
        let (said, _) = said(&gate.args(door).args(checker).output().expect("it starts"));
        assert_eq!(said, "reached: []\n", "{door:?}");
    }
}

#[test]
fn a_checker_is_in_the_targets_root() {
    needs_root!();
    needs!("nginx");
    let (place, cage) = (Place::new(), Cage::with_nginx());
    let pid = cage.process.pid();
    // The program is at this path in that root alone.
    let program = format!("/{}", cage.name);
    let (version, code) = like(place.gate(&[]), pid, "root", &[], &[&program, "-v"]);
    assert_eq!(code, 0, "{version}");
    assert!(version.starts_with("nginx version: "), "{version}");
    let outside = like(place.gate(&[]), pid, "same", &[], &[&program, "-v"]);
    assert_eq!(outside.1, 127, "{}", outside.0);
    // And what is outside is not there.
    let (said, code) = like(place.gate(&[]), pid, "root", &[], &["/bin/true"]);
    assert_eq!((said.as_str(), code), ("reload-gate enter: /bin/true: No such file or directory (os error 2)\n", 127));
}

#[test]
fn a_checker_inherits_nothing_that_the_gate_was_given_open() {
    let place = Place::new();
    let secret = place.path().join("secret");
    std::fs::write(&secret, "hunter2").expect("there is room");
    let mut given = command("sh");
    given
        .args(["-c", "exec 7< \"$0\" && shift && exec \"$@\""])
        .arg(&secret)
        .arg("--")
        .arg(place.path().join("reload-gate"));
    given.args(["run", "--once", "--validate", "sh -c 'ls -l /proc/self/fd; exit 1'", "--watch"]).arg(place.config());
    let (said, code) = said(&given.output().expect("it starts"));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("/dev/null") && said.contains("/proc/") && !said.contains(" 7 -> "), "{said}");
}

#[test]
fn the_door_tells_its_own_failures_by_their_codes() {
    needs_root!();
    let (place, target) = (Place::new(), Target::start(&NOBODY));
    let pid = target.process.pid();
    let nobody = |words: &[&str]| like(place.gate(&NOBODY), pid, "same", &[], words);
    // As the same user it takes no privilege.
    assert_eq!(nobody(&["id", "-u"]), ("65534\n".into(), 0));
    assert_eq!(nobody(&["sh", "-c", "exit 7"]).1, 7);
    let text = target.directory.path().join("ready");
    let (said, code) = nobody(&[text.to_str().expect("it is UTF-8")]);
    assert_eq!(code, 126, "{said}");
    assert_eq!(said, format!("reload-gate enter: {}: Permission denied (os error 13)\n", text.display()));
    let (said, code) = nobody(&["no-such-program"]);
    assert_eq!(
        (said.as_str(), code),
        ("reload-gate enter: no-such-program: No such file or directory (os error 2)\n", 127)
    );
    // Another user's process, and a number that is another process by now.
    let (said, code) = like(place.gate(&NOBODY), std::process::id(), "same", &[], &["true"]);
    assert_eq!(code, 125);
    assert!(said.contains(&format!("cannot look into pid {}: ", std::process::id())), "{said}");
    let mut later = place.gate(&[]);
    later.args(["enter", &pid.to_string(), "1", "same", "--", "true"]);
    let (said, code) = self::said(&later.output().expect("it starts"));
    assert_eq!((said, code), (format!("reload-gate enter: cannot look into pid {pid}: it has ended\n"), 125));
}
