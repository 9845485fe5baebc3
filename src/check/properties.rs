//! Properties of `check` for any manifest, broken ones included.

use std::path::Path;

use proptest::prelude::*;

use super::render::{self, ReportFormat, ReportStyle};
use super::*;
use crate::config::{Flags, UserInput, assignments};

/// Manifests that are judged without any program.
const SEEDS: [&str; 7] = [
    include_str!("../../fixtures/manifests/web.yaml"),
    include_str!("../../fixtures/manifests/cases/alias-as-key.yaml"),
    include_str!("../../fixtures/manifests/cases/bitnami-server-block.yaml"),
    include_str!("../../fixtures/manifests/cases/init-container-copies.yaml"),
    include_str!("../../fixtures/manifests/cases/nginx-template.yaml"),
    include_str!("../../fixtures/manifests/cases/number-in-data.yaml"),
    include_str!("../../fixtures/manifests/cases/sub-path-in-an-included-directory.yaml"),
];
/// Text that has a meaning somewhere.
const TOKENS: [&str; 24] = [
    "\n---\n",
    "...",
    "|",
    ">-",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\t",
    "\u{feff}",
    "\0",
    "${A}",
    "include *;",
    "data:",
    "binaryData:",
    "# reload-gate: ignore x",
    "\u{1f680}",
];
const FORMATS: [ReportFormat; 6] = [
    ReportFormat::Human,
    ReportFormat::Json,
    ReportFormat::Sarif,
    ReportFormat::Junit,
    ReportFormat::Github,
    ReportFormat::Markdown,
];

const STYLE: ReportStyle = ReportStyle { color: false, verbose: true, quiet: false, width: 80 };

/// An edit at a share of the text: what it removes, and what comes there.
fn edit() -> impl Strategy<Value = (f64, usize, String)> {
    let insertion =
        prop_oneof![Just(String::new()), prop::sample::select(TOKENS.to_vec()).prop_map(str::to_owned), "\\PC{0,6}",];
    (0.0..1.0, 0..30_usize, insertion)
}

fn edited(seed: &str, edits: &[(f64, usize, String)]) -> Vec<u8> {
    let mut text: Vec<char> = seed.chars().collect();
    for (share, removed, insertion) in edits {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "it is a share"
        )]
        let at = (text.len() as f64 * share) as usize;
        let end = (at + removed).min(text.len());
        text.splice(at..end, insertion.chars());
    }
    text.into_iter().collect::<String>().into_bytes()
}

fn checked(file: &Path) -> CheckReport {
    let read = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let user_input = UserInput {
        flags: Flags::default(),
        variables: Vec::new(),
        read: &read,
        is_directory: &Path::is_dir,
        directory: "/".into(),
        terminal: false,
    };
    let assignments = assignments(&user_input).expect("nothing is given");
    let listing = Listing::of(&[file.display().to_string()], &[]).expect("there is no pattern");
    let options =
        CheckOptions { local: false, fallback: true, missing: Missing::Warn, allow_commands: false, alone: false };
    check(&CheckRequest { listing: &listing, assignments: &assignments, options, progress: &|_, _| {} }).report
}

/// The number of manifests; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_manifest_is_reported_at_places_that_exist(
        seed in prop::sample::select(SEEDS.to_vec()),
        edits in prop::collection::vec(edit(), 0..8),
    ) {
        let directory = tempfile::tempdir().expect("there is room");
        let file = directory.path().join("any.yaml");
        let text = edited(seed, &edits);
        std::fs::write(&file, &text).expect("there is room");
        let report = checked(&file);
        let lines = text.split(|byte| *byte == b'\n').count();
        for place in report.checked.iter().flat_map(|checked| &checked.findings).filter_map(|one| one.finding.place.as_ref()) {
            let line = place.line.map_or(1, |line| line as usize);
            prop_assert!(line <= lines, "{place} of {lines} lines");
        }
        for format in FORMATS {
            prop_assert!(!render::render(&report, format, &STYLE).is_empty());
        }
    }
}
