//! A reader of the log that stalls.

use std::io::{BufRead as _, BufReader, PipeReader, Read as _};
use std::path::PathBuf;
use std::process::Child;
use std::time::Instant;

use tempfile::TempDir;

use crate::support::{Kubelet, PATIENCE, Volume, ask, eventually, free_port, gate_command, sample};

/// More changes than the log's queue and a small pipe take.
const CHANGES: usize = 2_000;

/// A gate whose outputs are one small pipe, as with `2>&1`.
struct Stalled {
    child: Child,
    output: PipeReader,
    port: u16,
    volume: Volume,
    live: PathBuf,
    _directory: TempDir,
}

impl Stalled {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let volume = Volume::new(directory.path().join("volume"), Kubelet::New, &[("app.conf", "0")]);
        let (port, live) = (free_port(), directory.path().join("live"));
        let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
        let reload = format!("cp -L {} {}", volume.file("app.conf").display(), live.display());
        let (output, writer) = std::io::pipe().expect("there is a pipe");
        rustix::pipe::fcntl_setpipe_size(&output, 4096).expect("the size can be set");
        let mut command = gate_command();
        command.args(["run", "--watch", &watch, "--validate", "true", "--reload-command", &reload]);
        command.args(["--reload-budget", "10000/10m"]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.stdout(writer.try_clone().expect("it can be cloned")).stderr(writer);
        let child = command.spawn().expect("the gate starts");
        let mut gate = Self { child, output, port, volume, live, _directory: directory };
        eventually("the gate listens", || gate.dropped() == Some(0.0));
        gate.change("1");
        gate
    }

    fn dropped(&self) -> Option<f64> {
        sample(&ask(self.port, "GET", "/metrics")?.body, "reload_gate_log_lines_dropped_total")
    }

    fn change(&mut self, content: &str) {
        self.volume.write(&[("app.conf", content)]);
        eventually("the change is live", || std::fs::read_to_string(&self.live).is_ok_and(|text| text == content));
    }

    /// Makes changes, each of them live, until the log drops a line.
    fn fill(&mut self) {
        let dropped = (2..CHANGES).any(|content| {
            self.change(&content.to_string());
            self.dropped().is_some_and(|dropped| dropped > 0.0)
        });
        assert!(dropped, "{CHANGES} changes filled no queue");
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_stalled_reader_of_the_log_stops_nothing() {
    let mut gate = Stalled::start();
    gate.fill();
    assert_eq!(ask(gate.port, "GET", "/livez").map(|answer| answer.code), Some(200));
    gate.change("the last one");

    let before = Instant::now();
    let pid = rustix::process::Pid::from_child(&gate.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    let status = gate.child.wait().expect("it is ours");
    assert!(before.elapsed() < PATIENCE, "SIGTERM took {:?}", before.elapsed());
    assert_eq!(status.code(), Some(0));
    let mut text = String::new();
    gate.output.read_to_string(&mut text).expect("the rest can be read");
    assert!(text.lines().next().is_some_and(|line| line.contains("\"started\"")), "{text}");
}

#[test]
fn the_log_counts_the_lines_that_it_dropped() {
    let mut gate = Stalled::start();
    gate.fill();
    let mut lines = BufReader::new(&gate.output).lines().map_while(Result::ok);
    let missing = lines.find(|line| line.contains("log lines were dropped")).expect("the gate goes on");
    let event: serde_json::Value = serde_json::from_str(&missing).expect("it is JSON");
    assert_eq!(event["event"], "alert_failed");
}
