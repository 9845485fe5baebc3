//! One judgement: reads the files, has them judged, and brings what was found back to where it is written. IO: reads inputs, writes
//! into a temporary directory what a program is to read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use reload_gate_contract::{Cause, Code, Finding, Place, Severity};

use super::assign::Task;
use super::store::{Content, Entry, Store};
use super::{Missing, Options};
use crate::check::render::{Checked, Excerpt, Located};
use crate::flow::process::Selector;
use crate::flow::tree::Tree;
use crate::flow::validate::{
    Main, Mapping, PathMap, RootChoice, VIEW_NOT_POSSIBLE, Validation, ValidationPlan, Validator,
};
use crate::redact::Redactor;

const NOT_LAID_OUT: Code = Code::new("not-laid-out");

/// So many lines are shown on each side of the one that is meant.
const AROUND: usize = 1;

/// The files of one judgement.
struct Files<'s> {
    store: &'s Store<'s>,
    contents: BTreeMap<PathBuf, (Entry, Content)>,
    redactor: Redactor,
}

/// Has a task done, and says which entries were looked at.
pub(super) async fn validate(task: Task, store: &Store<'_>, options: &Options) -> (Checked, BTreeSet<Entry>) {
    let started = Instant::now();
    let (mut tree, mut contents, mut broken, mut read) = (Tree::new(), BTreeMap::new(), Vec::new(), BTreeSet::new());
    for (path, entry) in &task.tree.files {
        match store.content(entry) {
            Ok(content) => {
                tree.insert(path.clone(), content.bytes.clone());
                contents.insert(path.clone(), (entry.clone(), content));
            }
            Err(finding) => {
                read.insert(entry.clone());
                broken.push(store.located(entry, *finding));
            }
        }
    }
    if let Some((path, text)) = &task.around {
        tree.insert(path.clone(), text.clone().into_bytes());
    }
    // Without the file to begin with, what else would be said comes of that.
    let lacks_main = matches!(&task.main, Main::Given(main) if !tree.contains_key(main));
    let secrets = contents.values().filter(|(_, content)| content.is_secret() && !is_public(&content.bytes));
    let redactor = Redactor::new(secrets.map(|(_, content)| content.bytes.as_slice()));
    let files = Files { store, contents, redactor };
    let plan = ValidationPlan { main: task.main.clone(), ..options.plan(&task.assignment.plan) };
    let (validator, validation) = if broken.is_empty() || !lacks_main {
        ask(&plan, &task, &Arc::new(tree)).await
    } else {
        (first(&plan), Validation::default())
    };
    read.extend(validation.read.iter().filter_map(|path| task.tree.files.get(path).cloned()));
    if validation.read.is_empty() {
        // It was wrong before anybody looked further.
        read.extend(task.tree.files.values().cloned());
    }
    let weighed = validation.findings.into_iter().filter_map(|finding| options.weigh(finding));
    let found = weighed.map(|finding| files.locate(&task, finding));
    let findings = broken.into_iter().chain(found).collect();
    let Task { subject, reason, .. } = task;
    (Checked { subject, validator, reason, findings, duration: started.elapsed() }, read)
}

/// Whether a content is certificates and nothing else, which anybody may read who connects.
fn is_public(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let mut labels = text.lines().filter_map(|line| line.strip_prefix("-----BEGIN ")).peekable();
    labels.peek().is_some() && labels.all(|label| label.starts_with("CERTIFICATE-"))
}

/// What is found in `tree`, and by whom.
async fn ask(plan: &ValidationPlan, task: &Task, tree: &Arc<Tree>) -> (String, Validation) {
    let obstacle = |finding| (first(plan), Validation { findings: vec![finding], ..Validation::default() });
    let directory = match lay_out(plan, tree) {
        Ok(directory) => directory,
        Err(error) => {
            let help = "programs read them from a temporary directory: see that there is room in `$TMPDIR`";
            let message = format!("the files cannot be laid out: {error}");
            return obstacle(Finding::environment(NOT_LAID_OUT, message).help(help));
        }
    };
    let here = directory.as_ref().map_or(Path::new("/"), tempfile::TempDir::path);
    let path_map = path_map(task, here);
    let checked = match plan.validate(tree, &path_map, &Selector::default()).await {
        // What speaks of no path at which it is to be can be judged where it lies.
        Ok(validation) if !is_shown(&validation) && !names_its_place(task, tree) => {
            let plan = ValidationPlan { root: RootChoice::Local, ..plan.clone() };
            plan.validate(tree, &path_map, &Selector::default()).await
        }
        checked => checked,
    };
    match checked {
        Ok(validation) if validation.validators.is_empty() => (first(plan), in_place(validation, here)),
        Ok(validation) => (validation.validators.join(", "), in_place(validation, here)),
        Err(target_error) => {
            let (message, help, _) = target_error.into_parts();
            obstacle(Finding::environment(NOT_LAID_OUT, message).help(help))
        }
    }
}

