//! The command line: the words that are understood, and what each sets going.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, ArgMatches, Command};
use clap_complete::Shell;

use crate::config::{self, Config, ConfigError, Flags, SETTINGS, UserInput, flag, given_flags};
use crate::exit::Exit;
use crate::flow::validate::{BUNDLED, Bundled};
use crate::report::client::{self, Question};
use crate::run::supervise;
use crate::sys::exec::{self, Confinement, FileSystemView, RunAs, ViewMount, confine, enter, view};
use crate::sys::proc::Identity;
use crate::sys::suggest::suggestion;

mod check;
mod doctor;
mod install;
mod manual;

/// What people may say to `reload-gate`.
#[must_use]
pub fn command() -> Command {
    let run = config::run_command()
        .about("Watch a configuration, and let only proven changes through to the program that reads it")
        .after_help(
            "Every flag `--some-thing` is also the variable RELOAD_GATE_SOME_THING (several values: one a line) and the \
             key `some-thing` of the configuration file. FILE, PROCESS and SIGNAL, as the well-known shell sidecar \
             takes them, work as --watch, --process and --signal.",
        );
    let validators = Command::new("validators")
        .about("List the presets and the built-in validators, or show one in full")
        .arg(Arg::new("name").value_name("NAME").help("The preset or validator to show"));
    let install = Command::new("install").about("Copy this binary into a directory, for use inside another image").arg(
        Arg::new("directory")
            .value_name("DIR")
            .required(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help("The directory, whose last part is created if it is missing; the copy is called `reload-gate`"),
    );
    let completions =
        Command::new("completions").about("Print what a shell is to be told to complete these commands").arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(clap::value_parser!(Shell))
                .help("The shell"),
        );
    let man = Command::new("man").about("Print a manual page: `reload-gate man | man -l -`").arg(
        Arg::new("command").value_name("COMMAND").help("Of which command; of reload-gate itself if none is named"),
    );
    Command::new("reload-gate")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Stands between a changing configuration and a running program")
        .styles(
            Styles::styled().header(AnsiColor::Green.on_default().bold()).usage(AnsiColor::Green.on_default().bold()),
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            run,
            check::command(),
            doctor::command(),
            status_command(),
            validators,
            install,
            completions,
            man,
        ])
}

/// What it understands besides, said by itself alone.
fn hidden_commands() -> [Command; 4] {
    let words =
        || Arg::new("command").required(true).num_args(1..).last(true).value_parser(clap::value_parser!(OsString));
    let paths = |name: &'static str| {
        Arg::new(name).long(name).action(ArgAction::Append).value_parser(clap::value_parser!(PathBuf))
    };
    let pass = || Arg::new("pass").long("pass").action(ArgAction::Append);
    let enter = Command::new(enter::SUBCOMMAND)
        .hide(true)
        .arg(Arg::new("pid").required(true).value_parser(clap::value_parser!(i32)))
        .arg(Arg::new("start").required(true).value_parser(clap::value_parser!(u64)))
        .arg(Arg::new("root").required(true).value_parser(["root", "same"]))
        .arg(Arg::new("unset").long("unset").action(ArgAction::Append))
        .arg(words());
    let confine = Command::new(confine::SUBCOMMAND)
        .hide(true)
        .arg(Arg::new("strict").long("strict").action(ArgAction::SetTrue))
        .args([paths("hide"), paths("fix"), pass(), words()]);
    let view = Command::new(view::SUBCOMMAND).hide(true).args([paths("mount").num_args(2), pass(), words()]);
    let init = Command::new(view::init::SUBCOMMAND).hide(true).args([pass(), words()]);
    [enter, view, init, confine]
}

