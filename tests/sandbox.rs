//! Limits of a configuration that is executed by its validation.

use std::path::{Path, PathBuf};

use crate::support::{Gate, command, copy, eventually, gate_command, needs, skip, unique};

/// A configuration, and a volume in which it would be published; not where everybody may write.
struct Place(tempfile::TempDir);

impl Place {
    fn new(name: &str, text: &str) -> Self {
        // The checkout itself may lie where everybody may write, or in a path with a blank, which no command here quotes.
        let (ours, home) = (Path::new(env!("CARGO_TARGET_TMPDIR")), std::env::home_dir().unwrap_or_default());
        let shared = ["/tmp", "/var/tmp", "/run", "/dev/shm"].iter().any(|area| ours.starts_with(area))
            || ours.to_string_lossy().contains(' ');
        let place = Self(tempfile::tempdir_in(if shared { &home } else { ours }).expect("there is room"));
        for directory in ["config", "publish"] {
            std::fs::create_dir(place.path(directory)).expect("there is room");
        }
        let text = text.replace("PLACE", place.0.path().to_str().expect("it is UTF-8"));
        std::fs::write(place.path("config").join(name), text).expect("there is room");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Output and exit code of `run --once`.
    fn judge(&self, arguments: &[&str]) -> (String, i32) {
        let mut gate = gate_command();
        gate.args(["run", "--once", "--log-format", "json", "--watch"]).arg(self.path("config"));
        let output = gate.args(arguments).output().expect("it starts");
        (String::from_utf8(output.stderr).expect("it is UTF-8"), output.status.code().expect("it ends by itself"))
    }
}

fn publish(place: &Place) -> String {
    place.path("publish").display().to_string()
}

#[test]
fn a_python_configuration_writes_nothing_where_the_application_reads() {
    needs!("gunicorn");
    let place = Place::new("gunicorn.conf.py", "open('PLACE/publish/evil', 'w').write('evil')\n");
    let application = Place::new("application.py", "def app(environ, start_response):\n    return []\n");
    let checker = format!(
        "gunicorn --check-config -c {{config}} --chdir {} application:app",
        application.path("config").display()
    );
    let volume = publish(&place);
    let judge = |sandbox| place.judge(&["--validate", &checker, "--publish", &volume, "--sandbox", sandbox]);
    let (said, code) = judge("auto");
    assert!(code != 0 && said.contains("Permission denied"), "{said}");
    assert!(!place.path("publish/evil").exists(), "{said}");
    // It is not the volume or the user that forbids it.
    let (said, code) = judge("off");
    assert!(code == 0 && place.path("publish/evil").exists(), "{said}");
}

#[test]
fn nginx_opens_no_log_wherever_a_configuration_says() {
    needs!("nginx");
    // A checker may write below `/tmp`.
    let pid_file = tempfile::NamedTempFile::new_in("/tmp").expect("there is room").into_temp_path();
    let config = format!("pid {};\nerror_log PLACE/evil.log;\nevents {{}}\n", pid_file.display());
    let place = Place::new("nginx.conf", &config);
    let judge = |sandbox| place.judge(&["--validate", "nginx -t -q -c {config}", "--sandbox", sandbox]);
    let (said, code) = judge("auto");
    assert!(code != 0 && said.contains("evil.log") && said.contains("Permission denied"), "{said}");
    assert!(!place.path("evil.log").exists());
    let (said, code) = judge("off");
    assert!(code == 0 && place.path("evil.log").exists(), "{said}");
}

#[test]
fn validation_does_not_change_the_watched_files() {
    let place = Place::new("app.conf", "one");
    let checker = "sh -c 'echo two > $0; test -w /dev/null && echo x > /dev/null && cat $0' {config}";
    let (said, code) = place.judge(&["--validate", checker]);
    assert!(code == 0, "{said}");
    assert_eq!(std::fs::read_to_string(place.path("config/app.conf")).expect("it is there"), "one");
}

/// Output of a shell in a mount namespace in which `/run` holds nothing except the credentials of a container.
fn beside_secrets(user: &str, arguments: &str, checker: &str) -> (String, i32) {
    let place = Place::new("app.conf", "one");
    let mut unshare = command("unshare");
    let script = format!(
        "mount -t tmpfs -o mode=0755 none /run && mkdir -p /run/secrets/kubernetes.io && echo hunter2 > /run/secrets/kubernetes.io/token && \
         cp \"$0\" /run/reload-gate && mkdir /run/config && cp \"$1\" /run/config && \
         exec setpriv {user} /run/reload-gate run --once --watch /run/config --validate \"$2\" {arguments}"
    );
    unshare.args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_reload-gate")]);
    let output = unshare.arg(place.path("config/app.conf")).arg(checker).output().expect("it starts");
    (String::from_utf8(output.stderr).expect("it is UTF-8"), output.status.code().expect("it ends by itself"))
}

#[test]
fn the_credentials_of_the_gates_container_are_not_read() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount");
    }
    needs!("unshare", "setpriv", "mount");
    let nobody = "--reuid=65534 --regid=65534 --clear-groups";
    let reads = "sh -c 'cat /run/secrets/kubernetes.io/token; exit 1'";
    for (user, arguments) in [(nobody, ""), ("", "--sandbox strict")] {
        let (said, code) = beside_secrets(user, arguments, reads);
        assert!(code == 1 && said.contains("Permission denied") && !said.contains("hunter2"), "{said}");
    }
    assert!(beside_secrets(nobody, "--sandbox off", reads).0.contains("hunter2"));
    // Root makes its pid files there; that would be lost with them.
    let makes = "sh -c 'echo $$ > /run/app.pid && cat /run/app.pid'";
    assert_eq!(beside_secrets("", "", makes).1, 0);
    assert_ne!(beside_secrets("", "--sandbox strict", makes).1, 0);
}

