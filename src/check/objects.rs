//! Validation of ConfigMaps and Secrets in memory, as an API server sends them. It starts no process and reads no file: bundled validators
//! alone run, on the thread of the caller.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use reload_gate_contract::Place;

use super::assign::{DueTask, Task};
use super::content;
use super::input::InputStream;
use super::listing::{At, Listing};
use super::names::VersionCache;
use super::store::{DocumentMark, Store};
use super::validate::{self, Outcome};
use super::{CheckOptions, Missing, listed, with_tasks};
use crate::check::manifest::{Annotated, ConfigKey, ConfigObject, Id};
use crate::check::render::CheckReport;
use crate::config::{Assignments, Preset};
use crate::flow::validate::{ValidationPlan, Validator};

/// Options of the validation of objects in memory. What an object names and does not have may be in the image, and the author hears of it at
/// each change: so it is no finding.
const OPTIONS: CheckOptions =
    CheckOptions { local: false, fallback: false, missing: Missing::Ignore, allow_commands: false, alone: true };

/// ConfigMap or Secret in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenObject {
    /// Its name.
    pub id: Id,
    /// Name of its validator, if it has an annotation or label for that; `none` turns validation off.
    pub validator: Option<String>,
    /// Annotation that ignores findings.
    pub ignore: Option<String>,
    /// Contents of the files by key, decoded.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// Directory of its files, if one program reads it together with the other objects.
    pub mount: Option<PathBuf>,
}

impl GivenObject {
    fn listed(&self) -> ConfigObject {
        let annotated =
            |value: &Option<String>| value.clone().map(|value| Annotated { value, place: Place::file(String::new()) });
        ConfigObject {
            id: self.id.clone(),
            secret: self.id.is_secret(),
            label: None,
            validator: annotated(&self.validator),
            ignore: annotated(&self.ignore),
            // They are in the assignments already.
            settings: BTreeMap::new(),
            keys: self.contents.keys().map(|key| ConfigKey { name: key.as_str().into(), verbatim: None }).collect(),
            line: 1,
        }
    }
}

impl Listing {
    fn of_objects(objects: Vec<GivenObject>) -> Self {
        let at = At { input: 0, offset: 0, length: 0, lines: 0, object: 0, mark: DocumentMark::default() };
        Self {
            inputs: vec![InputStream::of_text("", Vec::new())],
            configs: objects.iter().map(|object| (object.listed(), at)).collect(),
            given: objects,
            has_manifests: true,
            ..Self::default()
        }
    }
}

/// Returns the key of the file with which the configuration of a program begins, by its name and its content.
#[must_use]
pub fn main_key<'c>(preset: &Preset, contents: &'c BTreeMap<String, Vec<u8>>) -> Option<&'c str> {
    let is_main = |(key, bytes): &(&String, &Vec<u8>)| {
        let text = String::from_utf8_lossy(bytes);
        let is_whole = preset.whole.as_ref().is_some_and(|whole| whole.is_match(&text));
        is_whole || (preset.files.contains(key) && !text.trim().is_empty() && content::may_be_main(preset, &text))
    };
    contents.iter().find(is_main).map(|(key, _)| key.as_str())
}

/// Validates objects in memory. The place of a finding has the key as its file, and the line and column in the value of that key.
///
/// A part that only a program can validate is reported as not checked, with the reason.
#[must_use]
pub fn check_objects(objects: Vec<GivenObject>, assignments: &Assignments) -> CheckReport {
    alone(&Listing::of_objects(objects), assignments)
}

/// Validates a stream of manifests in memory in the same way.
#[cfg(any(test, fuzzing))]
#[must_use]
pub fn check_text(name: &str, text: Vec<u8>) -> CheckReport {
    let input = InputStream::of_text(name, text);
    let mut listing = Listing { paths: vec![name.to_owned()], ..Listing::default() };
    if input.is_manifests() {
        listing.manifests(input);
    } else {
        listing.nameless.push(0);
        listing.inputs.push(input);
    }
    alone(&listing, &Assignments::default())
}

