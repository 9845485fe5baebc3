//! The command `doctor`.

use std::path::Path;

use clap::{Arg, ArgMatches, Command};

use super::{print, refuse, say, user_input};
use crate::config::{self, SETTINGS, flag, given_flags};
use crate::doctor;
use crate::exit::Exit;
use crate::sys::bounded;

pub(super) fn command() -> Command {
    let format = Arg::new("format").long("format").value_name("FORMAT").value_parser(["human", "json"]);
    Command::new("doctor")
        .about("Try out the environment of a gate, and print what the pod lacks")
        // Every flag of `run` is accepted, so that a command line needs no change.
        .args(SETTINGS.iter().map(|setting| flag(setting).hide(!setting.in_doctor)))
        .arg(format.default_value("human").help("Format of the output"))
}

pub(super) fn doctor(matches: &ArgMatches) -> Exit {
    let read = |path: &Path| bounded::read_to_string(path);
    let config = match config::load(&user_input(given_flags(matches), &read)) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    match doctor::examine(&config) {
        Ok(diagnosis) => {
            let json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
            print(&if json { diagnosis.json() } else { diagnosis.text() });
            diagnosis.exit()
        }
        Err(error) => {
            say(&format!("error: cannot start: {error}"));
            Exit::Bug
        }
    }
}