/// Returns true if the process for the next command of a gate waits, restricted already.
fn has_restricted_process(gate: u32) -> bool {
    let children = |pid: &str| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let texts = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
        texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let is_confined = |pid: &String| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2")
    };
    children(&gate.to_string()).iter().flat_map(|keeper| children(keeper)).any(|child| is_confined(&child))
}

#[test]
fn rules_that_were_made_before_hide_what_appeared_since_and_show_the_rest() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount");
    }
    needs!("unshare", "mount");
    let place = Place::new("app.conf", "one");
    let script = "mount -t tmpfs -o mode=0755 none /run && cp \"$0\" /run/reload-gate && \
         exec /run/reload-gate run --log-format json --sandbox strict --signal none --watch \"$1\" --validate \"$2\"";
    let mut unshare = command("unshare");
    unshare.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_reload-gate")]).arg(place.path("config"));
    unshare.arg("sh -c 'if cat /run/secrets/token; then exit 3; fi; cat /run/fresh'");
    let mut gate = Gate::start(unshare);
    gate.wait_for("rejected");
    let pid = gate.pid();
    eventually("the next process is restricted", || has_restricted_process(pid));
    let run = PathBuf::from(format!("/proc/{pid}/root/run"));
    std::fs::create_dir(run.join("secrets")).expect("there is room");
    std::fs::write(run.join("secrets/token"), "hunter2").expect("there is room");
    std::fs::write(run.join("fresh"), "fresh").expect("there is room");
    std::fs::write(place.path("config/app.conf"), "two").expect("there is room");
    let verdict = gate.wait_for_any(&["accepted", "rejected"]);
    assert_eq!(verdict["event"], "accepted", "{}", gate.story());
    assert!(!gate.story().contains("hunter2"), "{}", gate.story());
}

#[test]
fn a_checker_that_judges_here_cannot_signal_others_and_gains_nothing() {
    needs!("grep");
    let place = Place::new("app.conf", "one");
    let own = std::process::id();
    let checker = format!(
        "sh -c 'if kill -0 {own} || kill -0 $PPID; then exit 9; fi; sh -c \"kill -0 $$\" && test $(ulimit -c) = 0 && \
         grep -q NoNewPrivs:.1 /proc/self/status'"
    );
    let (said, code) = place.judge(&["--validate", &checker]);
    assert_eq!(code, 0, "{said}");
}

/// A duration that no other process sleeps for.
fn nap(number: u32) -> String {
    format!("{}.{number}", 4_000_000 + std::process::id())
}

/// Returns true if a process sleeps for this duration.
fn sleeps(nap: &str) -> bool {
    let line = format!("sleep\0{nap}\0").into_bytes();
    let pids = std::fs::read_dir("/proc").expect("it is there").flatten();
    pids.into_iter().any(|pid| std::fs::read(pid.path().join("cmdline")).is_ok_and(|own| own == line))
}

