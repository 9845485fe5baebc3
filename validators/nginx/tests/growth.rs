//! The work for large configurations is counted, not timed: allocations, requests for files, and what is kept of findings. `benches/growth.rs`
//! has the times.

#[path = "growth/kinds.rs"]
mod kinds;

use std::borrow::Cow;
use std::cell::Cell;

use allocation_counter::AllocationInfo;
use kinds::{GrowthKind, KINDS};
use reload_gate_contract::{Absent, Files, Finding, MemoryFiles};
use reload_gate_nginx::{Options, check};

/// Number of the things in a small configuration, and how many times as many a large one has.
const SMALL: usize = 800;
const TIMES: usize = 4;

/// Most findings of one configuration: a thousand of each kind, and a note about the rest.
const FINDINGS: usize = 4_004;
/// Most bytes of the texts of one finding: two that are cut.
const TEXTS: usize = 2 * (1_024 + 256);

/// Files that count the requests.
struct CountedFiles {
    files: MemoryFiles,
    requests: Cell<usize>,
}

impl Files for CountedFiles {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, Absent> {
        self.requests.set(self.requests.get() + 1);
        self.files.read(path)
    }

    fn list(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        self.requests.set(self.requests.get() + 1);
        self.files.list(directory)
    }
}

/// Work for a configuration.
struct Work {
    allocations: AllocationInfo,
    requests: usize,
    findings: Vec<Finding>,
}

fn work(kind: &GrowthKind, count: usize) -> Work {
    let files = (kind.make)("/etc/nginx", count).into_iter();
    let files = files.map(|(name, text)| (format!("/etc/nginx/{name}"), text.into_bytes())).collect();
    let files = CountedFiles { files, requests: Cell::new(0) };
    let options = Options { hygiene: true, ..Options::default() };
    let mut findings = vec![];
    let allocations = allocation_counter::measure(|| findings = check("/etc/nginx/nginx.conf", &files, &options));
    Work { allocations, requests: files.requests.get(), findings }
}

#[test]
fn no_work_grows_faster_than_the_configuration() {
    // Tables are read at their first use.
    KINDS.iter().for_each(|kind| drop(work(kind, 1)));
    for kind in KINDS {
        let (small, large, name) = (work(kind, SMALL), work(kind, SMALL * TIMES), kind.name);
        let times = u64::try_from(TIMES).expect("it is small");
        let (before, after) = (small.allocations, large.allocations);
        assert!(
            after.count_total <= before.count_total * (times + 1) + 1_000,
            "{name}: {} allocations, and {} for {TIMES} times as much",
            before.count_total,
            after.count_total
        );
        // A list that grows has room for twice as much.
        assert!(
            after.bytes_total <= before.bytes_total * times * 2 + (1 << 20),
            "{name}: {} bytes are allocated, and {} for {TIMES} times as much",
            before.bytes_total,
            after.bytes_total
        );
        assert!(
            large.requests <= small.requests * TIMES + TIMES,
            "{name}: {} requests for files, and {} for {TIMES} times as much",
            small.requests,
            large.requests
        );
    }
}

#[test]
fn files_that_include_each_other_ever_more_often_end_early() {
    let next = |n: usize| format!("include {n}.x; include {n}.x;\n");
    let files = (0..60).map(|n| (format!("/etc/nginx/{n}.x"), next(n + 1)));
    let last = ("/etc/nginx/60.x".to_owned(), String::new());
    let main = ("/etc/nginx/nginx.conf".to_owned(), format!("events {{}}\nhttp {{ {} }}\n", next(0)));
    let files: MemoryFiles = files.chain([main, last]).map(|(name, text)| (name, text.into_bytes())).collect();
    let options = Options { hygiene: true, ..Options::default() };
    let judged = || check("/etc/nginx/nginx.conf", &files, &options);
    let found = judged();
    let ended = found.iter().find(|finding| finding.message.starts_with("too many files are included"));
    let ended = ended.expect("it is reported");
    assert_eq!(ended.cause, reload_gate_contract::Cause::Environment);
    assert!(ended.help.is_some());
    let count = allocation_counter::measure(|| drop(judged())).count_total;
    assert!(count < 200_000, "{count} allocations");
}

