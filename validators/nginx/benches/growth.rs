//! The growth of the work with the size of a configuration, right or wrong: this crate, `nginx -t -q`, and crossplane.
//!
//!     CROSSPLANE=/path/to/venv/bin/python cargo bench -p reload-gate-nginx --bench growth
//!
//! Each is a whole process, and its processor time counts, the least of three runs. The exponent is that of the size: 1 is time that doubles
//! with it. A program that is not installed is left out.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

#[path = "../tests/growth/kinds.rs"]
mod kinds;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use kinds::{GrowthKind, KINDS};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use reload_gate_contract::MemoryFiles;
use reload_gate_nginx::{Options, check};

/// Number of things in the smallest configuration; the others have twice and four times as many.
const SMALLEST: usize = 10_000;
const RUNS: usize = 3;
/// Times below this many milliseconds are those of the start of a program.
const NOTHING: f64 = 5.0;

/// crossplane, which goes on where something is wrong.
const CROSSPLANE: &str = "import crossplane, sys
crossplane.parse(sys.argv[1], check_ctx=True, check_args=True)";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.iter().filter_map(|argument| argument.to_str()).collect::<Vec<_>>()[..] {
        ["check", directory] => judge(Path::new(directory)),
        ["measure", _, ..] => measure(&arguments[1], &arguments[2..]),
        _ if arguments.iter().any(|argument| argument == "--bench") => table(),
        _ => {} // compiled and started by `cargo test --benches`: there is nothing to prove
    }
    ExitCode::SUCCESS
}

/// Judges all that is in a directory, with the rules of hygiene.
fn judge(directory: &Path) {
    let entries = std::fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it is readable").path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "conf"));
    let read = |path: std::path::PathBuf| (path.display().to_string(), std::fs::read(&path).expect("it is readable"));
    let files: MemoryFiles = files.map(read).collect();
    let main = directory.join("nginx.conf").display().to_string();
    let findings = check(&main, &files, &Options { hygiene: true, ..Options::default() });
    std::hint::black_box(findings);
}

/// Runs one command as the only child of this process and prints its processor time in microseconds.
fn measure(program: &OsStr, arguments: &[OsString]) {
    let mut command = command(program);
    let _ = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is always known");
    println!("{}", usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
}

/// The least time of some runs in milliseconds.
fn least(program: &[&OsStr]) -> f64 {
    let this = std::env::current_exe().expect("this program is a file");
    let run = |_| {
        let output = command(&this).arg("measure").args(program).output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().expect("it is a number") / 1e3
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn table() {
    let this = std::env::current_exe().expect("this program is a file");
    let python = std::env::var_os("CROSSPLANE");
    let [check, nginx] = ["check", "nginx"].map(OsStr::new);
    println!(
        "| kind | reload-gate-nginx | exponent | nginx -t -q | exponent | crossplane | exponent |\n|---|---:|---:|---:|---:|---:|---:|"
    );
    for kind in KINDS {
        let directories = [1, 2, 4].map(|times| written(kind, SMALLEST * times));
        let rows = directories.each_ref().map(|directory| {
            let (directory, main) = (directory.path().as_os_str(), directory.path().join("nginx.conf"));
            let main = main.as_os_str();
            let test: [&OsStr; 8] = [
                nginx,
                "-t".as_ref(),
                "-q".as_ref(),
                "-e".as_ref(),
                "stderr".as_ref(),
                "-p".as_ref(),
                directory,
                "-c".as_ref(),
            ];
            let crossplane = python.as_ref().map(|python| least(&[python, "-c".as_ref(), CROSSPLANE.as_ref(), main]));
            [
                Some(least(&[this.as_os_str(), check, directory])),
                is_installed().then(|| least(&[&test[..], &[main]].concat())),
                crossplane,
            ]
        });
        let cells: String = (0..3).map(|program| cell(rows.map(|row| row[program]))).collect();
        println!("| {} |{cells}", kind.name);
    }
}

/// The largest time, and the exponent.
fn cell(times: [Option<f64>; 3]) -> String {
    let [Some(first), _, Some(last)] = times else { return " | |".to_owned() };
    let exponent = (last / first).log2() / 2.0;
    if last < NOTHING { format!(" {last:.0} ms | |") } else { format!(" {last:.0} ms | {exponent:.2} |") }
}

fn written(kind: &GrowthKind, count: usize) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    for (name, text) in (kind.make)(&directory.path().display().to_string(), count) {
        std::fs::write(directory.path().join(name), text).expect("the directory can be written to");
    }
    directory
}

fn is_installed() -> bool {
    command("nginx").arg("-v").stderr(Stdio::null()).status().is_ok()
}

#[expect(clippy::disallowed_methods, reason = "this program compares whole processes")]
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin");
    command
}
