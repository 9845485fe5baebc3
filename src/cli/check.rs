//! `reload-gate check`: its words, and what they set going.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reload_gate_contract::Verdict;

use super::{refuse, say, user_input};
use crate::check::render::{self, Format, Style};
use crate::check::{self, Answer, Listing, Missing, Options, Question};
use crate::config::{self, SETTINGS, flag, given_flags};
use crate::exit::Exit;
use crate::sys::exec;

/// Standard output, where a file could be named.
const STDIO: &str = "-";

/// What is done in less is not worth a bar.
const BLINK: Duration = Duration::from_millis(400);

pub(super) fn command() -> Command {
    let judge = "Who judges it";
    let report = "The report";
    let one_of = |name: &'static str, values: &'static [&'static str]| {
        let arg = Arg::new(name).long(name).value_name("HOW").hide_possible_values(true);
        arg.value_parser(PossibleValuesParser::new(values))
    };
    Command::new("check")
        .about("Judge files, directories or rendered Kubernetes manifests as the sidecar would")
        .after_help(
            "Exit codes: 0 accepted, 1 rejected, 2 wrong usage, 3 it could not be judged, 4 there was nothing to judge, 70 a \
             bug; of several the worst, in the order 70, 2, 1, 3, 4, 0.",
        )
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .num_args(0..)
                .help("A file, a directory, or `-` for manifests on standard input [default: `.`]"),
        )
        .args(SETTINGS.iter().filter(|setting| setting.in_check).map(flag))
        .mut_args(|arg| if arg.get_id() == "path" { arg } else { arg.help_heading(judge) })
        .mut_arg("root", |root| {
            let root = root.value_parser(PossibleValuesParser::new(["auto", "local"])).hide_possible_values(true);
            root.help("`local` asks programs that are installed here, also where a bundled validator could judge")
        })
        .mut_arg("config", |config| config.help("A file that says who judges what: `rules`, and the gates of `run`"))
        .arg(
            one_of("missing", &["ignore", "warn", "reject"])
                .default_value("warn")
                .help("What a file, certificate or host name is worth that is not given: ignore, warn or reject")
                .help_heading(judge),
        )
        .arg(
            one_of("fallback", &["builtin"])
                .help("`builtin`: where a program is not installed, judge by the bundled validator and say so")
                .help_heading(judge),
        )
        .arg(
            one_of("format", &["human", "json", "sarif", "junit", "github"])
                .default_value("human")
                .help("human, json, sarif, junit or github")
                .help_heading(report),
        )
        .arg(
            Arg::new("output")
                .long("output")
                .short('o')
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Write it there; `-` is standard output")
                .help_heading(report),
        )
        .arg(
            one_of("color", &["auto", "always", "never"])
                .default_value("auto")
                .help("auto, always or never")
                .help_heading(report),
        )
        .arg(switch("verbose", "Also list what nobody judged").short('v').help_heading(report))
        .arg(switch("quiet", "Only what is wrong, or could not be judged").short('q').help_heading(report))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

pub(super) fn check(matches: &ArgMatches) -> Exit {
    let read = |path: &Path| std::fs::read_to_string(path);
    let assignments = match config::assignments(&user_input(given_flags(matches), &read)) {
        Ok(assignments) => assignments,
        Err(errors) => return refuse(&errors),
    };
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().map(String::as_str);
    let paths: Vec<String> = matches.get_many("path").into_iter().flatten().cloned().collect();
    let paths = if paths.is_empty() { vec![".".to_owned()] } else { paths };
    let options = Options {
        local: text("root") == Some("local"),
        fallback: text("fallback").is_some(),
        missing: match text("missing") {
            Some("ignore") => Missing::Ignore,
            Some("reject") => Missing::Reject,
            _ => Missing::Warn,
        },
    };
    let bar = Bar::new(matches.get_flag("quiet"));
    let progress = |done, total| bar.show(done, total);
    let listing = Listing::of(&paths);
    // The inputs are open now; some may be inherited descriptors, as of `<(helm template …)`.
    exec::close_inherited();
    let question = Question { listing: &listing, assignments: &assignments, options, progress: &progress };
    let Answer { report, missing } = check::check(&question);
    bar.0.finish_and_clear();
    let format = match text("format") {
        Some("json") => Format::Json,
        Some("sarif") => Format::Sarif,
        Some("junit") => Format::Junit,
        Some("github") => Format::Github,
        _ => Format::Human,
    };
    let written = write(&render::render(&report, format, &style(matches)), matches.get_one::<PathBuf>("output"));
    for path in &missing {
        say(&format!("error: `{path}` does not exist"));
    }
    match report.verdict() {
        _ if !written || !missing.is_empty() => Exit::Usage,
        Some(Verdict::Rejected) => Exit::Rejected,
        Some(Verdict::Inconclusive) => Exit::Inconclusive,
        Some(Verdict::Accepted) => Exit::Accepted,
        None => Exit::Nothing,
    }
}

/// Writes the report, and says whether it could.
fn write(report: &str, output: Option<&PathBuf>) -> bool {
    let Some(path) = output.filter(|path| *path != Path::new(STDIO)) else {
        let mut out = std::io::stdout();
        let written = out.write_all(report.as_bytes()).and_then(|()| out.flush());
        // A reader that has gone away has read enough; a full disk has not.
        let lost = written.err().filter(|error| error.kind() != ErrorKind::BrokenPipe);
        lost.iter().for_each(|error| say(&format!("error: cannot write the report: {error}")));
        return lost.is_none();
    };
    let written = std::fs::write(path, report);
    if let Err(error) = &written {
        say(&format!("error: `--output`: cannot write `{}`: {error}", path.display()));
    }
    written.is_ok()
}

fn style(matches: &ArgMatches) -> Style {
    let color = match matches.get_one::<String>("color").map(String::as_str) {
        Some("always") => true,
        Some("never") => false,
        // <https://no-color.org>
        _ => {
            let wanted = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
            let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
            wanted && able && std::io::stdout().is_terminal() && matches.get_one::<PathBuf>("output").is_none()
        }
    };
    let width = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col.into());
    let (verbose, quiet) = (matches.get_flag("verbose"), matches.get_flag("quiet"));
    Style { color, verbose, quiet, width: if width == 0 { 100 } else { width } }
}

/// A bar on a terminal, once it takes longer than a blink.
struct Bar(ProgressBar, Instant);

impl Bar {
    fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("judged {pos} of {len} {wide_bar}") {
            bar.set_style(style);
        }
        Self(bar, Instant::now())
    }

    fn show(&self, done: usize, total: usize) {
        if self.1.elapsed() > BLINK {
            self.0.set_length(total as u64);
            self.0.set_position(done as u64);
        }
    }
}