#[test]
fn a_daemon_of_a_checker_that_judges_here_does_not_outlive_the_timeout() {
    needs!("setsid");
    let place = Place::new("app.conf", "one");
    for (number, sandbox) in (0..).zip(["auto", "off"]) {
        let nap = nap(number);
        let checker = format!("sh -c '(setsid sh -c \"sleep {nap} & exit\" &); sleep 1000'");
        let (said, code) = place.judge(&["--validate", &checker, "--timeout", "1s", "--sandbox", sandbox]);
        assert!(code == 3 && said.contains("did not end within 1s"), "{said}");
        eventually("the daemon is dead", || !sleeps(&nap));
    }
}

#[test]
fn a_daemon_of_a_checker_that_ends_by_itself_ends_with_it() {
    needs!("setsid");
    let place = Place::new("app.conf", "one");
    let ends = [("exit 0", 0), ("exit 1", 1), ("kill -9 $$", 3)];
    for (number, (sandbox, (end, expected))) in
        (10..).zip(["auto", "off"].into_iter().flat_map(|sandbox| ends.map(|end| (sandbox, end))))
    {
        let (nap, begun) = (nap(number), format!("/tmp/{}", unique("begun")));
        // Neither its parent, nor its group, nor its session leads to it; and it has begun when the checker ends.
        let daemon = format!("setsid sh -c \"(: > {begun}; exec sleep {nap}) & exit\" &");
        let checker = format!("sh -c '({daemon}); while ! test -e {begun}; do :; done; {end}'");
        let (said, code) = place.judge(&["--validate", &checker, "--sandbox", sandbox]);
        assert_eq!(code, expected, "{sandbox} {end}: {said}");
        assert!(Path::new(&begun).exists(), "it never began: {said}");
        // The gate has ended after it: there is nothing to wait for.
        assert!(!sleeps(&nap), "{sandbox} {end}: {said}");
        std::fs::remove_file(begun).expect("it is ours");
    }
}

#[test]
fn a_checker_that_runs_when_the_gate_is_killed_ends_with_it() {
    needs!("setsid");
    let place = Place::new("app.conf", "one");
    let naps = [nap(20), nap(21)];
    let checker = format!("sh -c 'setsid sleep {} & sleep {}'", naps[0], naps[1]);
    let mut gate = gate_command();
    gate.args(["run", "--once", "--watch"]).arg(place.path("config")).args(["--validate", &checker]);
    let mut gate = gate.stderr(std::process::Stdio::null()).spawn().expect("it starts");
    eventually("the checker runs", || naps.iter().all(|nap| sleeps(nap)));
    gate.kill().expect("it runs");
    gate.wait().expect("it was killed");
    eventually("nothing of the checker is left", || !naps.iter().any(|nap| sleeps(nap)));
}

#[test]
fn a_program_that_is_killed_below_a_shell_gives_no_verdict() {
    let place = Place::new("app.conf", "one");
    for signal in ["KILL", "SEGV", "TERM", "ABRT"] {
        let (said, code) = place.judge(&["--validate", &format!("sh -c 'sh -c \"kill -{signal} \\$\\$\"'")]);
        assert!(code == 3 && said.contains("was killed by signal"), "{signal}: {said}");
    }
}

#[test]
fn no_shell_reads_a_checker_that_is_no_program() {
    let place = Place::new("app.conf", "one");
    let program = place.path("checker");
    // A text that may be executed, and names no interpreter: execve(2) fails with ENOEXEC, and execvp(3) would call a shell.
    std::fs::write(&program, "touch PLACE/evil\n".replace("PLACE", &place.0.path().display().to_string()))
        .expect("there is room");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
    for sandbox in ["auto", "off"] {
        let (said, code) = place.judge(&["--validate", program.to_str().expect("UTF-8"), "--sandbox", sandbox]);
        assert_eq!(code, 3, "{said}");
        assert!(said.contains("Exec format error") && said.contains("checker-missing"), "{said}");
        assert!(!place.path("evil").exists(), "a shell has read it: {said}");
    }
}

#[test]
fn the_start_event_tells_which_commands_are_confined() {
    let place = Place::new("app.conf", "one");
    let started = |arguments: &[&str]| place.judge(arguments).0.lines().next().unwrap_or_default().to_owned();
    assert!(started(&["--validate", "true"]).contains("validator commands are confined"));
    assert!(started(&["--validate", "true", "--sandbox", "off"]).contains("are not confined (`--sandbox off`)"));
    assert!(!started(&[]).contains("confined"));
    let (said, code) = place.judge(&["--sandbox", "strickt"]);
    assert!(code == 2 && said.contains("did you mean `strict`?"), "{said}");
}

