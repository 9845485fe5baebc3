//! The command line: arguments, and the functions that they start.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgMatches, ColorChoice, Command};
use clap_complete::Shell;

use crate::config::{ConfigError, Flags, UserInput};
use crate::exit::Exit;
use crate::sys::exec;
use crate::sys::kubernetes::ApiAccess;
use crate::sys::suggest::suggestion;

mod admit;
mod check;
mod doctor;
mod drop_in;
mod help;
mod hidden;
mod inject;
mod install;
mod manual;
mod preset_test;
mod reload;
mod rollout;
mod run;
mod status;
mod validators;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

/// Returns the command `reload-gate` with all of its subcommands.
#[must_use]
pub fn command() -> Command {
    let commands = [
        run::command(),
        reload::command(),
        check::command(),
        admit::command(),
        inject::command(),
        doctor::command(),
        status::command(),
        rollout::command(),
        validators::command(),
        install::command(),
        completions_command(),
        manual_command(),
    ];
    let program = Command::new("reload-gate")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Gate between a changing configuration and a running program")
        .styles(STYLES)
        .color(if is_color_forced() { ColorChoice::Always } else { ColorChoice::Auto })
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands.map(|command| help::with_texts(command, &STYLES)));
    help::with_texts(program, &STYLES)
}

fn completions_command() -> Command {
    let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(clap::value_parser!(Shell));
    Command::new("completions").about("Print a shell completion script").arg(shell.help("The shell"))
}

fn manual_command() -> Command {
    let command = Arg::new("command").value_name("COMMAND").help("The command; the manual of reload-gate without one");
    Command::new("man").about("Print a manual page").arg(command)
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> Exit {
    hidden::run();
    if let Some(exit) = drop_in::run() {
        return exit;
    }
    let matches = command().get_matches();
    // An input of `check` may be an inherited descriptor: `<(helm template …)`.
    if matches.subcommand_name() != Some("check") {
        exec::close_inherited();
    }
    match matches.subcommand() {
        Some(("run", matches)) => run::run(matches),
        Some(("reload", matches)) => reload::reload(matches),
        Some(("check", matches)) => check::check(matches),
        Some(("admit", matches)) => admit::admit(matches),
        Some(("inject", matches)) => inject::inject(matches),
        Some(("doctor", matches)) => doctor::doctor(matches),
        Some(("status", matches)) => status::status(matches),
        Some(("rollout", matches)) => rollout::rollout(matches),
        Some(("validators", matches)) => validators::validators(matches),
        Some(("install", matches)) => install::run(matches),
        Some(("completions", matches)) => completions(matches),
        Some(("man", matches)) => manual(matches.get_one::<String>("command").map(String::as_str)),
        _ => Exit::Usage,
    }
}

fn completions(matches: &ArgMatches) -> Exit {
    let shell = matches.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    print(&String::from_utf8_lossy(&manual::completions(command(), shell)))
}

fn manual(name: Option<&str>) -> Exit {
    if let Some(page) = manual::page(command(), name) {
        return print(&String::from_utf8_lossy(&page));
    }
    let name = name.unwrap_or_default();
    let command = command();
    let meant = suggestion(name, command.get_subcommands().map(Command::get_name));
    say(&format!("error: unknown command `{name}`{meant}\n  help: choose a command that `reload-gate --help` lists"));
    Exit::Usage
}

/// The flags, and the environment of this process.
fn user_input<'a>(flags: Flags, read: &'a dyn Fn(&Path) -> std::io::Result<String>) -> UserInput<'a> {
    UserInput {
        flags,
        variables: std::env::vars_os().collect(),
        read,
        is_directory: &Path::is_dir,
        directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
        terminal: std::io::stderr().is_terminal(),
    }
}

/// Prints errors of the settings.
fn refuse(errors: &[ConfigError]) -> Exit {
    for error in errors {
        say(&format!("error: {error}"));
    }
    Exit::Usage
}

/// Returns true if the environment asks for colors on any output, with `FORCE_COLOR` (<https://force-color.org>) or
/// `CLICOLOR_FORCE` (<https://bixense.com/clicolors/>), and does not forbid them with `NO_COLOR` (<https://no-color.org>).
fn is_color_forced() -> bool {
    let forces = |name: &str| variable(name).is_some_and(|value| value != "0");
    variable("NO_COLOR").is_none() && (forces("FORCE_COLOR") || forces("CLICOLOR_FORCE"))
}

/// Returns true if a report on standard output gets colors.
fn is_colored() -> bool {
    let able = std::io::stdout().is_terminal() && variable("TERM").is_none_or(|term| term != "dumb");
    is_color_forced() || (able && variable("NO_COLOR").is_none())
}

/// The value of a variable, unless it is empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Writes to standard output. A reader that has gone away has read enough.
fn print(text: &str) -> Exit {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Accepted
}

/// Returns the remedy, as a line, if neither a kubeconfig is named nor the process runs in a pod.
fn without_credentials(access: &ApiAccess) -> Option<String> {
    let is_missing = access.token_file().is_some_and(|token| !token.exists());
    is_missing.then(|| {
        "  help: outside of a pod name a kubeconfig with `--kubeconfig FILE` or the variable KUBECONFIG".to_owned()
    })
}

/// Writes a line to standard error.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_texts() {
        let command = command();
        let names: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        assert!(!names.is_empty());
        for name in names.into_iter().chain([command.get_name()]) {
            assert!(help::page(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_commands_of_a_sidecar_are_known() {
        let command = command();
        let names: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(names, crate::config::COMMANDS);
    }

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }
}
