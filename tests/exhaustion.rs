//! Processes, memory, descriptors and disks that others use up: the gate lives, reports it once, and recovers.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Gate, Listening, Nginx, Receiver, command, eventually, gate_command, needs, python, report_skipped, skip, unique,
};

/// A control group of a test's own; removed when dropped.
struct ControlGroup(PathBuf);

impl ControlGroup {
    /// Creates a group of a controller, which has one of these files: those of the first and of the second version.
    fn new(controller: &str, files: &[&str]) -> Option<Self> {
        let roots = [Path::new("/sys/fs/cgroup").join(controller), "/sys/fs/cgroup".into()];
        let mut groups = roots.iter().map(|root| root.join(unique(controller)));
        let has_file = |group: &PathBuf| files.iter().any(|file| group.join(file).exists());
        groups.find(|group| std::fs::create_dir(group).is_ok() && has_file(group)).map(Self)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("it is ours");
    }

    /// Gives all processes in it together this part of a processor, in thousandths.
    fn limit_processor(&self, thousandths: u32) {
        let (quota, period) = (thousandths * 100, 100_000);
        if self.0.join("cpu.max").exists() {
            self.write("cpu.max", &format!("{quota} {period}"));
        } else {
            self.write("cpu.cfs_period_us", &period.to_string());
            self.write("cpu.cfs_quota_us", &quota.to_string());
        }
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).expect("it is there")
    }

    /// The gate in this group.
    fn gate(&self) -> Command {
        let mut shell = command("sh");
        shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        shell.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        shell.arg(env!("CARGO_BIN_EXE_reload-gate"));
        shell
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        eventually("the control group is empty", || std::fs::remove_dir(&self.0).is_ok() || !self.0.exists());
    }
}

/// Two sources, and a place for what one of the gates publishes.
fn places() -> (tempfile::TempDir, [PathBuf; 3]) {
    let directory = tempfile::tempdir().expect("there is room");
    let places = ["one", "two", "published"].map(|name| directory.path().join(name));
    for place in &places {
        std::fs::create_dir(place).expect("there is room");
    }
    (directory, places)
}

fn replace(directory: &Path, content: &str) {
    let new = directory.with_extension("new");
    std::fs::write(&new, content)
        .and_then(|()| std::fs::rename(new, directory.join("app.json")))
        .expect("there is room");
}

/// The number of children of all threads of a process.
fn children(pid: u32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it is alive").flatten();
    let of = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads.map(|thread| of(thread).split_whitespace().count()).sum()
}

#[track_caller]
fn is_short_of_processes(obstacle: &Value) {
    let text = obstacle.to_string();
    assert!(text.contains("Resource temporarily unavailable"), "{text}");
    assert!(text.contains("raise the limit of processes"), "{text}");
}

#[test]
fn a_gate_lives_while_no_process_or_thread_can_be_made() {
    let Some(group) = ControlGroup::new("pids", &["pids.max"]) else {
        return skip("no control group of processes can be made");
    };
    let (directory, [one, two, published]) = places();
    let receiver = Receiver::start();
    let settings = directory.path().join("gates.yaml");
    let text = format!(
        "gates:\n  - name: command\n    watch: [{}]\n    signal: none\n    validate: [\"true\"]\n  \
         - name: bundled\n    watch: [{}]\n    signal: none\n    builtin: json\n    publish: [{}]\n",
        one.display(),
        two.display(),
        published.display()
    );
    std::fs::write(&settings, text).expect("there is room");
    replace(&one, "{}");
    replace(&two, "{}");
    let mut gate = group.gate();
    gate.args(["run", "--log-format", "json", "--alert-after", "0s", "--alert-webhook", &receiver.url("/alert")]);
    gate.arg("--config").arg(&settings);
    let mut gate = Gate::start(gate);
    for _ in 0..2 {
        gate.wait_for("accepted");
    }
    let pid = gate.pid();
    // Leaves room for so many, once the process of the next command has ended. That waits with its keeper, which has two threads.
    let limit = |spare: usize| {
        let mut threads = 0;
        eventually("further threads have ended, and no command runs", || {
            threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it is alive").count();
            let all = (threads + 3).to_string();
            children(pid) == 1 && group.read("pids.current").trim() == all && threads <= 8
        });
        group.write("pids.max", &(threads + spare).to_string());
    };
    limit(0);

    // A bundled validator, a publication and an alert take no new thread.
    replace(&two, "[1]");
    let accepted = gate.wait_for("accepted");
    assert_eq!(accepted["gate"], "bundled");
    eventually("it is published", || {
        std::fs::read_to_string(published.join("app.json")).is_ok_and(|text| text == "[1]")
    });
    // The next command has its process already. The one after it cannot be started, which is reported once.
    replace(&one, "[2]");
    assert_eq!(gate.wait_for("accepted")["gate"], "command");
    replace(&one, "[3]");
    is_short_of_processes(&gate.wait_for("inconclusive"));
    assert_eq!(receiver.taken().body["event"]["event"], "inconclusive");
    gate.listen(Duration::from_secs(3));
    assert_eq!(gate.count("inconclusive"), 1, "{}", gate.story());

    group.write("pids.max", "max");
    assert_eq!(gate.wait_for("accepted")["gate"], "command");

    // The keeper can be made, but no process for the command, or no thread beside it.
    for spare in [1, 2] {
        limit(spare);
        replace(&one, &format!("[4, {spare}]"));
        assert_eq!(gate.wait_for("accepted")["gate"], "command");
        replace(&one, &format!("[5, {spare}]"));
        is_short_of_processes(&gate.wait_for("inconclusive"));
        group.write("pids.max", "max");
        assert_eq!(gate.wait_for("accepted")["gate"], "command");
    }
    assert_eq!(gate.stop(), 0);
}