fn status_command() -> Command {
    Command::new("status")
        .about("Ask a running gate how it is")
        .after_help(
            "Exit codes: 0 the newest configuration is live in every gate (with --ready: anything accepted is), 1 a rejection \
             stands, 3 it is not live for another reason, or there is no answer.",
        )
        .args(SETTINGS.iter().filter(|setting| setting.name == "listen").map(flag))
        .mut_arg("listen", |listen| listen.help("Where the gate listens [variable: RELOAD_GATE_LISTEN]").help_heading(None))
        .arg(Arg::new("ready").long("ready").action(ArgAction::SetTrue).help(
            "Be content if anything accepted is live, as /readyz is, though a newer configuration may have been refused",
        ))
        .arg(
            Arg::new("wait")
                .long("wait")
                .value_name("DURATION")
                .value_parser(humantime::parse_duration)
                .help("Ask again until it is so, for this long"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser([PossibleValue::new("human").alias("text"), PossibleValue::new("json")])
                .default_value("human")
                .help("What to print"),
        )
}

/// Does what the arguments say.
#[must_use]
pub fn main() -> Exit {
    let matches = command().subcommands(hidden_commands()).get_matches();
    // What is checked may be just that: `<(helm template …)`.
    if matches.subcommand_name() != Some("check") {
        exec::close_inherited();
    }
    match matches.subcommand() {
        Some(("run", matches)) => run(matches),
        Some(("check", matches)) => check::check(matches),
        Some(("doctor", matches)) => doctor::doctor(matches),
        Some(("status", matches)) => status(matches),
        Some(("validators", matches)) => validators(matches.get_one::<String>("name").map(String::as_str)),
        Some(("install", matches)) => install(matches),
        Some(("completions", matches)) => completions(matches),
        Some(("man", matches)) => man(matches.get_one::<String>("command").map(String::as_str)),
        Some((enter::SUBCOMMAND, matches)) => enter(matches),
        Some((view::SUBCOMMAND, matches)) => view(matches),
        Some((view::init::SUBCOMMAND, matches)) => {
            end(view::init::main(&all::<String>(matches, "pass"), &all(matches, "command")))
        }
        Some((confine::SUBCOMMAND, matches)) => confine(matches),
        _ => Exit::Usage,
    }
}

fn run(matches: &ArgMatches) -> Exit {
    let read = |path: &Path| std::fs::read_to_string(path);
    match config::load(&user_input(given_flags(matches), &read)) {
        Ok(config) => start(config),
        Err(errors) => refuse(&errors),
    }
}

/// The flags, and the environment of this process.
fn user_input<'a>(flags: Flags, read: &'a dyn Fn(&Path) -> std::io::Result<String>) -> UserInput<'a> {
    UserInput {
        flags,
        variables: std::env::vars_os().collect(),
        read,
        directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
        terminal: std::io::stderr().is_terminal(),
    }
}

fn start(config: Config) -> Exit {
    supervise::run(config).unwrap_or_else(|error| {
        say(&format!("error: cannot start: {error}"));
        Exit::Bug
    })
}

fn refuse(errors: &[ConfigError]) -> Exit {
    for error in errors {
        say(&format!("error: {error}"));
    }
    Exit::Usage
}

fn status(matches: &ArgMatches) -> Exit {
    let variables: Vec<_> = std::env::vars_os().collect();
    let address = match config::listen_address(&given_flags(matches), &variables) {
        Ok(address) => address,
        Err(errors) => return refuse(&errors),
    };
    let wait = matches.get_one::<Duration>("wait").copied().unwrap_or_default();
    let (answer, exit) = client::ask(&Question { address, ready: matches.get_flag("ready"), wait });
    match answer {
        Ok((_, body)) if matches.get_one::<String>("format").is_some_and(|format| format == "json") => print(&body),
        Ok((status, _)) => print(&status.text()),
        Err(error) => {
            say(&format!("error: no answer from a gate at `{address}`: {error}"));
            Exit::Accepted
        }
    };
    exit
}

