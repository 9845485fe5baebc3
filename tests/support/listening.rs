//! A gate that can be asked how it is.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Answer, Gate, ask, eventually, free_port, sample};

/// A gate over one file, which must contain `good`, and where it listens.
pub(crate) struct Listening {
    pub(crate) gate: Gate,
    pub(crate) port: u16,
    pub(crate) watch: PathBuf,
    pub(crate) _directory: tempfile::TempDir,
}

impl Listening {
    pub(crate) fn start(content: Option<&str>, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let (watch, port) = (directory.path().join("config"), free_port());
        if let Some(content) = content {
            write(&watch, content);
        }
        let (path, listen) = (watch.to_str().expect("it is UTF-8"), format!("127.0.0.1:{port}"));
        let judged = ["--watch", path, "--settle", "20ms", "--validate", "grep -q good {config}", "--listen", &listen];
        let gate = Gate::run(&[&judged[..], more].concat());
        eventually("it listens", || ask(port, "GET", "/livez").is_some());
        Self { gate, port, watch, _directory: directory }
    }

    pub(crate) fn write(&self, content: &str) {
        write(&self.watch, content);
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        ask(self.port, "GET", path).expect("it listens")
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status").body).expect("it is JSON")
    }

    pub(crate) fn metric(&self, sample_name: &str) -> Option<f64> {
        sample(&self.get("/metrics").body, sample_name)
    }
}

/// Replaces the file in one step, so that a reader never sees half of it.
fn write(watch: &Path, content: &str) {
    std::fs::create_dir_all(watch).expect("there is room");
    let new = watch.with_extension("new");
    std::fs::write(&new, content).and_then(|()| std::fs::rename(&new, watch.join("app.conf"))).expect("there is room");
}
