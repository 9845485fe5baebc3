//! What the stages of the flow cost by themselves: `cargo bench --bench stages`.
//!
//! Each is timed many times in turn, and the median and the 95th percentile are printed. The latency of the whole, from a
//! change to its signal, is measured from outside (`docs/latency.md`).

#![allow(missing_docs, clippy::print_stdout, reason = "it is a program that prints a table")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use reload_gate::{Log, LogFormat, ReadOptions, Scanner, Selector, Source, log_filter, scan};

/// So many spans are entered in one measurement, since one is below the resolution of the clock.
const SPANS: u32 = 1_000;

/// The median and the 95th percentile of `times` runs.
fn measure(times: usize, mut run: impl FnMut()) -> (Duration, Duration) {
    let mut taken: Vec<_> = (0..times)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    taken.sort_unstable();
    (taken[times / 2], taken[times * 95 / 100])
}

fn report(what: &str, (median, slow): (Duration, Duration)) {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("{what:<44} {:>10.1} {:>10.1}", micros(median), micros(slow));
}

/// Writes a generation of a volume, and swaps to it.
fn generation(path: &Path, number: usize, files: usize, bytes: usize) {
    let name = format!("..2026_01_01_00_00_00.{number}");
    std::fs::create_dir_all(path.join(&name)).expect("there is room");
    for index in 0..files {
        let text = format!("# {number}\n{}", "#".repeat(bytes.saturating_sub(4)));
        std::fs::write(path.join(&name).join(format!("{index}.conf")), text).expect("there is room");
    }
    std::os::unix::fs::symlink(&name, path.join("..data_tmp")).expect("it is new");
    std::fs::rename(path.join("..data_tmp"), path.join("..data")).expect("it can be swapped");
}

/// A volume as a kubelet lays it out.
fn volume(directory: &Path, files: usize, bytes: usize) -> Vec<Source> {
    let path = directory.join(format!("{files}x{bytes}"));
    generation(&path, 0, files, bytes);
    for index in 0..files {
        let name = format!("{index}.conf");
        std::os::unix::fs::symlink(Path::new("..data").join(&name), path.join(&name)).expect("it is new");
    }
    vec![Source { mount: path.clone(), path, whole_volume: false }]
}

/// Measures the reading of new generations of a volume that is known.
fn newest(sources: &[Source], (files, bytes): (usize, usize), times: usize) -> (Duration, Duration) {
    let mut scanner = Scanner::new(sources.to_vec(), ReadOptions::default());
    scanner.scan().result.expect("it is read");
    let path = &sources[0].path;
    let mut taken: Vec<_> = (1..=times)
        .map(|number| {
            generation(path, number, files, bytes);
            let start = Instant::now();
            black_box(scanner.newest_in_time()).expect("only the contents have changed");
            let taken = start.elapsed();
            std::fs::remove_dir_all(path.join(format!("..2026_01_01_00_00_00.{}", number - 1))).expect("it is ours");
            taken
        })
        .collect();
    taken.sort_unstable();
    (taken[times / 2], taken[times * 95 / 100])
}

fn main() {
    let directory = tempfile::tempdir().expect("there is room");
    println!("{:<44} {:>10} {:>10}", "", "median µs", "p95 µs");
    for (files, bytes, times) in [(1, 1 << 10, 2_000), (20, 4 << 10, 500), (1, 1 << 20, 200), (5_000, 256, 20)] {
        let sources = volume(directory.path(), files, bytes);
        let read = measure(times, || drop(black_box(scan(&sources, &ReadOptions::default()))));
        report(&format!("snapshot: {files} files of {bytes} bytes"), read);
        report("  of it, the newest generation alone", newest(&sources, (files, bytes), times.min(200)));
    }
    let selector = Selector { process: Some("no-such-process".into()), ..Selector::default() };
    let processes = std::fs::read_dir("/proc").expect("it is mounted").flatten();
    let processes = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count();
    let found = measure(500, || drop(black_box(selector.find())));
    report(&format!("target: a search among {processes} processes"), found);
    let filter = log_filter("").expect("it is one");
    let _log = Log::start(LogFormat::Json, filter, "bench").expect("it starts");
    let spans = measure(500, || {
        (0..SPANS).for_each(|number| tracing::debug_span!("scan", number).in_scope(|| _ = black_box(number)));
    });
    report(&format!("log: {SPANS} spans that are off"), spans);
}