#[test]
fn real_checkers_judge_in_it_as_they_do_outside() {
    needs!("nginx", "haproxy");
    let log = "/var/log/reload-gate-sandbox.log";
    let pid = unique("pid");
    let nginx = format!(
        "pid /run/{pid};\nerror_log {log};\nevents {{}}\nhttp {{\n    proxy_cache_path /var/cache/{pid} keys_zone=a:1m;\n}}\n"
    );
    let haproxy = "global\n    stats socket /run/haproxy.sock\n    maxconn 1000\ndefaults\n    mode http\n    timeout client 5s\n    timeout \
                   connect 5s\n    timeout server 5s\nfrontend web\n    bind 127.0.0.1:8080\n";
    for (name, text, checker) in
        [("nginx.conf", nginx.as_str(), "nginx -t -c {config}"), ("haproxy.cfg", haproxy, "haproxy -c -f {config}")]
    {
        let place = Place::new(name, text);
        let (said, code) = place.judge(&["--validate", checker, "--sandbox", "auto"]);
        // Another user than root may not do all that outside, either.
        let (outside, expected) = place.judge(&["--validate", checker, "--sandbox", "off"]);
        assert_eq!(code, expected, "{said} {outside}");
        assert!(code == 0 || !rustix::process::geteuid().is_root(), "{said}");
    }
    for left in [log.to_owned(), format!("/run/{pid}")] {
        let _ = std::fs::remove_file(left);
    }
    let _ = std::fs::remove_dir_all(Path::new("/var/cache").join(pid));
}

#[test]
fn a_checker_sees_the_variables_that_are_passed_to_it_and_no_others() {
    needs!("haproxy", "env");
    let text = "global\n    maxconn 10\ndefaults\n    mode http\n    timeout client 5s\n    timeout connect 5s\n    timeout server 5s\n\
                frontend web\n    bind \"127.0.0.1:${PORT}\"\n";
    let place = Place::new("haproxy.cfg", text);
    let run = |arguments: &[&str]| {
        let mut gate = gate_command();
        gate.env("PORT", "8080").env("APP_ONE", "first").env("APP_TWO", "second").env("TOKEN", "hunter2");
        gate.args(["run", "--once", "--log-format", "json", "--watch"]).arg(place.path("config")).args(arguments);
        let output = gate.output().expect("it starts");
        (String::from_utf8(output.stderr).expect("it is UTF-8"), output.status.code().expect("it ends by itself"))
    };
    for sandbox in ["auto", "off"] {
        let judge = |more: &[&str]| {
            run(&[&["--validate", "haproxy -c -f {config}", "--root", "local", "--sandbox", sandbox], more].concat())
        };
        let (said, code) = judge(&[]);
        assert_eq!(code, 1, "{said}");
        let (said, code) = judge(&["--pass-env", "PORT"]);
        assert_eq!(code, 0, "{said}");
        let fails = ["--validate", "sh -c 'env; exit 1'", "--root", "local", "--sandbox", sandbox];
        let (said, code) = run(&[&fails[..], &["--pass-env", "APP_*", "--pass-env", "PATH"]].concat());
        assert!(code == 1 && said.contains("APP_ONE=first") && said.contains("APP_TWO=second"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("PORT="), "{said}");
    }
}

#[test]
fn what_a_checker_prints_is_no_report_of_its_end() {
    // A report of the keeper as it is on its channel: the length, and the text. It goes to every descriptor that there is.
    let script = r"for fd in /proc/self/fd/*; do printf '\010\000\000\000exited 0' > $fd; done 2> /dev/null; exit 1";
    let place = Place::new("app.conf", "one");
    for sandbox in ["auto", "off"] {
        let checker = format!("sh -c \"{script}\"");
        let (said, code) = place.judge(&["--validate", &checker, "--sandbox", sandbox]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("exited 0"), "the output is the checker's: {said}");
    }
}

#[test]
fn the_files_of_another_gate_are_out_of_reach() {
    let (one, other) = (Place::new("app.conf", "one"), Place::new("secret.conf", "hunter2"));
    let file = one.path("gates.yaml");
    std::fs::write(other.path("publish/live"), "hunter2").expect("there is room");
    let (here, there) = (one.path("config"), other.path("config"));
    let text = format!(
        "gates:\n  - name: one\n    watch: [{0}]\n    signal: none\n    validate: [\"cat {1}/secret.conf {0}/app.conf {2}/live\"]\n  \
         - name: other\n    watch: [{1}]\n    signal: none\n    validate: [\"true\"]\n    publish: [{2}]\n",
        here.display(),
        there.display(),
        other.path("publish").display()
    );
    std::fs::write(&file, text).expect("there is room");
    let mut gate = gate_command();
    let output =
        gate.args(["run", "--once", "--log-format", "json", "--config"]).arg(&file).output().expect("it starts");
    let said = String::from_utf8(output.stderr).expect("it is UTF-8");
    assert!(said.contains("Permission denied") && !said.contains("hunter2"), "{said}");
    assert!(said.contains("publish/live: Permission denied"), "{said}");
}

#[test]
fn a_checker_runs_out_of_memory_before_its_container_does() {
    needs!("python3");
    // The first version of control groups, or the second.
    let groups = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(Path::new);
    let limit = |group: &Path| {
        ["memory.limit_in_bytes", "memory.max"].map(|file| group.join(file)).into_iter().find(|file| file.exists())
    };
    let mut candidates = groups.iter().map(|root| root.join(unique("mem")));
    let made = candidates.find(|group| std::fs::create_dir(group).is_ok() && limit(group).is_some());
    let Some(group) = made else { return skip("no control group of memory can be made") };
    std::fs::write(limit(&group).expect("it is there"), "100663296").expect("it is ours");
    let place = Place::new("app.conf", "one");
    let checker = "python3 -c 'print(len(bytearray(200 << 20)))'";
    let mut gate = command("sh");
    gate.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
        .arg(&group)
        .arg(env!("CARGO_BIN_EXE_reload-gate"));
    gate.args(["run", "--once", "--log-format", "json", "--validate", checker, "--watch"]).arg(place.path("config"));
    let output = gate.output().expect("it starts");
    let said = String::from_utf8(output.stderr).expect("it is UTF-8");
    let _ = std::fs::remove_dir(&group);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("MemoryError") && said.contains("memory limit"), "{said}");
}