#[test]
fn a_gate_lives_while_others_use_up_the_memory() {
    needs!("python3");
    let limits = ["memory.limit_in_bytes", "memory.max"];
    let Some(group) = ControlGroup::new("memory", &limits) else {
        return skip("no control group of memory can be made");
    };
    let limit = limits.into_iter().find(|file| group.0.join(file).exists()).expect("it has one");
    group.write(limit, &(96 << 20).to_string());
    let (_directory, [one, ..]) = places();
    replace(&one, "{}");
    let mut gate = group.gate();
    gate.args(["run", "--log-format", "json", "--builtin", "json", "--signal", "none", "--watch"]).arg(&one);
    let mut gate = Gate::start(gate);
    gate.wait_for("accepted");
    for round in 0..3 {
        // The kernel kills the one that takes everything.
        let hog = "import os\nb = []\nprint('begun', flush=True)\nwhile True: b.append(os.urandom(1 << 20))";
        let mut shell = command("sh");
        shell.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec python3 -c \"$1\""]).arg(&group.0).arg(hog);
        let mut hog = shell.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let begun = BufReader::new(hog.stdout.take().expect("it is piped")).lines().next();
        assert!(begun.is_some_and(|line| line.is_ok()));
        replace(&one, &format!("[{round}]"));
        gate.wait_for("accepted");
        assert!(!hog.wait().expect("it ends").success());
        assert!(gate.is_alive());
    }
    replace(&one, "[");
    gate.wait_for("rejected");
    assert_eq!(gate.stop(), 0);
}

#[test]
fn a_gate_lives_while_clients_use_up_its_descriptors() {
    let listening = Listening::start(Some("good"), &["--signal", "none"]);
    let Listening { mut gate, port, watch, _directory } = listening;
    gate.wait_for("accepted");
    let answers = || crate::support::ask(port, "GET", "/livez").is_some_and(|answer| answer.code == 200);
    // The listener may be younger than the first verdict.
    eventually("it listens", answers);
    let own = std::fs::read_dir(format!("/proc/{}/fd", gate.pid())).expect("it is alive").count() as u64;
    let pid = rustix::process::Pid::from_raw(gate.pid() as i32);
    let limit = |current| rustix::process::Rlimit { current: Some(current), maximum: Some(1024) };
    let set =
        |current| rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit(current)).expect("it is ours");
    set(own + 1);
    let clients: Vec<_> = (0..40).filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    gate.wait_for_any(&["alert_failed", "inconclusive"]);
    replace_at(&watch, "good again");
    gate.listen(Duration::from_secs(2));
    assert!(gate.is_alive());
    // Reading and validating need different numbers of descriptors: each may fail, and is reported once.
    let failed = |event: &&Value| event["event"] == "alert_failed" || event["event"] == "inconclusive";
    let reports: Vec<_> =
        gate.events.iter().filter(failed).map(|event| format!("{} {}", event["message"], event["findings"])).collect();
    let distinct: BTreeSet<_> = reports.iter().collect();
    assert_eq!(reports.len(), distinct.len(), "{}", gate.story());
    drop(clients);
    set(1024);
    replace_at(&watch, "good at last");
    gate.wait_for("accepted");
    eventually("it listens again", answers);
    assert_eq!(gate.stop(), 0);
}

