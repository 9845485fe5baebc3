//! Asks the validators, in the right place. IO: runs commands, through `exec` alone.
//!
//! A verdict is a value. Findings of the configuration reject it; obstacles around it (a checker that is missing, killed or
//! out of time, a host name that did not resolve) leave it open.

mod command;
mod place;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reload_gate_contract::{Code, Finding, Place as Position, Verdict};

pub use command::{Check, Patterns};
pub use place::RootChoice;

use crate::snapshot::Source;
use crate::target::{Hindrance, Selector};
use crate::tree::Tree;

const NO_MAIN_FILE: Code = Code::new("no-main-file");
const MISSING_MAIN_FILE: Code = Code::new("missing-main-file");

/// What the validators said of one content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Everything that was found.
    pub findings: Vec<Finding>,
    /// How long all of them took.
    pub duration: Duration,
    /// Who judged, and where, in words.
    pub by: Option<String>,
}

impl Judgement {
    /// What the findings amount to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.findings)
    }
}

/// Who judges, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The validators, asked in this order until one does not accept.
    pub checks: Vec<Check>,
    /// Where commands run.
    pub root: RootChoice,
    /// How long each may take.
    pub timeout: Duration,
    /// The file to begin with.
    pub main: Main,
    /// Whether to judge here when there is no target; if not, the target is waited for.
    pub without_target: bool,
}

/// The file that a program is told to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Main {
    /// This one, by the user's word: a configuration without it is wrong.
    Given(PathBuf),
    /// This one if it is there; else the only one there is.
    Usual(PathBuf),
    /// The only one there is.
    Only,
}

impl Plan {
    /// Judges `tree`, which was read from `sources`, for the program that `selector` finds.
    ///
    /// # Errors
    /// When the target is needed to judge and cannot be had.
    pub async fn judge(&self, tree: &Tree, sources: &[Source], selector: &Selector) -> Result<Judgement, Hindrance> {
        let started = Instant::now();
        let mut judgement = Judgement { findings: Vec::new(), duration: Duration::ZERO, by: None };
        let main = self.main.find(tree);
        if let Err(finding) = &main
            && finding.code == MISSING_MAIN_FILE
        {
            judgement.findings.push(Finding::clone(finding));
        } else if !self.checks.is_empty() {
            let place = place::find(self.root, selector, self.without_target)?;
            let main = main.map(|name| place.path_of(&name, sources));
            let asked = self.ask(&place, &place.directory(sources), &main, &mut judgement.findings).await;
            judgement.by = Some(format!("judged by {}, {}", asked.join(", "), place.describe()));
        }
        judgement.duration = started.elapsed();
        Ok(judgement)
    }

    async fn ask(
        &self,
        place: &place::Place,
        directory: &Path,
        main: &Result<PathBuf, Box<Finding>>,
        findings: &mut Vec<Finding>,
    ) -> Vec<String> {
        let mut asked = Vec::new();
        for check in &self.checks {
            asked.push(format!("`{}`", check.name));
            let found = check.run(place, directory, main, self.timeout).await;
            let verdict = Verdict::of(&found);
            let source = |finding| Finding { source: Some(check.name.clone()), ..finding };
            findings.extend(found.into_iter().map(source));
            if verdict != Verdict::Accepted {
                break;
            }
        }
        asked
    }

    /// The names of the validators.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        self.checks.iter().map(|check| check.name.clone()).collect()
    }
}

impl Main {
    fn find(&self, tree: &Tree) -> Result<PathBuf, Box<Finding>> {
        let only = || match tree.len() {
            1 => tree.keys().next().cloned(),
            _ => None,
        };
        // With several sources the names are whole paths, and the file is meant wherever it is; the nearest, if there are many.
        let same = |main: &PathBuf| tree.keys().filter(|name| name.ends_with(main)).cloned().collect::<Vec<_>>();
        let named = |main: &PathBuf| same(main).into_iter().min_by_key(|name| name.components().count());
        match self {
            Self::Given(main) => named(main).ok_or_else(|| {
                let message = format!("`{}` is not in the configuration", main.display());
                let help = "the file was named with `--main`; put it back, or correct the name";
                let finding = Finding::error(MISSING_MAIN_FILE, message).at(Position::file(main.display().to_string()));
                Box::new(finding.help(help))
            }),
            Self::Usual(main) => named(main).or_else(only).ok_or_else(|| {
                let message = format!("there are several files, and none is called `{}`", main.display());
                let finding = Finding::environment(NO_MAIN_FILE, message);
                Box::new(finding.help("say which one to begin with: `--main FILE`"))
            }),
            Self::Only => only().ok_or_else(|| {
                let message = "there are several files, and none is said to be the one to begin with";
                Box::new(Finding::environment(NO_MAIN_FILE, message).help("say which one: `--main FILE`"))
            }),
        }
    }
}

#[cfg(test)]
mod tests;