fn validators(name: Option<&str>) -> Exit {
    let presets = config::presets();
    let preset = |preset: &config::Preset| (preset.name, preset.about.clone());
    let bundled = |bundled: &Bundled| (bundled.name, bundled.about.to_owned());
    let kinds = [
        ("Presets, for `--app NAME`", presets.iter().map(preset).collect::<Vec<_>>()),
        ("Built-in validators, for `--builtin NAME`", BUNDLED.iter().map(bundled).collect()),
    ];
    let names = || kinds.iter().flat_map(|(_, kind)| kind.iter().map(|(name, _)| *name));
    let Some(name) = name else {
        let width = names().map(str::len).max().unwrap_or_default();
        let line = |(name, about): &(&str, String)| format!("{name:width$}  {about}\n");
        let part =
            |(title, kind): &(&str, Vec<_>)| format!("{title}:\n\n{}", kind.iter().map(line).collect::<String>());
        return print(&kinds.each_ref().map(part).join("\n"));
    };
    let preset = presets.iter().find(|preset| preset.name == name).map(|preset| preset.text.to_owned());
    let bundled = BUNDLED.iter().find(|bundled| bundled.name == name);
    // In the notation of a preset's file, which may stand before it.
    let shown = |bundled: &Bundled| {
        let lines = bundled.text.lines().map(|line| format!("# {line}\n"));
        format!("# `--builtin {name}` judges {}.\n{}", bundled.about, lines.collect::<String>())
    };
    let texts: Vec<_> = preset.into_iter().chain(bundled.map(shown)).collect();
    if !texts.is_empty() {
        return print(&texts.join("\n"));
    }
    let meant = suggestion(name, names());
    say(&format!("error: unknown validator `{name}`{meant}\n  help: `reload-gate validators` lists them"));
    Exit::Usage
}

fn install(matches: &ArgMatches) -> Exit {
    let directory = matches.get_one::<PathBuf>("directory").map_or(Path::new("."), PathBuf::as_path);
    let installed = match install::install(directory) {
        Ok(installed) => installed,
        Err(error) => {
            say(&format!("error: {error}"));
            return Exit::Usage;
        }
    };
    let path = installed.path.display();
    if installed.not_executable {
        say(&format!(
            "warning: nothing can be executed in `{}`\n  help: mount that volume without `noexec`",
            directory.display()
        ));
    }
    print(&if installed.unchanged {
        format!("`{path}` is this binary already\n")
    } else {
        format!("installed `{path}`\n")
    })
}

fn completions(matches: &ArgMatches) -> Exit {
    let shell = matches.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    print(&String::from_utf8_lossy(&manual::completions(command(), shell)))
}

fn man(name: Option<&str>) -> Exit {
    if let Some(page) = manual::page(command(), name) {
        return print(&String::from_utf8_lossy(&page));
    }
    let name = name.unwrap_or_default();
    let command = command();
    let meant = suggestion(name, command.get_subcommands().map(Command::get_name));
    say(&format!("error: unknown command `{name}`{meant}\n  help: `reload-gate --help` lists them"));
    Exit::Usage
}

fn enter(matches: &ArgMatches) -> Exit {
    let number = |name: &str| matches.get_one::<i32>(name).copied().unwrap_or_default();
    let start = matches.get_one::<u64>("start").copied().unwrap_or_default();
    let root = matches.get_one::<String>("root").is_some_and(|root| root == "root");
    let like = RunAs { process: Identity { pid: number("pid"), start }, root };
    let unset: Vec<String> = all(matches, "unset");
    end(enter::main(like, &unset, &all(matches, "command")))
}

fn view(matches: &ArgMatches) -> Exit {
    let paths: Vec<PathBuf> = all(matches, "mount");
    let mount = |pair: &[PathBuf]| ViewMount { at: pair[0].clone(), from: pair[1].clone() };
    let view = FileSystemView { mounts: paths.chunks_exact(2).map(mount).collect() };
    end(view::main(&view, &all::<String>(matches, "pass"), &all(matches, "command")))
}

fn confine(matches: &ArgMatches) -> Exit {
    let (hidden, fixed) = (all(matches, "hide"), all(matches, "fix"));
    let confinement = Confinement { strict: matches.get_flag("strict"), hidden, fixed };
    end(confine::main(&confinement, &all::<String>(matches, "pass"), &all(matches, "command")))
}

/// All values of an argument.
fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many(name).into_iter().flatten().cloned().collect()
}

/// The end of a process that could not become the command.
fn end((message, code): (String, u8)) -> Exit {
    if !message.is_empty() {
        say(&message);
    }
    std::process::exit(code.into())
}

/// Writes to standard output. A reader that has gone away has read enough.
fn print(text: &str) -> Exit {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Accepted
}

/// Writes a line to standard error.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