/// Validates inputs in memory by the bundled validators alone.
fn alone(listing: &Listing, assignments: &Assignments) -> CheckReport {
    let store = Store::new(listing);
    let versions = VersionCache::default();
    let outcome = with_tasks(&store, assignments, &OPTIONS, |tasks, take| {
        for task in tasks.into_iter().map(|due: DueTask| due.into_task(&store)) {
            let subject = task.subject.clone();
            let outcome = match lacking(&task) {
                Some(why) => Outcome::skipped(why, task.tree.files.values().cloned().collect()),
                None => at_once(validate::validate(task, &store, &OPTIONS, &versions))
                    .unwrap_or_else(|| Outcome::skipped("it cannot be validated here".to_owned(), Box::default())),
            };
            take(subject, outcome);
        }
        None
    });
    listed(outcome.report)
}

/// Returns the reason why a task cannot be done without a program.
fn lacking(task: &Task) -> Option<String> {
    let plan = ValidationPlan::clone(&task.assignment.plan).bundled();
    let name = plan.validators.iter().find_map(|validator| match validator {
        Validator::Command(command) => Some(command.name.clone()),
        Validator::Builtin(_) => None,
    })?;
    Some(format!("only the program `{name}` validates it, and no program runs here"))
}

/// Runs a future that never waits; `None` if it does.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::render::Checked;

    fn object(kind: &str, validator: Option<&str>, contents: &[(&str, &str)]) -> GivenObject {
        GivenObject {
            id: Id { kind: kind.to_owned(), namespace: Some("web".to_owned()), name: "nginx".to_owned() },
            validator: validator.map(str::to_owned),
            ignore: None,
            contents: contents.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec())).collect(),
            mount: None,
        }
    }

    /// `place: code` of each finding.
    fn found(objects: Vec<GivenObject>) -> Vec<String> {
        let report = check_objects(objects, &Assignments::default());
        let findings = report.checked.iter().flat_map(|checked: &Checked| &checked.findings);
        let shown = findings.map(|located| {
            let place = located.finding.place.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{place}: {}", located.finding.code)
        });
        shown.collect()
    }

    const BAD: &str = "events {}\nhttp {\n  server {\n    lisen 80;\n  }\n}\n";

    #[test]
    fn a_finding_has_its_place_in_the_value() {
        assert_eq!(
            found(vec![object("ConfigMap", None, &[("nginx.conf", BAD)])]),
            ["nginx.conf:4:5: unknown-directive"]
        );
        let named = object("ConfigMap", Some("nginx"), &[("web.site", "server {\n  lisen 80;\n}\n")]);
        assert_eq!(found(vec![named]), ["web.site:2:3: unknown-directive"]);
        assert!(found(vec![object("ConfigMap", Some("none"), &[("nginx.conf", BAD)])]).is_empty());
    }

    #[test]
    fn an_unknown_validator_is_an_error() {
        let found = found(vec![object("ConfigMap", Some("ngnix"), &[("a", "b")])]);
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with("unknown-validator"), "{found:?}");
    }

    #[test]
    fn what_only_a_program_validates_is_not_checked() {
        let report = check_objects(
            vec![object("ConfigMap", Some("haproxy"), &[("haproxy.cfg", "defaults\n")])],
            &Assignments::default(),
        );
        assert!(report.checked.is_empty(), "{report:?}");
        assert!(report.unchecked.iter().any(|unchecked| unchecked.why.contains("no program runs")), "{report:?}");
    }

    #[test]
    fn objects_of_one_program_are_validated_together() {
        let main = "events {}\nhttp {\n  log_format own '$status';\n  include conf.d/*.conf;\n}\n";
        let part = "server {\n  access_log /dev/stdout own;\n}\n";
        let at = |object: GivenObject, mount: &str, name: &str| GivenObject {
            mount: Some(mount.into()),
            id: Id { name: name.to_owned(), ..object.id },
            ..object
        };
        let objects = |part: &str| {
            vec![
                at(object("ConfigMap", Some("nginx"), &[("nginx.conf", main)]), "/etc/nginx", "main"),
                at(object("ConfigMap", Some("nginx"), &[("web.conf", part)]), "/etc/nginx/conf.d", "sites"),
            ]
        };
        assert_eq!(found(objects(part)), Vec::<String>::new());
        assert_eq!(found(objects(&part.replace("own", "other"))), ["web.conf:2:26: unknown-log-format"]);
    }

    #[test]
    fn no_word_of_a_secret_is_in_a_message() {
        let secret = object("Secret", Some("nginx"), &[("nginx.conf", "events {}\nhttp { hunter2secret 1; }\n")]);
        let report = check_objects(vec![secret], &Assignments::default());
        assert!(!report.checked.is_empty());
        assert!(!format!("{report:?}").contains("hunter2"), "{report:?}");
    }
}
