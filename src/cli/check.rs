//! `reload-gate check`: its arguments, its report and its exit code.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reload_gate_contract::Verdict;

use super::{flag, flags, outside, refuse, say};
use crate::check::render::{self, ReportFormat, ReportStyle};
use crate::check::{self, CheckOptions, CheckOutcome, CheckRequest, Missing};
use crate::config::{self, ConfigError, Flags, SETTINGS};
use crate::exit::Exit;
use crate::sys::exec;

/// Settings of `run` that `check` takes as well.
const SHARED: [&str; 14] = [
    "app",
    "builtin",
    "validate",
    "main",
    "require",
    "nginx-version",
    "schema",
    "tls-name",
    "tls-warn",
    "root",
    "timeout",
    "sandbox",
    "pass-env",
    "config",
];

/// Name of standard output.
const STDIO: &str = "-";

/// Shortest run with a progress bar.
const BLINK: Duration = Duration::from_millis(400);

pub(super) fn command() -> Command {
    let validation = "Validation";
    let report = "CheckReport";
    let one_of = |name: &'static str, values: &'static [&'static str]| {
        let arg = Arg::new(name).long(name).value_name("HOW").hide_possible_values(true);
        arg.value_parser(PossibleValuesParser::new(values))
    };
    Command::new("check")
        .about("Validate files, directories or rendered Kubernetes manifests as the sidecar would")
        .after_help(
            "Exit codes: 0 accepted, 1 rejected, 2 wrong usage, 3 it could not be validated, 4 there was no manifest and no known file, 70 a \
             bug; of several the worst, in the order 70, 2, 1, 3, 4, 0.",
        )
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .num_args(0..)
                .help("A file, a directory, or `-` for manifests on standard input [default: `.`]"),
        )
        .args(SETTINGS.iter().filter(|setting| SHARED.contains(&setting.name)).map(flag))
        .mut_args(|arg| if arg.get_id() == "path" { arg } else { arg.help_heading(validation) })
        .mut_arg("root", |root| {
            let root = root.value_parser(PossibleValuesParser::new(["auto", "local"])).hide_possible_values(true);
            root.help("`local` runs programs that are installed here, also where a bundled validator could replace them")
        })
        .mut_arg("config", |config| config.help("A file with `rules` that choose validators, and with the gates of `run`"))
        .arg(
            one_of("missing", &["ignore", "warn", "reject"])
                .default_value("warn")
                .help("How to treat files, certificates and host names that are not among the inputs: ignore, warn or reject")
                .help_heading(validation),
        )
        .arg(
            one_of("fallback", &["builtin"])
                .help("`builtin`: use the bundled validator where a program is not installed, and report it")
                .help_heading(validation),
        )
        .arg(
            switch("allow-commands", "Execute commands that the inputs name, such as `--validate` of a sidecar")
                .help_heading(validation),
        )
        .arg(
            Arg::new("exclude")
                .long("exclude")
                .value_name("GLOB")
                .action(ArgAction::Append)
                .help("Paths that are not read, as in `.gitignore`, which is respected as well; repeatable")
                .help_heading(validation),
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
        .arg(switch("verbose", "Also list what was not checked").short('v').help_heading(report))
        .arg(switch("quiet", "Only what is rejected or inconclusive").short('q').help_heading(report))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

pub(super) fn check(matches: &ArgMatches) -> Exit {
    let read = |path: &Path| std::fs::read_to_string(path);
    let given = flags(matches);
    let assignments = match config::assignments(&outside(given, &read)) {
        Ok(assignments) => assignments,
        Err(errors) => return refuse(&errors),
    };
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().map(String::as_str);
    let paths: Vec<String> = matches.get_many("path").into_iter().flatten().cloned().collect();
    let paths = if paths.is_empty() { vec![".".to_owned()] } else { paths };
    let options = CheckOptions {
        local: text("root") == Some("local"),
        fallback: text("fallback").is_some(),
        missing: match text("missing") {
            Some("ignore") => Missing::Ignore,
            Some("reject") => Missing::Reject,
            _ => Missing::Warn,
        },
        allow_commands: matches.get_flag("allow-commands"),
    };
    let bar = Bar::new(matches.get_flag("quiet"));
    let progress = |done, total| bar.show(done, total);
    let exclude: Vec<String> = matches.get_many("exclude").into_iter().flatten().cloned().collect();
    let request = CheckRequest {
        paths: &paths,
        exclude: &exclude,
        assignments: &assignments,
        options,
        words: run_words,
        opened: exec::close_inherited,
        progress: &progress,
    };
    let outcome = check::check(&request);
    bar.0.finish_and_clear();
    let CheckOutcome { report, missing, is_empty, interrupted } = match outcome {
        Ok(outcome) => outcome,
        Err((pattern, error)) => {
            say(&format!("error: `--exclude`: the pattern `{pattern}` is invalid: {error}"));
            return Exit::Usage;
        }
    };
    if let Some(signal) = interrupted {
        // As a shell reports it (POSIX, XCU 2.8.2).
        std::process::exit(128 + signal);
    }
    let format = match text("format") {
        Some("json") => ReportFormat::Json,
        Some("sarif") => ReportFormat::Sarif,
        Some("junit") => ReportFormat::Junit,
        Some("github") => ReportFormat::Github,
        _ => ReportFormat::Human,
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
        None if is_empty => Exit::Nothing,
        None => Exit::Accepted,
    }
}

/// Writes the report, and returns true if that succeeded.
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

fn style(matches: &ArgMatches) -> ReportStyle {
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
    ReportStyle { color, verbose, quiet, width: if width == 0 { 100 } else { width } }
}

/// Progress bar on a terminal, for long runs.
struct Bar(ProgressBar, Instant);

impl Bar {
    fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("checked {pos} of {len} {wide_bar}") {
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

/// Reads the arguments of a reload-gate in a pod as flags of `run`; `None` for another command.
pub(super) fn run_words(words: &[String]) -> Result<Option<Flags>, Vec<ConfigError>> {
    let words = std::iter::once("reload-gate").chain(words.iter().map(String::as_str));
    match super::command().try_get_matches_from(words) {
        Ok(matches) => Ok(matches.subcommand_matches("run").map(flags)),
        Err(error) => {
            let said = error.render().to_string();
            let first = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(vec![ConfigError::said_by_command_line(first)])
        }
    }
}
