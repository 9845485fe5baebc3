//! The command `validators test`: a preset of one's own, tried on good and bad configurations.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use reload_gate_contract::{Finding, Severity, Verdict};

use super::{print, refuse, say, user_input};
use crate::config::{self, Flags, SETTINGS};
use crate::exit::Exit;
use crate::report::headline;
use crate::run::supervise::{self, Judged};

pub(super) fn command() -> Command {
    let paths = |name: &'static str| {
        Arg::new(name).long(name).value_name("PATH").action(ArgAction::Append).value_parser(value_parser!(PathBuf))
    };
    let file = Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf));
    Command::new("test")
        .about("Try a preset of one's own on good and bad configurations")
        .arg(file.help("The preset"))
        .arg(paths("good").help("Configuration that must be accepted [default: each in `good` beside the file]"))
        .arg(paths("bad").help("Configuration that must be rejected [default: each in `bad` beside the file]"))
}

/// A configuration, and the verdict that it should get.
struct Case {
    path: PathBuf,
    expected: Verdict,
}

pub(super) fn test(matches: &ArgMatches) -> Exit {
    let Some(file) = matches.get_one::<PathBuf>("file") else { return Exit::Usage };
    let named = |name: &str, expected: Verdict| {
        let given: Vec<_> = matches.get_many::<PathBuf>(name).into_iter().flatten().cloned().collect();
        let paths = if given.is_empty() { beside(file, name) } else { given };
        paths.into_iter().map(move |path| Case { path, expected })
    };
    let cases: Vec<_> = named("good", Verdict::Accepted).chain(named("bad", Verdict::Rejected)).collect();
    if cases.is_empty() {
        say("error: there is no configuration to try the preset on");
        say(
            "  help: put some into the directories `good` and `bad` beside the file, or name them by `--good` and `--bad`",
        );
        return Exit::Usage;
    }
    let mut exit = Exit::Accepted;
    for case in &cases {
        match try_out(file, case) {
            Ok(Ok(line)) => {
                print(&format!("ok    {}: {line}\n", case.path.display()));
            }
            Ok(Err(line)) => {
                print(&format!("FAIL  {}: {line}\n", case.path.display()));
                exit = Exit::Rejected;
            }
            Err(error) => return error,
        }
    }
    exit
}

/// The entries of a directory beside the preset, sorted.
fn beside(file: &Path, name: &str) -> Vec<PathBuf> {
    let directory = file.parent().unwrap_or_else(|| Path::new("")).join(name);
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Validates one configuration; the outcome in words is an error if another was expected.
fn try_out(preset: &Path, case: &Case) -> Result<Result<String, String>, Exit> {
    let path = std::path::absolute(&case.path).unwrap_or_else(|_| case.path.clone());
    let given = [
        ("preset", preset.to_string_lossy().into_owned()),
        ("watch", path.to_string_lossy().into_owned()),
        ("root", "local".to_owned()),
        ("once", "true".to_owned()),
        ("log-format", "text".to_owned()),
    ];
    let flags: Flags = SETTINGS
        .iter()
        .filter_map(|setting| Some((setting, given.iter().find(|(name, _)| *name == setting.name)?.1.clone())))
        .collect();
    let read = |path: &Path| std::fs::read_to_string(path);
    let input = config::UserInput { variables: Vec::new(), ..user_input(flags, &read) };
    let config = config::load(&input).map_err(|errors| refuse(&errors))?;
    let judged = supervise::judge(config).map_err(|error| {
        say(&format!("error: cannot start: {error}"));
        Exit::Bug
    })?;
    Ok(compared(case.expected, &judged))
}

fn compared(expected: Verdict, judged: &Judged) -> Result<String, String> {
    let words = headline(&judged.findings).unwrap_or_default();
    match (judged.verdict, expected) {
        (Some(Verdict::Accepted), Verdict::Accepted) => Ok("accepted".to_owned()),
        (Some(Verdict::Rejected), Verdict::Rejected) if has_line(&judged.findings) => Ok(format!("rejected: {words}")),
        (Some(Verdict::Rejected), Verdict::Rejected) => {
            Err(format!("rejected without a line, so a pattern in `findings` is missing: {words}"))
        }
        (Some(Verdict::Accepted), _) => Err("accepted, and should be rejected".to_owned()),
        (Some(Verdict::Rejected), _) => Err(format!("rejected, and should be accepted: {words}")),
        (Some(Verdict::Inconclusive), _) => {
            Err(format!("inconclusive: {words}; a pattern in `transient` matches, or the program did not run"))
        }
        (None, _) => Err(format!("nothing was validated: {words}")),
    }
}

fn has_line(findings: &[Finding]) -> bool {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.filter_map(|finding| finding.place.as_ref()).any(|place| place.line.is_some())
}
