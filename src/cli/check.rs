//! The command `check`.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reload_gate_contract::Verdict;

use super::{is_colored, refuse, user_input};
use crate::check::render::{self, CheckReport, ReportFormat, ReportStyle};
use crate::check::{
    self, Baseline, CheckOptions, CheckOutcome, CheckRequest, Corrected, ListArguments, Listing, Missing, RunScope,
    Warnings, write_output,
};
use crate::config::{self, SETTINGS, SettingSpec, flag, given_flags};
use crate::exit::Exit;
use crate::sys::exec;

/// Standard output in the place of a file.
const STDIO: &str = "-";

/// A shorter check needs no progress bar.
const BAR_DELAY: Duration = Duration::from_millis(400);

pub(super) fn command() -> Command {
    let paths = Arg::new("path").value_name("PATH").num_args(0..);
    Command::new("check")
        .about("Validate files, directories or rendered Kubernetes manifests, as in CI")
        .arg(paths.help("File, directory, or `-` for manifests on standard input [default: `.`]"))
        .args(validation_flags().into_iter().map(|arg| arg.help_heading("Validation")))
        .args(report_flags().into_iter().map(|arg| arg.help_heading("Report")))
}

/// A flag that takes one of a few words.
fn one_of(name: &'static str, value: &'static str, words: &'static [&'static str]) -> Arg {
    let parser = PossibleValuesParser::new(words);
    Arg::new(name).long(name).value_name(value).value_parser(parser).hide_possible_values(true)
}

fn validation_flags() -> Vec<Arg> {
    let mut flags: Vec<Arg> = SETTINGS.iter().filter(|setting| setting.in_check).map(check_flag).collect();
    let missing = one_of("missing", "ACTION", &["ignore", "warn", "reject"]).default_value("warn");
    flags.push(
        missing.help(
            "How to treat files, certificates and host names that are not among the inputs: ignore, warn or reject",
        ),
    );
    let fallback = one_of("fallback", "METHOD", &["builtin"]);
    flags.push(fallback.help("If a program is not installed, use the built-in validator (`builtin`) and report that"));
    let allow = Arg::new("allow-commands").long("allow-commands").action(ArgAction::SetTrue);
    flags.push(allow.help("Execute commands that the inputs name, such as `--validate` of a sidecar"));
    let exclude = Arg::new("exclude").long("exclude").value_name("GLOB").action(ArgAction::Append);
    flags.push(exclude.help("Paths that are not read, as in a `.gitignore`, which is respected as well; repeatable"));
    let warnings = one_of("warnings", "ACTION", &["reject", "show", "hide"]).default_value("show");
    flags.push(warnings.help("Treatment of warnings: reject, show or hide"));
    flags.extend(baseline_flags());
    flags.extend(fix_flags());
    flags
}

fn baseline_flags() -> [Arg; 2] {
    let file =
        |name: &'static str| Arg::new(name).long(name).value_name("FILE").value_parser(clap::value_parser!(PathBuf));
    [
        file("baseline").help("Reject only for findings that are not in this file"),
        file("write-baseline").help("Write all present findings to this file, and reject for none of them"),
    ]
}

fn fix_flags() -> [Arg; 2] {
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    [
        switch("fix").help("Correct in the files what is certain, and where the result has fewer errors"),
        switch("diff")
            .help("Print these corrections; without `--fix` change no file, and exit with 1 if there are any"),
    ]
}

/// The flag of a setting of `run`, with its meaning in `check`.
fn check_flag(setting: &'static SettingSpec) -> Arg {
    let flag = flag(setting);
    match setting.name {
        "root" => flag
            .value_parser(PossibleValuesParser::new(["auto", "local"]))
            .hide_possible_values(true)
            .help("`local`: run installed programs even where a built-in validator is available"),
        "config" => flag.help("Configuration file with `rules`, and with the gates of `run`"),
        _ => flag,
    }
}