#[test]
fn what_runs_is_not_given_up_for_want_of_descriptors() {
    needs!("python3");
    let (directory, [watch, published, _]) = places();
    let name = unique("few");
    let program = "import signal\nsignal.signal(signal.SIGHUP, lambda *_: open('hup', 'w'))\nopen('ready', 'w')\nwhile True:\n    signal.pause()\n";
    let _target = python(directory.path(), &name, program);
    eventually("it is ready", || directory.path().join("ready").exists());
    replace(&watch, "{}");
    let [watching, publishing] = [&watch, &published].map(|path| path.to_str().expect("it is UTF-8"));
    let target = ["--process", &name, "--signal", "HUP", "--watch", watching, "--publish", publishing];
    let mut gate = Gate::run(&[&target[..], &["--poll", "200ms"]].concat());
    gate.wait_for("reloaded");
    // The last look at what has just been published.
    gate.listen(Duration::from_secs(4));
    let pid = rustix::process::Pid::from_raw(i32::try_from(gate.pid()).expect("it fits"));
    let limit = |current| rustix::process::Rlimit { current: Some(current), maximum: Some(1024) };
    let set =
        |current| rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit(current)).expect("it is ours");
    set(1);
    let said = gate.listen(Duration::from_secs(3));
    set(1024);
    let wrong = ["target_missing", "target_replaced", "restored", "reloaded"];
    assert!(!said.iter().any(|event| wrong.contains(&event.as_str())), "{}", gate.story());
    replace(&watch, "[1]");
    assert!(
        gate.wait_for_any(&["reloaded", "restored", "target_missing", "target_replaced"])["event"] == "reloaded",
        "{}",
        gate.story()
    );
    assert_eq!(gate.stop(), 0);
}

fn replace_at(watch: &Path, content: &str) {
    let new = watch.with_extension("new");
    std::fs::write(&new, content).and_then(|()| std::fs::rename(new, watch.join("app.conf"))).expect("there is room");
}

#[test]
fn a_gate_publishes_when_a_full_disk_has_room_again() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount a small disk");
    }
    let (_directory, [one, _, published]) = places();
    let _disk = SmallDisk::at(&published, "size=64k");
    replace(&one, "{}");
    let mut gate = gate_command();
    gate.args(["run", "--log-format", "json", "--builtin", "json", "--signal", "none"]);
    gate.arg("--watch").arg(&one).arg("--publish").arg(&published);
    let mut gate = Gate::start(gate);
    gate.wait_for("accepted");
    // Another program fills the disk.
    let other = published.join("..other");
    let _ = std::fs::write(&other, vec![0; 1 << 20]);
    replace(&one, "[1]");
    let obstacle = gate.wait_for("inconclusive");
    assert!(obstacle.to_string().contains("No space left on device"), "{obstacle}");
    gate.listen(Duration::from_secs(3));
    assert_eq!(gate.count("inconclusive"), 1, "{}", gate.story());
    assert_eq!(std::fs::read_to_string(published.join("app.json")).expect("it is live"), "{}");
    std::fs::remove_file(&other).expect("it is ours");
    gate.wait_for("recovered");
    assert_eq!(std::fs::read_to_string(published.join("app.json")).expect("it is live"), "[1]");
    assert_eq!(gate.stop(), 0);
}

