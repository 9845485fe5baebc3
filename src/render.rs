//! What `check` found, as bytes: for people, and in the formats that their tools read. Pure: a report goes in, a text comes out.

use std::ops::Range;
use std::time::Duration;

use reload_gate_contract::{Finding, Verdict};

/// All that one `check` has to say, in the order in which it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was judged.
    pub judged: Vec<Judged>,
    /// What was among the inputs and nobody judged.
    pub unjudged: Vec<Unjudged>,
}

/// One judgement: a validator over one file, or over one mounted tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What was judged.
    pub subject: Subject,
    /// Who judged, such as `nginx -t` or `builtin nginx`.
    pub validator: String,
    /// Why this validator, such as ``named `nginx.conf` `` or `the sidecar's settings`.
    pub reason: String,
    /// What was found, in the order of the inputs.
    pub findings: Vec<Located>,
    /// How long it took.
    pub duration: Duration,
}

/// What was judged: where in the inputs it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The path as it was given; `-` is standard input.
    pub input: String,
    /// The object of a manifest, such as `ConfigMap web/nginx`.
    pub object: Option<String>,
    /// The key of that object, such as `nginx.conf`.
    pub key: Option<String>,
    /// The line of the input at which it begins, counted from 1.
    pub line: Option<u32>,
}

/// A finding whose place is a position in the *input*, whatever the validator was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// What was found; the file of its place is an input, and line, column and span are that file's.
    pub finding: Finding,
    /// The object in which it is, such as `ConfigMap web/nginx`: of a mounted tree not always the one that is judged.
    pub object: Option<String>,
    /// The key of that object.
    pub key: Option<String>,
    /// The lines around it; `None` for the values of Secrets, and where nothing can be shown.
    pub excerpt: Option<Excerpt>,
}

/// Lines of an input around a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The number of the first of them, counted from 1.
    pub first_line: u32,
    /// The lines, whole.
    pub text: String,
    /// The bytes of `text` that the finding is about.
    pub mark: Range<usize>,
}

/// Something that nobody judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unjudged {
    /// What it is.
    pub subject: Subject,
    /// Why nobody did.
    pub why: String,
}

impl Judged {
    /// What its findings amount to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.findings.iter().map(|located| &located.finding))
    }
}

/// How many of a report's subjects came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Found to be right.
    pub accepted: usize,
    /// Found to be wrong.
    pub rejected: usize,
    /// Not to be judged here and now.
    pub inconclusive: usize,
    /// Nobody's to judge.
    pub unjudged: usize,
}

impl Report {
    /// The worst verdict, in the order rejected, inconclusive, accepted; `None` where nothing was judged.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.judged.iter().map(Judged::verdict).max()
    }

    /// How many subjects came out how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |verdict| self.judged.iter().filter(|judged| judged.verdict() == verdict).count();
        Counts {
            accepted: of(Verdict::Accepted),
            rejected: of(Verdict::Rejected),
            inconclusive: of(Verdict::Inconclusive),
            unjudged: self.unjudged.len(),
        }
    }
}

/// How a report is written. The machine formats are described in `docs/stability.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit's XML, for the test reports of CI systems.
    Junit,
    /// Workflow commands of GitHub Actions: annotations at the changed lines.
    Github,
}

/// What a report for people looks like; the machine formats do not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences for a terminal.
    pub color: bool,
    /// With everything that was not judged, and how long each judgement took.
    pub verbose: bool,
    /// Only what is wrong, and what could not be judged.
    pub quiet: bool,
    /// How many columns there are.
    pub width: usize,
}
