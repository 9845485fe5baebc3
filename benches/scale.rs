//! The time from a change to its signal where there is much of something, as a ratio to the least possible work on the same: `cargo bench
//! --profile dist --bench scale`. The floor and the gate take turns in blocks.

#![allow(missing_docs, clippy::print_stdout, reason = "it is a program that prints a table")]
#![expect(clippy::disallowed_methods, reason = "the contenders are programs of their own")]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use support::{Contender, Entry, Process, Shape, floor_contender, quantile};

/// Number of blocks of each contender, and of changes in each.
const BLOCKS: usize = 6;
const CHANGES: usize = 5;

/// Number of gates in one process, and of other processes.
const GATES: usize = 50;
const PROCESSES: usize = 5_000;

fn main() -> ExitCode {
    support::in_namespace(table)
}

fn gate() -> Command {
    let mut gate = Command::new(env!("CARGO_BIN_EXE_reload-gate"));
    gate.arg("run");
    gate
}

fn plain(directory: &Path, shape: Shape) -> Contender {
    let entry = Entry { name: "gate", process: "benchgate", shape, ..Entry::default() };
    Contender::start(directory, &entry, |volume, _| {
        let mut gate = gate();
        gate.args(["--signal", "HUP", "--process", "benchgate", "--watch"]).arg(volume);
        gate
    })
}

/// A process with many gates, of which one has something to do.
fn many_gates(directory: &Path) -> Contender {
    let entry = Entry { name: "gate", process: "benchgate", ..Entry::default() };
    Contender::start(directory, &entry, |volume, _| {
        let others = (1..GATES).map(|number| {
            let other = directory.join(format!("other-{number}"));
            std::fs::create_dir(&other).expect("there is room");
            std::fs::write(other.join("app.conf"), "one").expect("there is room");
            other
        });
        let mut text = "gates:\n".to_owned();
        for (number, volume) in [PathBuf::from(volume)].into_iter().chain(others).enumerate() {
            let volume = volume.display();
            writeln!(text, "  - {{name: g{number}, watch: [{volume}], process: benchgate, signal: HUP, app: none}}")
                .expect("it is a string");
        }
        let file = directory.join("gates.yaml");
        std::fs::write(&file, text).expect("there is room");
        let mut gate = gate();
        gate.arg("--config").arg(file);
        gate
    })
}

/// The private memory of a process, in KiB.
fn private(process: &Process) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.map(|line| line.trim().to_owned()).unwrap_or_default()
}

/// Prints a row of the table.
fn row(what: &str, shape: Shape, contender: impl FnOnce(&Path) -> Contender) {
    let directory = tempfile::tempdir().expect("there is room");
    let mut floor = floor_contender(directory.path(), shape);
    let mut gate = contender(directory.path());
    for _ in 0..BLOCKS {
        floor.block(CHANGES);
        gate.block(CHANGES);
    }
    let (floor, times) = (quantile(&floor.latencies, 0.5), quantile(&gate.latencies, 0.5));
    println!("| {what} | {floor:.2} ms | {times:.2} ms | {:.1} | {} |", times / floor, private(&gate.process));
}

fn table() -> ExitCode {
    println!("| | floor | gate | × floor | private memory |\n|---|---:|---:|---:|---:|");
    row("one small file", Shape::Small, |directory| plain(directory, Shape::Small));
    row(&format!("{GATES} gates in one process"), Shape::Small, many_gates);
    for (what, files, bytes, all) in [
        ("5,000 files of 256 bytes, all new", 5_000, 256, true),
        ("the same, one of them new", 5_000, 256, false),
        ("one file of 16 MB", 1, 16_000_000, true),
    ] {
        let shape = Shape::Many { files, bytes, all };
        row(what, shape, |directory| plain(directory, shape));
    }
    let mut sleep = Command::new("sleep");
    let sleep = sleep.arg("1000").stdin(Stdio::null());
    let processes: Vec<_> = (0..PROCESSES).map(|_| Process(sleep.spawn().expect("sleep is installed"))).collect();
    row(&format!("{PROCESSES} other processes"), Shape::Small, |directory| plain(directory, Shape::Small));
    drop(processes);
    ExitCode::SUCCESS
}