fn report_flags() -> [Arg; 5] {
    let switch = |name: &'static str, short: char| Arg::new(name).long(name).short(short).action(ArgAction::SetTrue);
    let output = Arg::new("output").long("output").short('o').value_name("FILE");
    [
        one_of("format", "FORMAT", &["human", "json", "sarif", "junit", "github", "markdown"])
            .default_value("human")
            .help("Format of the report: human, json, sarif, junit, github or markdown"),
        output.value_parser(clap::value_parser!(PathBuf)).help("Write the report to this file; `-` is standard output"),
        one_of("color", "WHEN", &["auto", "always", "never"])
            .default_value("auto")
            .help("Colors in the report: auto, always or never"),
        switch("verbose", 'v').help("List the inputs without a validator as well"),
        switch("quiet", 'q').help("List only inputs that are not accepted"),
    ]
}

pub(super) fn check(matches: &ArgMatches) -> Exit {
    let assignments = match config::assignments(&user_input(given_flags(matches), &check::read_option)) {
        Ok(assignments) => assignments,
        Err(errors) => return refuse(&errors),
    };
    let paths: Vec<String> = matches.get_many("path").into_iter().flatten().cloned().collect();
    let paths = if paths.is_empty() { vec![".".to_owned()] } else { paths };
    if (matches.get_flag("fix") || matches.get_flag("diff")) && paths.iter().any(|path| path == STDIO) {
        say("error: `--fix` and `--diff` need files: standard input can be read only once");
        return Exit::Usage;
    }
    if is_mixed(matches) {
        say("error: with `--fix --diff` the corrections are on standard output, where this report cannot be as well");
        say("  help: write the report to a file: `--output FILE`");
        return Exit::Usage;
    }
    let options = options(matches);
    if !options.allow_commands {
        leave_programs_out(&paths);
    }
    let known = match baseline(matches) {
        Ok(known) => known,
        Err(message) => {
            say(&message);
            return Exit::Usage;
        }
    };
    let bar = Bar::new(matches.get_flag("quiet"));
    let progress = |done, total| bar.show(done, total);
    let given = matches.get_many::<String>("exclude").into_iter().flatten().cloned();
    let exclude: Vec<String> = given.chain(report_pattern(matches)).collect();
    let listing = match Listing::of(&paths, &exclude) {
        Ok(listing) => listing,
        Err((pattern, error)) => {
            say(&format!("error: `--exclude`: the pattern `{pattern}` is invalid: {error}"));
            return Exit::Usage;
        }
    };
    // The inputs are open now; some may be inherited descriptors, as of `<(helm template …)`.
    exec::close_inherited();
    let request = CheckRequest { listing: &listing, assignments: &assignments, options, progress: &progress };
    let (outcome, corrected) = if matches.get_flag("fix") || matches.get_flag("diff") {
        check::check_and_correct(&request, ListArguments { paths: &paths, exclude: &exclude })
    } else {
        (check::check(&request), Vec::new())
    };
    let CheckOutcome { report, missing, is_empty, interrupted } = outcome;
    bar.0.finish_and_clear();
    if let Some(signal) = interrupted {
        say(&format!("error: signal {signal} ended it; there is no report"));
        // As a shell reports it (POSIX, XCU 2.8.2).
        std::process::exit(128 + signal);
    }
    let Some(report) = counted(report, known, &listing, matches) else { return Exit::Usage };
    if matches.get_flag("diff") && !matches.get_flag("fix") && !corrected.is_empty() {
        let diff: String = corrected.iter().map(Corrected::diff).collect();
        return if write(&diff, matches.get_one::<PathBuf>("output")) { Exit::Rejected } else { Exit::Usage };
    }
    if !replaced(&corrected, matches.get_flag("diff")) {
        return Exit::Usage;
    }
    // The report takes as much memory again.
    drop(listing);
    let written =
        write(&render::render(&report, format(matches), &style(matches)), matches.get_one::<PathBuf>("output"));
    // The report names the paths that do not exist.
    if written && missing.is_empty() { exit(&report, is_empty) } else { Exit::Usage }
}

