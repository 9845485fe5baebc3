//! Commands that reload-gate starts itself with, to run a command in another place. They are not listed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::say;
use crate::exit::Exit;
use crate::sys::exec::{self, Confinement, FileSystemView, RunAs, ViewMount, confine, enter, keep, view};
use crate::sys::proc::Identity;

pub(super) fn commands() -> [Command; 5] {
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
    let view =
        Command::new(view::SUBCOMMAND).hide(true).args([paths("home"), paths("mount").num_args(2), pass(), words()]);
    let init = Command::new(view::init::SUBCOMMAND).hide(true).args([pass(), words()]);
    let keep = Command::new(keep::SUBCOMMAND)
        .hide(true)
        .arg(Arg::new("reports").long("reports").action(ArgAction::SetTrue))
        .arg(words());
    [enter, view, init, confine, keep]
}

/// Runs the command that the first argument names, if it is one of these. No other command is made for it: it
/// starts before each checker.
pub(super) fn run() -> Option<Exit> {
    let word = std::env::args_os().nth(1)?;
    let commands = commands().into_iter().filter(|command| *command.get_name() == *word).collect::<Vec<_>>();
    if commands.is_empty() {
        return None;
    }
    let matches = Command::new("reload-gate").subcommands(commands).get_matches();
    exec::close_inherited();
    Some(match matches.subcommand()? {
        (enter::SUBCOMMAND, matches) => enter(matches),
        (view::SUBCOMMAND, matches) => view(matches),
        (view::init::SUBCOMMAND, matches) => view_init(matches),
        (confine::SUBCOMMAND, matches) => confine(matches),
        (_, matches) => keep(matches),
    })
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
    let view = FileSystemView { mounts: paths.chunks_exact(2).map(mount).collect(), homes: all(matches, "home") };
    end(view::main(&view, &all::<String>(matches, "pass"), &all(matches, "command")))
}

fn view_init(matches: &ArgMatches) -> Exit {
    end(view::init::main(&all::<String>(matches, "pass"), &all(matches, "command")))
}

fn confine(matches: &ArgMatches) -> Exit {
    let (hidden, fixed) = (all(matches, "hide"), all(matches, "fix"));
    let confinement = Confinement { strict: matches.get_flag("strict"), hidden, fixed };
    end(confine::main(&confinement, &all::<String>(matches, "pass"), &all(matches, "command")))
}

fn keep(matches: &ArgMatches) -> Exit {
    end(keep::main(matches.get_flag("reports"), &all(matches, "command")))
}

/// All values of an argument.
fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many(name).into_iter().flatten().cloned().collect()
}

/// Ends a process that could not become the command.
fn end((message, code): (String, u8)) -> Exit {
    if !message.is_empty() {
        say(&message);
    }
    std::process::exit(code.into())
}