/// A small disk at a path, for as long as the test runs.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: &Path, options: &str) -> Self {
        let mounted = command("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(path).status();
        assert!(mounted.expect("it starts").success());
        Self(path.to_owned())
    }

    fn grow(&self, options: &str) {
        let grown = command("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(grown.expect("it starts").success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = command("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn what_is_live_is_kept_when_a_full_disk_has_room_again() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount a small disk");
    }
    let (_directory, [one, _, published]) = places();
    // Room for the volume, its lock, a generation, its file, and the links to both; none for another link.
    let disk = SmallDisk::at(&published, "nr_inodes=6,mode=755");
    replace(&one, "{}");
    let mut gate = gate_command();
    gate.args(["run", "--log-format", "json", "--builtin", "json", "--signal", "none", "--poll", "1s"]);
    gate.arg("--watch").arg(&one).arg("--publish").arg(&published);
    let mut gate = Gate::start(gate);
    let event = gate.wait_for("inconclusive");
    let message = event["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("it is live, and is not kept as the last-known-good revision: "), "{event}");
    assert!(message.contains("No space left on device") && event["digest"].is_string(), "{event}");
    assert!(event["findings"][0]["help"].as_str().is_some_and(|help| help.contains("sizeLimit")), "{event}");
    assert_eq!(std::fs::read_to_string(published.join("app.json")).expect("it is live"), "{}");
    gate.listen(Duration::from_secs(4));
    assert_eq!(gate.count("inconclusive"), 1, "it is reported once: {}", gate.story());
    assert!(!published.join("..good").exists());
    disk.grow("nr_inodes=100");
    let recovered = gate.wait_for("recovered");
    assert_eq!(recovered["digest"], event["digest"], "{recovered}");
    assert!(published.join("..good").exists());
    assert_eq!(gate.stop(), 0);
}

#[test]
fn lines_that_a_full_disk_does_not_take_are_counted() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount a small disk");
    }
    let (directory, [one, logs, _]) = places();
    let _disk = SmallDisk::at(&logs, "size=64k");
    let (log, other, read) = (logs.join("log"), logs.join("other"), directory.path().join("read"));
    replace(&one, "{}");
    let mut gate = gate_command();
    let reload = format!("cp {} {}", one.join("app.json").display(), read.display());
    gate.args(["run", "--log-format", "json", "--builtin", "json", "--reload-command", &reload, "--watch"]).arg(&one);
    let stderr = std::fs::File::options().create(true).append(true).open(&log).expect("there is room");
    let mut gate = gate.stderr(stderr).stdin(Stdio::null()).spawn().expect("it starts");
    let reloaded = |content: &str| {
        eventually("it is reloaded", || std::fs::read_to_string(&read).is_ok_and(|read| read == content));
    };
    let is_written = |word: &str| std::fs::read_to_string(&log).is_ok_and(|log| log.contains(word));
    reloaded("{}");
    eventually("it is logged", || is_written("\"unverified\""));
    // Another program fills the disk.
    let _ = std::fs::write(&other, vec![0; 1 << 20]);
    for round in 0..50 {
        let content = format!("[{round}]");
        replace(&one, &content);
        reloaded(&content);
    }
    std::fs::remove_file(&other).expect("it is ours");
    replace(&one, "[true]");
    eventually("what is missing is counted", || is_written("log lines were dropped"));
    let text = std::fs::read_to_string(&log).expect("it is there");
    let whole = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert!(text.lines().count() - whole <= 1, "no more than one line is torn: {text}");
    let pid = rustix::process::Pid::from_child(&gate);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    assert!(gate.wait().expect("it ends").success());
}

#[test]
fn a_reload_for_which_there_is_no_process_is_no_refusal() {
    let Some(group) = ControlGroup::new("pids", &["pids.max"]) else {
        return skip("no control group of processes can be made");
    };
    let (directory, [one, ..]) = places();
    let (reloads, proofs) = (directory.path().join("reloads"), directory.path().join("proofs"));
    std::fs::write(&reloads, "").expect("there is room");
    let limit = group.0.join("pids.max");
    // The second reload leaves no process for its verification.
    let reload =
        format!("echo reload >> {0}; [ $(wc -l < {0}) != 2 ] || echo 0 > {1}", reloads.display(), limit.display());
    let scripts = [directory.path().join("reload.sh"), directory.path().join("verify.sh")];
    std::fs::write(&scripts[0], reload).expect("there is room");
    std::fs::write(&scripts[1], format!("echo proof >> {}", proofs.display())).expect("there is room");
    let [reload, verify] = scripts.map(|script| format!("sh {}", script.display()));
    replace(&one, "{}");
    let mut gate = group.gate();
    gate.args(["run", "--log-format", "json", "--builtin", "json", "--reload-command", &reload]);
    gate.args(["--verify-command", &verify, "--verify-timeout", "1s", "--watch"]).arg(&one);
    let mut gate = Gate::start(gate);
    gate.wait_for("verified");

    group.write("pids.max", "0");
    replace(&one, "[1]");
    let refused = gate.wait_for_any(&["target_refused", "unverified", "rejected", "verified"]);
    assert_eq!(refused["event"], "target_refused", "{refused}");
    assert!(
        refused["message"].as_str().is_some_and(|message| message.starts_with("cannot start `sh` now: ")),
        "{refused}"
    );
    assert!(refused["help"].as_str().is_some_and(|help| help.contains("raise the limits")), "{refused}");
    gate.listen(Duration::from_secs(2));
    assert_eq!((gate.count("target_refused"), gate.count("reloaded")), (1, 1), "{}", gate.story());
    group.write("pids.max", "max");
    gate.wait_for("reloaded");

    let unverified = gate.wait_for_any(&["verified", "unverified", "rejected"]);
    let message = unverified["message"].as_str().unwrap_or_default();
    assert_eq!(unverified["event"], "unverified", "{unverified}");
    assert!(message.starts_with("cannot start `sh` now: ") && message.ends_with(" within 1s"), "{unverified}");
    group.write("pids.max", "max");
    gate.wait_for("verified");
    assert_eq!(gate.count("reloaded"), 2, "the same reload is verified: {}", gate.story());
    assert_eq!(gate.stop(), 0);
}