/// Leaves the directories of the search path out that lie among the inputs, whose author would choose the programs.
fn leave_programs_out(paths: &[String]) {
    let home = std::env::home_dir();
    let places = check::InputPlaces::of(paths, home.as_deref());
    for directory in exec::leave_out(|directory| places.hold(directory)) {
        if directory.is_dir() {
            say(&format!(
                "warning: `{}` of `PATH` is among the inputs or links to programs there, so its programs are not executed",
                directory.display()
            ));
            say("  help: set `--allow-commands` if you trust the inputs");
        }
    }
}

/// Returns the pattern of the file of the report, which is no input: it may be there from the last run.
fn report_pattern(matches: &ArgMatches) -> Option<String> {
    let output = matches.get_one::<PathBuf>("output")?.to_str()?;
    let path = check::relative(output, &std::env::current_dir().ok()?);
    let escaped = path
        .chars()
        .flat_map(|one| ['*', '?', '[', ']', '\\', ' '].contains(&one).then_some('\\').into_iter().chain([one]));
    (output != STDIO && !path.starts_with(['/', '.'])).then(|| format!("/{}", escaped.collect::<String>()))
}

/// Returns true if the corrections and a report for a program would both be on standard output.
fn is_mixed(matches: &ArgMatches) -> bool {
    let has_file = matches.get_one::<PathBuf>("output").is_some_and(|path| path != Path::new(STDIO));
    matches.get_flag("fix") && matches.get_flag("diff") && format(matches) != ReportFormat::Human && !has_file
}

/// Replaces the corrected files, prints the differences where these are `shown`, and returns false if one of that fails.
fn replaced(corrected: &[Corrected], shown: bool) -> bool {
    for file in corrected {
        if let Err(error) = file.write() {
            say(&format!("error: `--fix`: cannot replace `{}`: {error}", file.name));
            return false;
        }
        if shown && !write(&file.diff(), None) {
            return false;
        }
        say(&format!("corrected `{}`", file.name));
    }
    true
}

/// Prints a line to standard error. It may have the name of an input, which is no command of a CI system.
fn say(line: &str) {
    super::say(&render::harmless_text(line));
}

/// Reads the baseline.
fn baseline(matches: &ArgMatches) -> Result<Option<Baseline>, String> {
    let Some(path) = matches.get_one::<PathBuf>("baseline") else { return Ok(None) };
    let text = check::read_option(path).map_err(|error| {
        let help = "write it with `--write-baseline`";
        format!("error: `--baseline`: cannot read `{}`: {error}\n  help: {help}", path.display())
    })?;
    Baseline::parse(&text).map(Some).map_err(|error| {
        let help = "write it again: `--write-baseline FILE` without `--baseline`";
        format!("error: `--baseline`: `{}` is no baseline: {error}\n  help: {help}", path.display())
    })
}

/// Applies the baseline, which is written first if the user asks for it, and the treatment of warnings. `None` if writing failed.
fn counted(
    report: CheckReport,
    known: Option<Baseline>,
    listing: &Listing,
    matches: &ArgMatches,
) -> Option<CheckReport> {
    let report = with_baseline(report, known, listing, matches)?;
    let warnings = match word(matches, "warnings") {
        Some("reject") => Warnings::Reject,
        Some("hide") => Warnings::Hide,
        _ => Warnings::Show,
    };
    Some(check::listed(warnings.apply(report)))
}

