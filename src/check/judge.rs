//! One judgement: reads the files, has them judged, and brings what was found back to where it is written. IO: reads inputs, writes
//! into a temporary directory what a program is to read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use reload_gate_contract::{Cause, Code, Finding, Place, Severity};

use super::assign::Task;
use super::store::{Content, Entry, Store};
use super::{Missing, Options};
use crate::redact::Redactor;
use crate::render::{Excerpt, Judged, Located};
use crate::target::Selector;
use crate::tree::Tree;
use crate::validate::{Layout, Part, Plan, RootChoice, Validator};

const NOT_LAID_OUT: Code = Code::new("not-laid-out");

/// What the bundled validators call what they could not see.
const ABSENT: &str = "missing-";

/// So many lines are shown on each side of the one that is meant.
const AROUND: usize = 1;

/// The files of one judgement.
struct Files<'s> {
    store: &'s Store<'s>,
    contents: BTreeMap<PathBuf, (Entry, Content)>,
    redactor: Redactor,
}

/// Has a task done.
pub(super) async fn judge(task: Task, store: &Store<'_>, options: &Options) -> Judged {
    let started = Instant::now();
    let (mut tree, mut contents, mut broken) = (Tree::new(), BTreeMap::new(), Vec::new());
    for (path, entry) in &task.tree.files {
        match store.content(entry) {
            Ok(content) => {
                tree.insert(path.clone(), content.bytes.clone());
                contents.insert(path.clone(), (entry.clone(), content));
            }
            Err(finding) => broken.push(Located { excerpt: None, ..store.located(entry, *finding) }),
        }
    }
    if let Some((path, text)) = &task.around {
        tree.insert(path.clone(), text.clone().into_bytes());
    }
    let secrets = contents.values().filter(|(_, content)| content.is_secret());
    let redactor = Redactor::new(secrets.map(|(_, content)| content.bytes.as_slice()));
    let files = Files { store, contents, redactor };
    let plan = options.plan(&task.judge.plan);
    let (validator, found) = ask(&plan, &task, &tree).await;
    let found =
        found.into_iter().filter_map(|finding| options.weigh(finding)).map(|finding| files.locate(&task, finding));
    let findings = broken.into_iter().chain(found).collect();
    Judged { subject: task.subject, validator, reason: task.reason, findings, duration: started.elapsed() }
}

/// What is found in `tree`, and by whom.
async fn ask(plan: &Plan, task: &Task, tree: &Tree) -> (String, Vec<Finding>) {
    let names = |asked: usize| {
        let names: Vec<_> = plan.validators.iter().take(asked.max(1)).map(Validator::title).collect();
        names.join(", ")
    };
    let directory = match lay_out(plan, tree) {
        Ok(directory) => directory,
        Err(error) => {
            let finding = Finding::environment(NOT_LAID_OUT, format!("the files cannot be laid out: {error}"));
            return (
                names(1),
                vec![
                    finding.help("programs read them from a temporary directory: see that there is room in `$TMPDIR`"),
                ],
            );
        }
    };
    let here = directory.as_ref().map_or(Path::new("/"), tempfile::TempDir::path);
    match plan.judge(tree, &layout(task, here), &Selector::default()).await {
        Ok(judgement) => (names(judgement.took.len()), judgement.findings),
        Err(hindrance) => {
            let (message, help, _) = hindrance.into_parts();
            (names(1), vec![Finding::environment(NOT_LAID_OUT, message).help(help)])
        }
    }
}

/// Writes the tree where a program can read it, if one is to; it is gone with what is returned.
fn lay_out(plan: &Plan, tree: &Tree) -> std::io::Result<Option<tempfile::TempDir>> {
    if !plan.asks_programs() {
        return Ok(None);
    }
    let directory = tempfile::Builder::new().prefix("reload-gate-").tempdir()?;
    for (path, content) in tree {
        let file = directory.path().join(path.strip_prefix("/").unwrap_or(path));
        std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
        std::fs::write(file, content)?;
    }
    Ok(Some(directory))
}

/// Where the files lie: what is mounted, and around it what nobody knows.
fn layout(task: &Task, here: &Path) -> Layout {
    let part = |path: &Path, whole| Part {
        prefix: path.to_owned(),
        here: here.join(path.strip_prefix("/").unwrap_or(path)),
        there: path.to_owned(),
        live: None,
        whole,
    };
    let points = task.tree.points.iter().map(|point| part(&point.path, point.known));
    let around = task.around.iter().map(|(path, _)| part(path, true));
    Layout(points.chain(around).collect())
}

impl Files<'_> {
    /// A finding, at its place in the input.
    fn locate(&self, task: &Task, finding: Finding) -> Located {
        let finding = self.redactor.redact(finding);
        let of = finding.place.as_ref().and_then(|place| Some((place, self.contents.get(Path::new(&place.file))?)));
        let Some((place, (entry, content))) = of else {
            // A file that is not given, such as one that stands for the image's: what is meant is the whole.
            let line = task.subject.line;
            let place = Place { line, ..Place::file(&task.subject.input) };
            let finding = if finding.place.is_some() { beside(finding) } else { finding };
            let (object, key) = (task.subject.object.clone(), task.subject.key.clone());
            return Located { finding: finding.at(place), object, key, excerpt: None };
        };
        let spot = content.locate(self.store, place);
        let excerpt = spot.text.and_then(|(text, lines)| excerpt(&text, lines, spot.place.span?));
        Located { excerpt, ..self.store.located(entry, finding.at(spot.place)) }
    }
}

/// The finding with its place in its words, since that is no place in an input.
fn beside(finding: Finding) -> Finding {
    let place = finding.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    Finding { message: format!("{place}{}", finding.message), ..finding }
}

/// The lines around a span.
fn excerpt(text: &str, lines: u32, span: reload_gate_contract::Span) -> Option<Excerpt> {
    let (start, end) = (span.start.min(text.len()), span.end.min(text.len()));
    let mut first = text[..start].rfind('\n').map_or(0, |at| at + 1);
    // A whole value may be long; its beginning is enough.
    let stop = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let mut last = stop;
    for _ in 0..AROUND {
        first = text[..first.saturating_sub(1)].rfind('\n').map_or(0, |at| at + 1);
        last = text[last..].strip_prefix('\n').map_or(last, |rest| last + 1 + rest.find('\n').unwrap_or(rest.len()));
    }
    let before = text[..first].matches('\n').count();
    let first_line = u32::try_from(before).ok()?.checked_add(lines)?.checked_add(1)?;
    Some(Excerpt {
        first_line,
        text: text[first..last].to_owned(),
        mark: start - first..end.min(stop).max(start) - first,
    })
}

impl Options {
    /// The plan as it is carried out here.
    fn plan(&self, plan: &Plan) -> Plan {
        let plan = if self.local { plan.clone() } else { plan.clone().bundled() };
        let root = if self.local { RootChoice::Local } else { RootChoice::Auto };
        Plan { root, fallback: self.fallback, without_target: true, ..plan }
    }

    /// What a finding is worth here: a file that is not given may be in the image, unless it would be seen if it were there.
    fn weigh(&self, finding: Finding) -> Option<Finding> {
        if finding.cause != Cause::Environment || !finding.code.as_str().starts_with(ABSENT) {
            return Some(finding);
        }
        match (finding.severity, self.missing) {
            (Severity::Error, _) | (_, Missing::Reject) => {
                Some(Finding { severity: Severity::Error, cause: Cause::Config, ..finding })
            }
            (_, Missing::Ignore) => None,
            (_, Missing::Warn) => Some(finding),
        }
    }
}
