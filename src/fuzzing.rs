//! Entry points of the fuzz targets (`fuzz/`), which the tests give their seeds. The program does not contain them.

use std::io;
use std::path::Component;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::check::render::{ReportFormat, ReportStyle, render};
use crate::cluster::rollout::GroupState;
use crate::cluster::{known_good, lease};
use crate::config::{self, SETTINGS, UserInput, presets};
use crate::flow::validate::{FindingPatterns, Validator};
use crate::flow::verify::Scrape;
use crate::redact::Redactor;
use crate::report::excerpt::Excerpt;
use crate::report::metrics::Metrics;
use crate::report::serve::{Served, converse};

/// Byte between the parts of an input. No text has it.
const SEPARATOR: u8 = 0xff;

const FORMATS: [ReportFormat; 6] = [
    ReportFormat::Human,
    ReportFormat::Json,
    ReportFormat::Sarif,
    ReportFormat::Junit,
    ReportFormat::Github,
    ReportFormat::Markdown,
];

const STYLE: ReportStyle = ReportStyle { color: true, verbose: true, quiet: false, width: 80 };

/// Returns the parts of an input as text. The last part has all separators that are left.
fn parts<const N: usize>(data: &[u8]) -> [String; N] {
    let mut parts = data.splitn(N, |byte| *byte == SEPARATOR);
    std::array::from_fn(|_| String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned())
}

/// Validates a stream of manifests by the bundled validators: each finding is at a place that exists, and each format has a report.
///
/// # Panics
/// When a property does not hold.
pub fn check(data: &[u8]) {
    let report = crate::check::check_text("any.yaml", data.to_vec());
    let lines = data.split(|byte| *byte == b'\n').count();
    let found = report.checked.iter().flat_map(|checked| &checked.findings);
    for place in found.filter_map(|located| located.finding.place.as_ref()) {
        let line = place.line.map_or(1, |line| line as usize);
        assert!(line <= lines, "{place} of {lines} lines");
    }
    for format in FORMATS {
        assert!(!render(&report, format, &STYLE).is_empty(), "{format:?}");
    }
}

/// Injects gates into a text of manifests: a second injection changes nothing more.
///
/// # Panics
/// When a property does not hold.
pub fn inject(data: &[u8]) {
    let (text, options) = (String::from_utf8_lossy(data), crate::inject::InjectOptions::default());
    let Ok(injected) = crate::inject::inject_text(&text, &options) else { return };
    if injected.added == 0 {
        assert_eq!(injected.text, text);
        return;
    }
    let again = crate::inject::inject_text(&injected.text, &options).expect("what was written can be read");
    assert_eq!((again.added, again.text), (0, injected.text));
}

/// The patterns of all presets with a command.
static PATTERNS: LazyLock<Vec<FindingPatterns>> = LazyLock::new(|| {
    let setting = |name| SETTINGS.iter().find(|setting| setting.name == name).expect("it is a setting");
    let patterns = |app: &str| {
        let flags = [("app", app), ("watch", "/config"), ("observe", "true")];
        let input = UserInput {
            flags: flags.map(|(name, value)| (setting(name), value.to_owned())).into(),
            variables: Vec::new(),
            read: &|_| Err(io::ErrorKind::NotFound.into()),
            directory: "/".into(),
            is_directory: &|_| false,
            terminal: false,
        };
        let validators = config::load(&input).expect("it is valid").gates.remove(0).plan.validators;
        validators.into_iter().filter_map(|validator| match validator {
            Validator::Command(command) => Some(command.patterns),
            Validator::Builtin(_) => None,
        })
    };
    presets().iter().flat_map(|preset| patterns(preset.name)).collect()
});

/// Reads the output of a checker and removes the quotations of a Secret from its findings. The first byte chooses the program.
///
/// # Panics
/// When a property does not hold.
pub fn output(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let [output, secret] = parts(rest);
    let findings = PATTERNS[usize::from(*choice) % PATTERNS.len()].all_in(&output, "checker");
    let (count, redactor) = (findings.len(), Redactor::new([secret.as_bytes()]));
    let redacted = redactor.redact_all(findings);
    assert_eq!(redacted.len(), count);
    for place in redacted.iter().filter_map(|finding| finding.place.as_ref()) {
        let excerpt = Excerpt::of(place, secret.as_bytes());
        assert!(excerpt.is_none_or(|excerpt| excerpt.lines.len() <= 5), "{place}");
    }
}

/// Reads a text of /proc or of a program as each of those that the gate reads.
///
/// # Panics
/// When a property does not hold.
pub fn process(data: &[u8]) {
    crate::sys::proc::read_texts(data);
    crate::flow::validate::read_process(data);
}

/// Reads the answer of an application or of the API server as each of those that the gate asks for.
///
/// # Panics
/// When a property does not hold.
pub fn answer(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let wanted = ["count", "prometheus_config_last_reload_successful"].map(str::to_owned);
    let _ = Scrape::parse(&text, &wanted);
    let write = |state: &GroupState| lease::write("a", state, None, Duration::from_secs(20), SystemTime::UNIX_EPOCH);
    let mut damaged = write(&GroupState::default());
    damaged.metadata.annotations = Some([("reload-gate.dev/rollout".to_owned(), text.into_owned())].into());
    let state = lease::read(&damaged).state;
    assert_eq!(lease::read(&write(&state)).state, state);
    let Ok(tree) = known_good::parse(data, 10_000) else { return };
    assert!(tree.keys().all(|name| name.components().all(|part| part != Component::ParentDir)), "{tree:?}");
}

/// Gives bytes to the listener as a connection: it closes it, and each answer is one of HTTP.
///
/// # Panics
/// When a property does not hold.
pub fn request(data: &[u8]) {
    let served = Served { metrics: Rc::new(Metrics::new()), boards: Vec::new() };
    let mut answer = Vec::new();
    let connection = ScriptedConnection { request: data, answer: &mut answer };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("it starts");
    runtime.block_on(converse(connection, Rc::new(served)));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&answer));
}

/// A connection whose client has sent everything and waits for the answer.
struct ScriptedConnection<'a> {
    request: &'a [u8],
    answer: &'a mut Vec<u8>,
}

impl AsyncRead for ScriptedConnection<'_> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().request).poll_read(context, to)
    }
}

impl AsyncWrite for ScriptedConnection<'_> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().answer).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    type Target = fn(&[u8]);

    #[test]
    fn the_seeds_of_the_fuzz_targets_hold() {
        let targets: [(&str, Target); 6] = [
            ("check", super::check),
            ("inject", super::inject),
            ("output", super::output),
            ("process", super::process),
            ("answer", super::answer),
            ("request", super::request),
        ];
        for (name, target) in targets {
            let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
            let mut count = 0;
            for seed in std::fs::read_dir(&seeds).unwrap_or_else(|error| panic!("{}: {error}", seeds.display())) {
                target(&std::fs::read(seed.expect("it is readable").path()).expect("it is readable"));
                count += 1;
            }
            assert!(count > 0, "{name} has seeds");
        }
    }
}
