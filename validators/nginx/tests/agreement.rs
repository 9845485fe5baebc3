//! The checker against the nginx of this machine: the same verdict, the same line, the same words?
//!
//! What is judged: the fixtures, which nginx accepts; the table of findings, which it has something to say about; and
//! mutants of both, made here from a seed (`NGINX_SEED`, a number; the same one by default).

#![expect(clippy::print_stderr, reason = "the differences are for people")]

mod skipped;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use reload_gate_contract::{Cause, Finding, MemoryFiles, Severity, visible};
use reload_gate_nginx::parser::parse;
use reload_gate_nginx::tree::TokenKind;
use reload_gate_nginx::{Build, Options, Version, check};

use skipped::skip;

const ACCEPTED: [(&str, &str); 2] = [
    ("web.conf", include_str!("../../../fixtures/nginx/accepted/web.conf")),
    ("streams.conf", include_str!("../../../fixtures/nginx/accepted/streams.conf")),
];

/// The page with examples of one fault each.
const FINDINGS: &str = include_str!("../../../docs/findings.md");

/// How many mutants are made of each kind.
const MUTANTS: u64 = 80;

/// The nginx of this machine, with a directory to run in.
struct Nginx {
    directory: tempfile::TempDir,
    version: Version,
    build: Build,
    modules: Vec<PathBuf>,
}

/// What nginx says: nothing, or a message and perhaps a line.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Rejected(String, Option<u32>),
    /// Something outside the configuration is in the way.
    Environment,
}

#[expect(clippy::disallowed_methods, reason = "nginx is what the checker is compared with")]
fn nginx(arguments: &[&str]) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("nginx").env("PATH", path).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Nginx {
    fn installed() -> Option<Self> {
        let about = nginx(&["-V"])?;
        let after = |key: &str| about.split_once(key).and_then(|(_, rest)| rest.split_whitespace().next());
        let version = after("nginx/").and_then(|version| version.parse().ok()).expect("it has a version");
        let build = if about.contains("--with-stream=dynamic") { Build::Debian } else { Build::NginxOrg };
        let objects = Path::new(after("--modules-path=").unwrap_or("/usr/lib/nginx/modules"));
        let modules = ["ngx_stream_module.so", "ngx_mail_module.so"].map(|module| objects.join(module));
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        for name in ["logs", "cache"] {
            std::fs::create_dir(directory.path().join(name)).expect("it can be written to");
        }
        let modules = modules.into_iter().filter(|module| module.exists()).collect();
        Some(Self { directory, version, build, modules })
    }

    fn main(&self) -> String {
        self.directory.path().join("nginx.conf").to_string_lossy().into_owned()
    }

    /// The modules to load for a configuration: those that it does not load itself.
    fn modules(&self, text: &[u8]) -> impl Iterator<Item = &PathBuf> {
        let text = String::from_utf8_lossy(text).into_owned();
        self.modules
            .iter()
            .filter(move |module| module.file_stem().is_none_or(|stem| !text.contains(&*stem.to_string_lossy())))
    }

    fn theirs(&self, text: &[u8]) -> Verdict {
        let (main, directory) = (self.main(), self.directory.path().to_string_lossy());
        std::fs::write(&main, text).expect("it can be written to");
        let mut globals: String =
            self.modules(text).map(|module| format!("load_module {}; ", module.display())).collect();
        if !text.windows(4).any(|word| word == b"pid ") {
            globals += &format!("pid {directory}/nginx.pid; ");
        }
        let output = nginx(&["-t", "-q", "-c", &main, "-p", &directory, "-e", "stderr", "-g", &globals]);
        verdict(&output.expect("nginx was there"), &main)
    }

    fn ours(&self, text: &[u8]) -> Vec<Finding> {
        let modules = self.modules(text).map(|module| module.to_string_lossy().into_owned()).collect();
        let options = Options { version: self.version, build: self.build, modules, ..Options::default() };
        let files: MemoryFiles = [(self.main(), text)].into_iter().collect();
        check(&self.main(), &files, &options)
    }
}

fn verdict(output: &str, main: &str) -> Verdict {
    // A message may go on over several lines, if a word of the configuration does.
    let Some((_, message)) = output.split_once("[emerg] ") else { return Verdict::Accepted };
    let message = message.split("\nnginx: ").next().unwrap_or(message);
    let message = match message.split_once("#") {
        Some((process, rest)) if process.bytes().all(|byte| byte.is_ascii_digit()) => {
            rest.split_once(": ").map_or(rest, |(_, message)| message)
        }
        _ => message,
    };
    let outside =
        [") failed (", "host not found", "dlopen()", "getpwnam(", "getgrnam(", "mkdir()", "bind()", "cannot load"];
    if outside.iter().any(|sign| message.contains(sign)) && !message.contains("compile() failed") {
        return Verdict::Environment;
    }
    let at = format!(" in {main}:");
    match message.rsplit_once(&at) {
        Some((message, line)) => Verdict::Rejected(message.to_owned(), line.trim().parse().ok()),
        None => Verdict::Rejected(message.trim_end().to_owned(), None),
    }
}

/// Numbers that look random, and are the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % (end.max(1) as u64)).unwrap_or_default()
    }

    fn of<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

const KINDS: [&str; 7] = ["byte", "delete", "value", "drop", "repeat", "swap", "cut"];

