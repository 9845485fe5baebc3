//! `reload-gate doctor`: its words, and what they set going.

use clap::{Arg, ArgMatches, Command};

use super::{print, refuse, say, user_input};
use crate::config::{self, SETTINGS, flag, given_flags};
use crate::doctor;
use crate::exit::Exit;

pub(super) fn command() -> Command {
    Command::new("doctor")
        .about("Try out what this place allows: reading, finding, signalling, judging; and say what to add to the pod")
        .after_help(
            "It takes the flags, variables and file of `run`, signals nobody and publishes nothing.\n\nExit codes: 0 what is \
             configured will work, 1 something that is configured will not.",
        )
        .args(SETTINGS.iter().map(flag))
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["human", "json"])
                .default_value("human")
                .help("What to print"),
        )
}

pub(super) fn doctor(matches: &ArgMatches) -> Exit {
    let read = |path: &std::path::Path| std::fs::read_to_string(path);
    let config = match config::load(&user_input(given_flags(matches), &read)) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    match doctor::examine(&config) {
        Ok(report) => {
            let json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
            print(&if json { report.json() } else { report.text() });
            report.exit()
        }
        Err(error) => {
            say(&format!("error: cannot start: {error}"));
            Exit::Bug
        }
    }
}
