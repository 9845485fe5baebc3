//! The command `status`.

use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{print, refuse, say};
use crate::config::{self, SETTINGS, flag, given_flags};
use crate::exit::Exit;
use crate::report::client::{self, StatusQuery};

pub(super) fn command() -> Command {
    let ready = Arg::new("ready").long("ready").action(ArgAction::SetTrue);
    let wait = Arg::new("wait").long("wait").value_name("DURATION").value_parser(humantime::parse_duration);
    let format = Arg::new("format").long("format").value_name("FORMAT");
    Command::new("status")
        .about("Print the state of a running gate")
        .args(SETTINGS.iter().filter(|setting| setting.in_status).map(flag))
        .mut_arg("listen", |listen| listen.help("Address of the gate, as in `run`").help_heading(None))
        .arg(ready.help("Accept any live configuration, as /readyz does, even if a newer one is rejected"))
        .arg(wait.help("Repeat the request until the configuration is live, for this long"))
        .arg(
            format
                .value_parser([PossibleValue::new("human").alias("text"), PossibleValue::new("json")])
                .default_value("human")
                .help("Format of the output"),
        )
}

pub(super) fn status(matches: &ArgMatches) -> Exit {
    let variables: Vec<_> = std::env::vars_os().collect();
    let address = match config::listen_address(&given_flags(matches), &variables) {
        Ok(address) => address,
        Err(errors) => return refuse(&errors),
    };
    let wait = matches.get_one::<Duration>("wait").copied().unwrap_or_default();
    let (answer, exit) = client::ask(&StatusQuery { address, ready: matches.get_flag("ready"), wait });
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
