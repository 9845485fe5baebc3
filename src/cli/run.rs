//! The command `run`.

use std::path::Path;

use clap::{ArgMatches, Command};

use super::{refuse, say, user_input};
use crate::config::{self, Config, given_flags};
use crate::exit::Exit;
use crate::run::supervise;
use crate::sys::bounded;

pub(super) fn command() -> Command {
    config::run_command().about("Watch a configuration, and reload the application only with accepted changes")
}

pub(super) fn run(matches: &ArgMatches) -> Exit {
    let read = |path: &Path| bounded::read_to_string(path);
    match config::load(&user_input(given_flags(matches), &read)) {
        Ok(config) => start(config),
        Err(errors) => refuse(&errors),
    }
}

fn start(config: Config) -> Exit {
    supervise::run(config).unwrap_or_else(|error| {
        say(&format!("error: cannot start: {error}"));
        Exit::Bug
    })
}