/// Applies the baseline to a report, after it was written if that is wanted.
fn with_baseline(
    report: CheckReport,
    known: Option<Baseline>,
    listing: &Listing,
    matches: &ArgMatches,
) -> Option<CheckReport> {
    let path = matches.get_one::<PathBuf>("write-baseline");
    if known.is_none() && path.is_none() {
        return Some(report);
    }
    let base = std::env::current_dir().unwrap_or_default();
    let exists = |file: &str| file == STDIO || Path::new(file).exists();
    let scope = RunScope::of(&report, listing.files(&base), &base, &exists);
    let known = match path {
        None => known,
        Some(path) => {
            let read = |text: String| Baseline::of_conflict(&text).or_else(|| Baseline::parse(&text).ok());
            let former = check::read_option(path).ok().and_then(read);
            let former = former.unwrap_or_default();
            let present = Baseline::of(&report, &base).with_unread(former.clone(), &scope);
            if let Err(error) = write_output(path, &present.to_text()) {
                say(&format!("error: `--write-baseline`: cannot write `{}`: {error}", path.display()));
                return None;
            }
            let count = present.count();
            let plural = if count == 1 { "" } else { "s" };
            let (added, removed) = present.difference(&former);
            say(&format!("wrote {count} finding{plural} to `{}`: {added} added, {removed} removed", path.display()));
            Some(present)
        }
    };
    Some(match known {
        Some(known) => known.apply(report, &scope),
        None => report,
    })
}

/// The word of a flag that has one.
fn word<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
}

fn options(matches: &ArgMatches) -> CheckOptions {
    CheckOptions {
        local: word(matches, "root") == Some("local"),
        fallback: word(matches, "fallback").is_some(),
        missing: match word(matches, "missing") {
            Some("ignore") => Missing::Ignore,
            Some("reject") => Missing::Reject,
            _ => Missing::Warn,
        },
        allow_commands: matches.get_flag("allow-commands"),
        alone: false,
    }
}

fn format(matches: &ArgMatches) -> ReportFormat {
    match word(matches, "format") {
        Some("json") => ReportFormat::Json,
        Some("sarif") => ReportFormat::Sarif,
        Some("junit") => ReportFormat::Junit,
        Some("github") => ReportFormat::Github,
        Some("markdown") => ReportFormat::Markdown,
        _ => ReportFormat::Human,
    }
}

/// The exit code of a report that was written. `is_empty` means that there was no manifest and no file.
fn exit(report: &CheckReport, is_empty: bool) -> Exit {
    match report.verdict() {
        Some(Verdict::Rejected) => Exit::Rejected,
        Some(Verdict::Inconclusive) => Exit::Inconclusive,
        Some(Verdict::Accepted) => Exit::Accepted,
        None => {
            say("warning: no validator applies to any input");
            say("  help: name one: `--app NAME` for a program, `--builtin NAME` for a format, or `--validate CMD`");
            if is_empty { Exit::Nothing } else { Exit::Accepted }
        }
    }
}

/// Writes the report, and returns false if that failed.
fn write(report: &str, output: Option<&PathBuf>) -> bool {
    let Some(path) = output.filter(|path| *path != Path::new(STDIO)) else {
        let mut out = std::io::stdout();
        let written = out.write_all(report.as_bytes()).and_then(|()| out.flush());
        // A reader that has gone away has read enough; a full disk has not.
        let lost = written.err().filter(|error| error.kind() != ErrorKind::BrokenPipe);
        lost.iter().for_each(|error| say(&format!("error: cannot write the report: {error}")));
        return lost.is_none();
    };
    let written = write_output(path, report);
    if let Err(error) = &written {
        say(&format!("error: `--output`: cannot write `{}`: {error}", path.display()));
    }
    written.is_ok()
}

fn style(matches: &ArgMatches) -> ReportStyle {
    let color = match matches.get_one::<String>("color").map(String::as_str) {
        Some("always") => true,
        Some("never") => false,
        _ => is_colored() && matches.get_one::<PathBuf>("output").is_none(),
    };
    let width = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col.into());
    let (verbose, quiet) = (matches.get_flag("verbose"), matches.get_flag("quiet"));
    ReportStyle { color, verbose, quiet, width: if width == 0 { 100 } else { width } }
}

/// Progress bar on a terminal, after a delay.
struct Bar(ProgressBar, Instant);

impl Bar {
    fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("validated {pos} of {len} {wide_bar}") {
            bar.set_style(style);
        }
        Self(bar, Instant::now())
    }

    fn show(&self, done: usize, total: usize) {
        if self.1.elapsed() > BAR_DELAY {
            self.0.set_length(total as u64);
            self.0.set_position(done as u64);
        }
    }
}
