//! The time from a change to its signal, as a ratio to the least possible work: `make bench`.
//!
//! It changes a volume exactly as a kubelet does, and records when a process that waits for SIGHUP receives it. Contenders take turns in
//! blocks, so that noise of the machine hits all of them alike; only ratios within one run count, and only a ratio fails. The floor is one
//! wake-up by inotify, reading, SHA-256 and one system call to signal. Everything runs in a process namespace of its own, as in a pod.
//! Where a gate runs a command, the command is also started without a gate in each turn: what it costs by itself is no work of the gate.

#![allow(missing_docs, clippy::print_stdout, reason = "it is a program that prints a table")]
#![expect(clippy::disallowed_methods, reason = "the contenders are programs of their own")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use support::{Contender, Entry, FILE, Shape, floor_contender, quantile};

/// Number of blocks, and of changes in each.
const BLOCKS: usize = 20;
const CHANGES: usize = 5;

/// The well-known sidecar of a few lines of shell.
const SIDECAR: &str = r#"
sum() { sha256sum "$1" | cut -d' ' -f1; }
last=$(sum "$2")
inotifywait -q -m -e moved_to -e close_write "$1" | while read -r _; do
    now=$(sum "$2")
    [ "$now" = "$last" ] && continue
    last=$now
    kill -HUP "$(pgrep -o -x "$3")"
done
"#;

fn main() -> ExitCode {
    support::in_namespace(measure)
}

fn is_there(name: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", name]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// All contenders whose programs are installed; the floor is the first, and the gate without a validator is the second.
fn contenders(directory: &Path) -> Vec<Contender> {
    let gate = |volume: &Path, process: &str, more: &[&str]| {
        let mut gate = Command::new(env!("CARGO_BIN_EXE_reload-gate"));
        gate.args(["run", "--signal", "HUP", "--process", process, "--watch"]).arg(volume).args(more);
        gate
    };
    let plain = Entry::default();
    let mut contenders = vec![floor_contender(directory, Shape::Small)];
    let mut add = |entry: Entry<'_>, more: &[&str]| {
        contenders.push(Contender::start(directory, &entry, |volume, _| gate(volume, entry.process, more)));
    };
    add(Entry { name: "gate", process: "benchgate", limit: Some(4.0), ..plain }, &[]);
    let name = "gate with the bundled nginx checker";
    let builtin = ["--builtin", "nginx", "--main", FILE, "--mount", "/etc/nginx"];
    add(Entry { name, process: "benchnginx", limit: Some(5.0), ..plain }, &builtin);
    let here = ["--validate", "true", "--root", "local"];
    add(Entry { name: "gate with `true`, here", process: "benchtrue", checker: &["true"], ..plain }, &here);
    let nginx = "nginx -t -q -e stderr -c";
    if is_there("nginx") {
        // A directory of its own, which the checker sees at the same path in the other root.
        let config = directory.join("root.conf");
        std::fs::write(&config, "pid /tmp/bench.pid;\nevents {}\nhttp { server { listen 80; } }\n")
            .expect("there is room");
        let config = config.to_str().expect("it is UTF-8");
        let words: Vec<&str> = nginx.split(' ').chain([config]).collect();
        let entry = Entry {
            name: "gate with `nginx -t`, in another root",
            process: "benchroot",
            before_target: &["unshare", "--mount"],
            checker: &words,
            ..plain
        };
        add(entry, &["--validate", &format!("{nginx} {config}"), "--root", "target"]);
    } else {
        println!("skipped: gate with `nginx -t`: nginx is not installed");
    }
    if ["inotifywait", "pgrep"].into_iter().all(is_there) {
        let entry = Entry { name: "shell sidecar", process: "benchshell", ..plain };
        contenders.push(Contender::start(directory, &entry, |volume, _| {
            let mut shell = Command::new("sh");
            shell.args(["-c", SIDECAR, "sh"]).arg(volume).arg(volume.join(FILE)).arg("benchshell");
            shell
        }));
    } else {
        println!("skipped: shell sidecar: inotifywait or pgrep is not installed");
    }
    contenders
}

/// Prints the time that the gate needs for a command beside the command's own.
fn commands(contenders: &[Contender]) {
    println!("\n{:<40} {:>10} {:>10} {:>10}", "", "above gate", "by itself", "above it");
    let gate = quantile(&contenders[1].latencies, 0.5);
    for contender in contenders.iter().filter(|contender| !contender.alone.is_empty()) {
        let (above, alone) = (quantile(&contender.latencies, 0.5) - gate, quantile(&contender.alone, 0.5));
        println!("{:<40} {above:>10.3} {alone:>10.3} {:>10.3}", contender.name, above - alone);
    }
}

fn measure() -> ExitCode {
    let directory = tempfile::tempdir().expect("there is room");
    let mut contenders = contenders(directory.path());
    for block in 0..BLOCKS {
        let count = contenders.len();
        (0..count).for_each(|turn| contenders[(block + turn) % count].block(CHANGES));
    }
    println!("{:<40} {:>10} {:>10} {:>9} {:>9}", "", "median ms", "p95 ms", "× floor", "p95 ×");
    let floor = &contenders[0].latencies;
    let (median, slow) = (quantile(floor, 0.5), quantile(floor, 0.95));
    let mut is_right = true;
    for Contender { name, limit, latencies, .. } in &contenders {
        let (own, at_p95) = (quantile(latencies, 0.5), quantile(latencies, 0.95));
        let ratio = own / median;
        println!("{name:<40} {own:>10.3} {at_p95:>10.3} {ratio:>9.2} {:>9.2}", at_p95 / slow);
        if let Some(limit) = limit.filter(|limit| ratio > *limit) {
            println!("error: {name}: the ratio of the medians is {ratio:.2}, and at most {limit} is allowed");
            is_right = false;
        }
    }
    commands(&contenders);
    let _ = std::io::stdout().flush();
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