#[test]
fn a_snippet_in_each_server_is_judged() {
    let main: String = (0..5_000)
        .map(|n| format!("server {{ server_name s{n}.example.com; include common; include common; }}\n"))
        .collect();
    let text = format!("events {{}}\nhttp {{ server_names_hash_max_size 65536; {main} }}\n");
    let common = "add_header A b;\n".repeat(100);
    let files: MemoryFiles = [("/etc/nginx/nginx.conf", text), ("/etc/nginx/common", common)].into_iter().collect();
    assert_eq!(check("/etc/nginx/nginx.conf", &files, &Options::default()), []);
}

#[test]
fn what_is_kept_of_findings_is_bounded() {
    for kind in KINDS {
        let findings = work(kind, SMALL * TIMES).findings;
        assert!(findings.len() <= FINDINGS, "{}: {} findings", kind.name, findings.len());
        for Finding { message, help, .. } in &findings {
            let bytes = message.len() + help.as_ref().map_or(0, String::len);
            assert!(bytes <= TEXTS, "{}: {bytes} bytes of one finding: {message}", kind.name);
        }
    }
}

#[test]
fn a_map_of_a_million_entries_takes_few_times_its_size() {
    let kind = KINDS.iter().find(|kind| kind.name == "entries of a map").expect("there is such a kind");
    let text: usize = (kind.make)("/etc/nginx", 1_000_000).iter().map(|(_, text)| text.len()).sum();
    let most = work(kind, 1_000_000).allocations.bytes_max;
    // The text itself belongs to the caller.
    let limit = u64::try_from(text).expect("it is small") * 6;
    assert!(most <= limit, "{most} bytes at once for a text of {text}");
}

/// Kinds of which each directive has few bytes, and the most bytes at once for each byte of the text, which itself belongs to the caller.
const SHORT: [(&str, u64); 8] = [
    ("servers", 6),
    ("locations", 7),
    ("proxies", 4),
    ("headers", 3),
    ("entries of a map", 5),
    ("names of a server", 3),
    ("one line", 8),
    ("conflicting names", 7),
];

#[test]
fn short_directives_take_few_times_their_size() {
    KINDS.iter().for_each(|kind| drop(work(kind, 1)));
    for (name, times) in SHORT {
        let kind = KINDS.iter().find(|kind| kind.name == name).expect("there is such a kind");
        let text: usize = (kind.make)("/etc/nginx", SMALL * TIMES * 4).iter().map(|(_, text)| text.len()).sum();
        let most = work(kind, SMALL * TIMES * 4).allocations.bytes_max;
        let limit = u64::try_from(text).expect("it is small") * times;
        assert!(most <= limit, "{name}: {most} bytes at once for a text of {text}");
    }
}

#[test]
fn servers_on_ports_of_their_own_take_few_times_their_size() {
    let server = |n: usize| {
        let port = 1_024 + n;
        format!("server {{ listen {port}; server_name s{n}.example.com; location / {{ return 200; }} }} ")
    };
    let servers: String = (0..10_000).map(server).collect();
    let text = format!("events {{ worker_connections 20000; }} http {{ {servers}}}\n");
    let limit = u64::try_from(text.len()).expect("it is small") * 8;
    let files: MemoryFiles = [("/etc/nginx/nginx.conf", text)].into_iter().collect();
    let judged = || check("/etc/nginx/nginx.conf", &files, &Options::default());
    assert_eq!(judged(), []);
    let most = allocation_counter::measure(|| drop(judged())).bytes_max;
    assert!(most <= limit, "{most} bytes at once, and at most {limit} were expected");
}