/// A program that tries what an isolated one must not do, and prints what it reached.
const ISOLATED: &str = r"import os, socket
reached = []
def attempt(name, what):
    try:
        if what() is not None: reached.append(name)
    except OSError: pass
def text(path): return open(path, 'rb').read()
for path in 'HIDDEN', '/etc/shadow', '/proc/1/cmdline', '/proc/1/environ':
    attempt(path, lambda: text(path))
for family in socket.AF_INET, socket.AF_INET6, socket.AF_UNIX:
    attempt(str(family), lambda: socket.socket(family))
attempt('written', lambda: open('SHOWN/new', 'w'))
attempt('executed', lambda: os.execv('SHOWN/program', ['program', 'x']))
print('reached:', reached, text('SHOWN/app.conf').decode(), len(text('/etc/passwd')) > 0)
";

#[test]
fn an_isolated_command_reads_what_is_laid_out_and_reaches_nothing() {
    needs!("python3");
    let (shown, hidden) = (Place::new("app.conf", "laid-out"), Place::new("key", "hunter2"));
    copy("echo", &shown.path("config"), "program");
    let program = ISOLATED
        .replace("HIDDEN", &hidden.path("config/key").display().to_string())
        .replace("SHOWN", &shown.path("config").display().to_string());
    let mut isolated = gate_command();
    isolated.args(["confine", "--only"]).arg(shown.path("config")).args(["--", "python3", "-c", &program]);
    let output = isolated.output().expect("it starts");
    // A wrapper of the interpreter may print errors.
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, "reached: [] laid-out True\n", "{errors}");
}

/// The output of a checker that rejects, as one run of a gate reports it.
fn printed_by(checker: &str) -> String {
    let place = Place::new("app.conf", "one");
    let mut gate = command(env!("CARGO_BIN_EXE_reload-gate"));
    gate.args(["run", "--once", "--log-format", "json", "--validate", checker, "--watch"]).arg(place.path("config"));
    let output = gate.output().expect("it starts");
    String::from_utf8(output.stderr).expect("it is UTF-8")
}

#[test]
fn the_kernel_kills_a_checker_before_the_gate() {
    let said = printed_by("sh -c 'echo score $(cat /proc/self/oom_score_adj); exit 1'");
    assert!(said.contains("score 1000"), "{said}");
}
