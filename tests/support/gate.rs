//! The gate as its users start it, and what it says.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{PATIENCE, command};

/// A running gate.
pub(crate) struct Gate {
    child: Child,
    lines: Receiver<String>,
    /// Everything it has said so far.
    pub(crate) events: Vec<Value>,
    read: usize,
}

/// The binary, with an environment of its own.
pub(crate) fn gate_command() -> Command {
    let mut gate = command(env!("CARGO_BIN_EXE_reload-gate"));
    gate.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    gate
}

impl Gate {
    /// Starts `reload-gate run` with these arguments.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        let mut gate = gate_command();
        gate.arg("run").args(arguments);
        Self::start(gate)
    }

    pub(crate) fn start(mut gate: Command) -> Self {
        let mut child = gate.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().expect("the gate starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, events: Vec::new(), read: 0 }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next event of this name that was not waited for yet; those before it are passed over.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, name: &str) -> Value {
        self.wait_for_any(&[name])
    }

    /// The next event of one of these names.
    #[track_caller]
    pub(crate) fn wait_for_any(&mut self, names: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while self.read < self.events.len() {
                self.read += 1;
                let event = &self.events[self.read - 1];
                if names.contains(&event["event"].as_str().unwrap_or_default()) {
                    return event.clone();
                }
            }
            let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                panic!("the gate never said {names:?}; it said:\n{}", self.story());
            };
            self.take(&line);
        }
    }

    /// Takes in whatever it says within `time`, and gives the names of those events.
    pub(crate) fn listen(&mut self, time: Duration) -> Vec<String> {
        let before = self.events.len();
        let deadline = Instant::now() + time;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.take(&line);
        }
        self.read = self.events.len();
        self.events[before..].iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[track_caller]
    fn take(&mut self, line: &str) {
        let event = serde_json::from_str(line);
        self.events.push(event.unwrap_or_else(|error| panic!("the gate said what is no JSON ({error}): {line}")));
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|event| event["event"] == name).count()
    }

    pub(crate) fn story(&self) -> String {
        self.events.iter().map(|event| format!("{event}\n")).collect()
    }

    /// Kills it, and gives everything that it said.
    pub(crate) fn kill(mut self) -> Vec<Value> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            // The last line may be torn.
            self.events.extend(serde_json::from_str::<Value>(&line));
        }
        std::mem::take(&mut self.events)
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Asks it to stop and gives its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.terminate();
        self.child.wait().expect("it is ours").code().unwrap_or(-1)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("what the gate said:\n{}", self.story());
        }
    }
}