#[test]
fn a_reload_with_a_hundredth_of_a_processor_is_slow_and_no_failure() {
    needs!("nginx");
    let Some(group) = ControlGroup::new("cpu", &["cpu.max", "cpu.cfs_quota_us"]) else {
        return report_skipped("no control group of processor time can be made");
    };
    let mut nginx = Nginx::start();
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate =
        Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--verify-timeout", "6s"]);
    gate.wait_for("verified");
    let master = nginx.process.pid().to_string();
    group.write("cgroup.procs", &master);
    group.limit_processor(10);
    // Some tenths of a second of work.
    let entries: String = (0..40_000).map(|entry| format!("k{entry} v{entry};")).collect();
    let map = format!("map_hash_max_size 262144; map $uri $long {{ {entries} }}");
    let before = gate.count("reloaded");
    nginx.write("two", &map);
    gate.wait_for("reloaded");
    let first = gate.wait_for_any(&["verified", "unverified"]);
    assert_eq!(first["event"], "verified", "{}", gate.story());
    group.limit_processor(1000);
    eventually("nginx serves the new configuration", || nginx.serves("two"));
    assert_eq!(gate.count("reloaded") - before, 1, "{}", gate.story());
}

/// The answers of the binary with each number of descriptors, from a few to enough: the code and what was printed.
fn with_few_descriptors(arguments: &[&OsStr]) -> Vec<(Option<i32>, String)> {
    let run = |most: u32| {
        let mut shell = command("sh");
        shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\""]).arg(most.to_string());
        let output = shell.arg(env!("CARGO_BIN_EXE_reload-gate")).args(arguments).output().expect("it starts");
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
    };
    (4..24).map(run).collect()
}

/// Each answer is the right one, or names the shortage; both occur.
#[track_caller]
fn are_right_or_short(answers: &[(Option<i32>, String)], right: &str) {
    let is_right = |(code, printed): &&(Option<i32>, String)| *code == Some(0) && printed == right;
    let is_short = |(code, printed): &&(Option<i32>, String)| *code != Some(0) && printed.contains("(os error 24)");
    let others: Vec<_> = answers.iter().filter(|answer| !is_right(answer) && !is_short(answer)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(answers.iter().any(|answer| is_right(&answer)), "{answers:?}");
    assert!(answers.iter().any(|answer| is_short(&answer)), "{answers:?}");
}

#[test]
fn a_confined_command_without_descriptors_is_a_shortage_and_no_denial() {
    let (_directory, [one, two, _]) = places();
    replace(&one, "readable");
    replace(&two, "hidden");
    let file = one.join("app.json");
    let confined = ["confine", "--strict", "--hide"].map(OsStr::new);
    let arguments = [&confined[..], &[two.as_os_str(), "--".as_ref(), "cat".as_ref(), file.as_os_str()]].concat();
    are_right_or_short(&with_few_descriptors(&arguments), "readable");
}

#[test]
fn a_view_without_descriptors_is_a_shortage_and_shows_nothing_else() {
    let (_directory, [one, ..]) = places();
    replace(&one, "shown");
    let arguments =
        ["view", "--mount", "/etc/app", one.to_str().expect("it is UTF-8"), "--", "cat", "/etc/app/app.json"];
    let answers = with_few_descriptors(&arguments.map(OsStr::new));
    if answers.iter().all(|(_, printed)| printed.contains("have namespaces of its own")) {
        return report_skipped("no namespaces can be made here");
    }
    are_right_or_short(&answers, "shown");
}

/// A check may fail for want of descriptors, and accepts nothing then.
#[test]
fn a_check_without_descriptors_accepts_nothing() {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("a.json"), "{").expect("there is room");
    let answers = with_few_descriptors(&[OsStr::new("check"), directory.path().as_os_str()]);
    assert!(answers.iter().all(|(code, _)| *code != Some(0)), "{answers:?}");
    assert!(answers.iter().any(|(code, printed)| *code == Some(1) && printed.contains("json-syntax")), "{answers:?}");
    let is_short = |(code, printed): &(Option<i32>, String)| *code == Some(3) && printed.contains("could not begin");
    assert!(answers.iter().any(is_short), "{answers:?}");
}