/// Who would have judged first, where nobody came to it.
fn first(plan: &ValidationPlan) -> String {
    plan.validators.first().map(Validator::title).unwrap_or_default()
}

/// Whether a program could be shown the files where they are to be.
fn is_shown(validation: &Validation) -> bool {
    validation.findings.iter().all(|finding| finding.code != VIEW_NOT_POSSIBLE)
}

/// Whether any file names a path in one of the places where they are to be.
fn names_its_place(task: &Task, tree: &Tree) -> bool {
    let places: Vec<String> = task.tree.points.iter().map(|point| point.path.to_string_lossy().into_owned()).collect();
    tree.values().any(|content| {
        let text = String::from_utf8_lossy(content);
        places.iter().any(|place| text.contains(place.as_str()))
    })
}

/// A judgement that was made where the files lie, as if that were where they are to be.
fn in_place(validation: Validation, here: &Path) -> Validation {
    let here = here.to_string_lossy();
    if here == "/" {
        return validation;
    }
    let there = |text: String| text.replace(&*here, "");
    let moved = |finding: Finding| Finding {
        message: there(finding.message),
        place: finding.place.map(|place| Place { file: there(place.file), ..place }),
        ..finding
    };
    Validation { findings: validation.findings.into_iter().map(moved).collect(), ..validation }
}

/// Writes the tree where a program can read it, if one is to; it is gone with what is returned.
fn lay_out(plan: &ValidationPlan, tree: &Tree) -> std::io::Result<Option<tempfile::TempDir>> {
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
fn path_map(task: &Task, here: &Path) -> PathMap {
    let part = |path: &Path, whole| Mapping {
        prefix: path.to_owned(),
        here: here.join(path.strip_prefix("/").unwrap_or(path)),
        there: path.to_owned(),
        live: None,
        whole,
    };
    let points = task.tree.points.iter().map(|point| part(&point.path, point.known));
    let around = task.around.iter().map(|(path, _)| part(path, true));
    PathMap(points.chain(around).collect())
}

impl Files<'_> {
    /// A finding, at its place in the input.
    fn locate(&self, task: &Task, finding: Finding) -> Located {
        let at = finding.place.as_ref().and_then(|place| self.contents.get(Path::new(&place.file)));
        let finding = match at.filter(|(_, content)| !content.is_secret()) {
            Some((_, content)) => self.redact_all_but(&String::from_utf8_lossy(&content.bytes), finding),
            None => self.redactor.redact(finding),
        };
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

    /// A finding about a text that is no Secret: what it quotes of that is no Secret either, whatever else has the same words.
    fn redact_all_but(&self, text: &str, finding: Finding) -> Finding {
        const QUOTES: [char; 3] = ['"', '\'', '`'];
        let parts: Vec<&str> = finding.message.split(QUOTES).collect();
        let quotes = finding.message.matches(QUOTES);
        let own = |part: &&str| !part.is_empty() && text.contains(*part);
        let parts = parts.iter().enumerate();
        // Every other part stands in quotes.
        let parts = parts
            .map(|(at, part)| if at % 2 == 1 && own(part) { (*part).to_owned() } else { self.redactor.text(part) });
        let quotes = quotes.map(str::to_owned).chain([String::new()]);
        let message = parts.zip(quotes).flat_map(|(part, quote)| [part, quote]).collect();
        Finding { message, help: finding.help.map(|help| self.redactor.text(&help)), ..finding }
    }
}

/// The finding with its place in its words, since that is no place in an input.
fn beside(finding: Finding) -> Finding {
    let place = finding.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    Finding { message: format!("{place}{}", finding.message), ..finding }
}

/// The lines around a span.
fn excerpt(text: &str, lines: u32, span: reload_gate_contract::Span) -> Option<Excerpt> {
    // A checker may count otherwise than in characters.
    let begins = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (start, end) = (begins(span.start), begins(span.end));
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
    fn plan(&self, plan: &ValidationPlan) -> ValidationPlan {
        let plan = if self.local { plan.clone() } else { plan.clone().bundled() };
        ValidationPlan { root: RootChoice::View, fallback: self.fallback, without_target: true, ..plan }
    }

    /// What a finding is worth here: a file that is not given may be in the image, unless it would be seen if it were there.
    fn weigh(&self, finding: Finding) -> Option<Finding> {
        if finding.cause != Cause::Environment || !finding.code.is_absence() {
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
