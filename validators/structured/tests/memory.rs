//! A file that is only checked for its syntax takes at most four times its size besides itself: no tree is made of it.

use reload_gate_structured::{ini, json, toml, yaml};

/// Length of a text, far above what a process takes anyway.
const LENGTH: usize = 1 << 20;
const TIMES: usize = 4;

/// Names the case for the process that measures it.
const CASE: &str = "RELOAD_GATE_TEST_CASE";

type Checker = fn(&[u8]) -> usize;
type Case = (&'static str, Checker, fn(usize) -> String);

const TOML: Checker = |text| toml::check("f", text).len();
const YAML: Checker = |text| yaml::check("f", text).len();
const JSON: Checker = |text| json::check("f", text).len();
const INI: Checker = |text| ini::check("f", text).len();

/// Kinds of texts: the piece with a number.
const CASES: [Case; 20] = [
    ("toml keys", TOML, |i| format!("{i:05x}=1\n")),
    ("toml the same key", TOML, |_| "a=1\n".into()),
    ("toml tables", TOML, |i| format!("[t{i:05x}]\n")),
    ("toml elements", TOML, |_| "[[t]]\na=1\n".into()),
    ("toml lists of tables", TOML, |i| format!("[[t{i:05x}]]\n")),
    ("toml an array", TOML, |i| if i == 0 { "a=[1".into() } else { ",1".into() }),
    ("toml an array of tables", TOML, |i| if i == 0 { "a=[{x=1}".into() } else { ",{x=1}".into() }),
    ("toml a table in braces", TOML, |i| if i == 0 { "a={x=1".into() } else { format!(",{i:05x}=1") }),
    ("toml faults", TOML, |_| "=\n".into()),
    ("toml line breaks", TOML, |_| "\n".into()),
    ("toml a string", TOML, |i| if i == 0 { "a='''".into() } else { "x y\n".into() }),
    ("yaml keys", YAML, |i| format!("{i:05x}: 1\n")),
    ("yaml the same key", YAML, |_| "a: 1\n".into()),
    ("yaml an array", YAML, |i| if i == 0 { "- [1".into() } else { ", 1".into() }),
    ("yaml a block", YAML, |i| if i == 0 { "a: |\n".into() } else { "  x y\n".into() }),
    ("yaml JSON", YAML, |i| if i == 0 { "{\"a\":1".into() } else { format!(",\"{i:05x}\":1") }),
    ("json keys", JSON, |i| if i == 0 { "{\"a\":1".into() } else { format!(",\"{i:05x}\":1") }),
    ("json the same key", JSON, |i| if i == 0 { "{\"a\":1".into() } else { ",\"a\":1".into() }),
    ("json half surrogates", JSON, |i| if i == 0 { "[\"a".into() } else { "\\ud800".into() }),
    ("ini keys", INI, |i| if i == 0 { "[s]\n".into() } else { format!("{i:05x}=1\n") }),
];

/// The largest size of this process so far in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
#[expect(clippy::print_stdout, reason = "the process of a case tells its result so")]
#[expect(clippy::disallowed_methods, reason = "each case has a process of its own, whose memory nothing else has used")]
fn a_check_takes_a_few_times_the_size_of_its_text() {
    if let Ok(case) = std::env::var(CASE) {
        let (_, check, piece) = CASES[case.parse::<usize>().expect("a number")];
        let mut text = String::with_capacity(LENGTH + 64);
        for number in 0.. {
            text += &piece(number);
            if text.len() >= LENGTH {
                break;
            }
        }
        let before = peak();
        let findings = check(text.as_bytes());
        println!("taken {} of {} with {findings} findings", peak() - before, text.len());
        return;
    }
    let program = std::env::current_exe().expect("it runs");
    let mut wrong = Vec::new();
    for (number, (name, ..)) in CASES.iter().enumerate() {
        let mut case = std::process::Command::new(&program);
        case.args(["--exact", "a_check_takes_a_few_times_the_size_of_its_text", "--nocapture"]);
        let output = case.env(CASE, number.to_string()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let taken =
            said.lines().find_map(|line| line.split_once("taken ")?.1.split_once(" of ")?.0.parse::<usize>().ok());
        match taken {
            Some(taken) if taken <= TIMES * LENGTH => {}
            taken => wrong.push(format!("{name}: {taken:?} of {LENGTH}: {said}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