const VALUES: [&[u8]; 16] = [
    b"on", b"off", b"\"\"", b"0", b"-1", b"1k", b"10m", b"30s", b"1h30m", b"$uri", b"$nosuch", b"x", b"*", b"/", b"(",
    b"a=b",
];

/// Changes a text a little: in which way, `kind` says.
fn mutate(text: &[u8], kind: &str, random: &mut Random) -> Vec<u8> {
    let tree = parse(text);
    let words: Vec<_> = tree.tokens().into_iter().filter(|token| token.kind == TokenKind::Word).collect();
    let (word, other) = (random.of(&words), random.of(&words));
    let (start, end) = (word.start, word.end);
    let at = random.below(text.len());
    let mut mutant = text.to_vec();
    match kind {
        "byte" => mutant.insert(at, *random.of(b"{};\"'\\$# \n~(x")),
        "delete" => drop(mutant.remove(at)),
        "value" => drop(mutant.splice(start..end, random.of(&VALUES).iter().copied())),
        "drop" => drop(mutant.drain(start..end)),
        "repeat" => {
            let line = text[..start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let next = text[start..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| start + at + 1);
            drop(mutant.splice(next..next, text[line..next].iter().copied()));
        }
        "swap" => {
            let theirs = text[other.start..other.end].to_vec();
            drop(mutant.splice(start..end, theirs));
        }
        _ => mutant.truncate(at),
    }
    mutant
}

#[derive(Default)]
struct Count {
    cases: usize,
    verdicts: usize,
    rejections: usize,
    lines: usize,
    messages: usize,
}

/// Compares one configuration, and says aloud what differs.
fn compare(nginx: &Nginx, text: &[u8], count: &mut Count) {
    let theirs = nginx.theirs(text);
    if theirs == Verdict::Environment {
        return;
    }
    let findings = nginx.ours(text);
    let error = |finding: &&Finding| finding.severity == Severity::Error && finding.cause == Cause::Config;
    let ours = findings.iter().find(error);
    let line = ours.and_then(|finding| finding.place.as_ref()?.line);
    count.cases += 1;
    let same = match (&theirs, ours) {
        (Verdict::Rejected(message, at), Some(finding)) => {
            count.verdicts += 1;
            count.rejections += 1;
            count.lines += usize::from(at.is_none() || *at == line);
            count.messages += usize::from(visible(message).starts_with(&finding.message));
            at.is_none() || *at == line
        }
        (Verdict::Accepted, None) => {
            count.verdicts += 1;
            true
        }
        _ => false,
    };
    if !same {
        let text = String::from_utf8_lossy(text);
        eprintln!(
            "differs: nginx says {theirs:?}, we say {:?} at {line:?}, of\n{text}",
            ours.map(|finding| &finding.message)
        );
    }
}

#[test]
fn nginx_agrees() {
    let Some(nginx) = Nginx::installed() else {
        return skip("there is no nginx on this machine");
    };
    if nginx.modules.len() < 2 && nginx.build == Build::Debian {
        skip("libnginx-mod-stream and libnginx-mod-mail are not installed");
    }
    let examples = FINDINGS.split("```nginx\n").skip(1);
    let findings: Vec<&str> = examples.filter_map(|rest| rest.split_once("```")).map(|(text, _)| text).collect();
    let mut counts = BTreeMap::<&str, Count>::new();
    for (name, text) in ACCEPTED {
        let found = nginx.theirs(text.as_bytes());
        assert!(!matches!(found, Verdict::Rejected(..)), "{name}: {found:?}");
        compare(&nginx, text.as_bytes(), counts.entry("accepted").or_default());
    }
    for text in &findings {
        compare(&nginx, text.as_bytes(), counts.entry("findings").or_default());
    }
    let seed = std::env::var("NGINX_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    let originals: Vec<&[u8]> =
        ACCEPTED.iter().map(|(_, text)| text.as_bytes()).chain(findings.iter().map(|text| text.as_bytes())).collect();
    for kind in KINDS {
        for number in 0..MUTANTS {
            // Half of them come from the long texts, where there is more to go wrong.
            let original = if number % 2 == 0 { random.of(&originals[..2]) } else { random.of(&originals) };
            let mutant = mutate(original, kind, &mut random);
            compare(&nginx, &mutant, counts.entry(kind).or_default());
        }
    }
    report(&counts, seed);
}

/// Prints the table, and holds the line at 99 %.
fn report(counts: &BTreeMap<&str, Count>, seed: u64) {
    let mut all = Count::default();
    eprintln!(
        "seed {seed}\n{:<10} {:>6} {:>8} {:>11} {:>6} {:>8}",
        "kind", "cases", "verdict", "rejections", "line", "message"
    );
    for (kind, count) in counts {
        let Count { cases, verdicts, rejections, lines, messages } = count;
        eprintln!("{kind:<10} {cases:>6} {verdicts:>8} {rejections:>11} {lines:>6} {messages:>8}");
        all.cases += cases;
        all.verdicts += verdicts;
        all.rejections += rejections;
        all.lines += lines;
    }
    assert!(all.cases > 100, "there was little to compare");
    assert!(all.verdicts * 100 >= all.cases * 99, "{} of {} verdicts are the same", all.verdicts, all.cases);
    assert!(all.lines * 100 >= all.rejections * 99, "{} of {} lines are the same", all.lines, all.rejections);
}
