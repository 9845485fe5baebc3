//! Nothing freezes the process: a file system that does not answer, and inputs that take long.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags};

use crate::support::{Gate, ask, eventually, free_port, gate_command, skip};

/// A mount of a file system that never answers, as one of a server that is gone: every access waits. Access goes on, with an error, when
/// it is dropped.
struct HangingMount {
    path: PathBuf,
    _device: std::fs::File,
}

impl HangingMount {
    fn new(path: &Path) -> Option<Self> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").ok()?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let options = std::ffi::CString::new(options).expect("it has no zero");
        rustix::mount::mount("hanging", path, "fuse", MountFlags::empty(), options.as_c_str()).ok()?;
        Some(Self { path: path.to_path_buf(), _device: device })
    }
}

impl Drop for HangingMount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.path, UnmountFlags::DETACH);
    }
}

/// Two gates in one process, and their listener.
fn two_gates(directory: &Path, more: &str) -> (Gate, u16) {
    let (settings, port) = (directory.join("gates.yaml"), free_port());
    let gate = |name: &str| {
        let source = directory.join(name);
        std::fs::create_dir(&source).expect("there is room");
        std::fs::write(source.join("app.json"), "{}").expect("there is room");
        format!("  - name: {name}\n    watch: [{}]\n    signal: none\n    builtin: json\n{more}", source.display())
    };
    let text = format!("gates:\n{}{}", gate("one"), gate("other"));
    std::fs::write(&settings, text).expect("there is room");
    let mut command = gate_command();
    command.args(["run", "--log-format", "json", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&settings);
    let mut gate = Gate::start(command);
    for _ in 0..2 {
        gate.wait_for("accepted");
    }
    eventually("it listens", || ask(port, "GET", "/livez").is_some());
    (gate, port)
}

#[test]
fn a_file_system_that_does_not_answer_holds_up_one_gate_alone() {
    let directory = tempfile::tempdir().expect("there is room");
    let (mut gate, port) = two_gates(directory.path(), "    timeout: 1s\n    poll: 1s\n    grace: 1s\n");
    let Some(hanging) = HangingMount::new(&directory.path().join("one")) else {
        return skip("only root can mount a file system, with /dev/fuse");
    };
    let obstacle = gate.wait_for("inconclusive");
    assert_eq!(obstacle["gate"], "one");
    assert_eq!(obstacle["findings"][0]["code"], "scan-timeout", "{obstacle}");
    // The other gate, and the listener, go on; and it is reported once.
    for round in 0..3 {
        std::fs::write(directory.path().join("other/app.json"), format!("[{round}]")).expect("there is room");
        assert_eq!(gate.wait_for("accepted")["gate"], "other");
        assert_eq!(ask(port, "GET", "/livez").expect("it listens").code, 200);
    }
    gate.listen(Duration::from_secs(3));
    assert_eq!(gate.count("inconclusive"), 1, "{}", gate.story());
    drop(hanging);
    gate.wait_for("recovered");
    std::fs::write(directory.path().join("one/app.json"), "[").expect("there is room");
    assert_eq!(gate.wait_for("rejected")["gate"], "one");
    assert_eq!(gate.stop(), 0);
}

#[test]
fn a_gate_ends_in_time_although_its_sources_do_not_answer() {
    let directory = tempfile::tempdir().expect("there is room");
    let (mut gate, _) = two_gates(directory.path(), "    timeout: 1s\n    poll: 1s\n    grace: 1s\n");
    let Some(_hanging) = HangingMount::new(&directory.path().join("one")) else {
        return skip("only root can mount a file system, with /dev/fuse");
    };
    gate.wait_for("inconclusive");
    let asked = Instant::now();
    assert_eq!(gate.stop(), 0);
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}

/// The longest step of the event loop that the gate has logged, in milliseconds of processor time.
fn longest_step(gate: &Gate) -> f64 {
    gate.events.iter().filter_map(|event| event["longest_ms"].as_str()?.parse::<f64>().ok()).fold(0.0, f64::max)
}

/// Inputs that take long: many duplicate keys, one long line, many keys, and a Secret of long words.
fn long_inputs() -> [(&'static str, &'static str, String); 4] {
    let duplicates = format!("{{{}\"a\": 1}}", "\"a\": 1,\n".repeat(1_000_000));
    let line = format!("events {{}} http {{ {}}}", "q 1; ".repeat((8 << 20) / 5));
    let keys = (0..40_000).map(|number| format!("k{number}: [\n")).collect();
    let words = (0..250).map(|number| format!("{} 1;\n", format!("{number:x}").repeat(2_000))).collect::<String>();
    [
        ("app.json", "json", duplicates),
        ("nginx.conf", "nginx", line),
        ("app.yaml", "yaml", keys),
        ("nginx.conf", "nginx", format!("events {{}}\nhttp {{\n{words}}}")),
    ]
}

#[test]
fn no_step_of_the_event_loop_takes_long_whatever_the_input() {
    for (name, builtin, content) in long_inputs() {
        let directory = tempfile::tempdir().expect("there is room");
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        std::fs::write(directory.path().join(name), &content).expect("there is room");
        let watch = directory.path().to_str().expect("it is UTF-8");
        let more = ["--redact", "always", "--diff", "--timeout", "60s", "--signal", "none", "--settle", "10ms"];
        let place = ["--watch", watch, "--builtin", builtin, "--main", name, "--listen", &listen];
        let log = ["--log-format", "json", "--log-level", "reload_gate::run::steps=debug"];
        let mut gate = Gate::run(&[&more[..], &place, &log].concat());
        gate.wait_for_any(&["accepted", "rejected", "inconclusive"]);
        for path in ["/livez", "/status", "/metrics", "/"] {
            assert!(ask(port, "GET", path).is_some_and(|answer| answer.code == 200), "{name} {path}");
        }
        gate.listen(Duration::from_millis(300));
        let longest = longest_step(&gate);
        assert!(longest > 0.0, "{}", gate.story());
        assert!(longest < 50.0, "{name} ({builtin}): {longest} ms");
        assert_eq!(gate.stop(), 0);
    }
}
