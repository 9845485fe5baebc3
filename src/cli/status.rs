//! The command `status`.

use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{print, refuse, say};
use crate::config::{self, SETTINGS, flag, given_flags};
use crate::exit::Exit;
use crate::report::client::{self, GateAddress, StatusQuery};

pub(super) fn command() -> Command {
    let ready = Arg::new("ready").long("ready").action(ArgAction::SetTrue);
    let wait = Arg::new("wait").long("wait").value_name("DURATION").value_parser(humantime::parse_duration);
    let format = Arg::new("format").long("format").value_name("FORMAT");
    Command::new("status")
        .about("Print the state of a running gate")
        .args(SETTINGS.iter().filter(|setting| setting.in_status).map(flag))
        .mut_arg("listen", |listen| {
            listen
                .help("Address of the gate, as in `run` [default: the status socket of the container]")
                .help_heading(None)
        })
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
    let listener = match config::listen_address(&given_flags(matches), &variables) {
        Ok(listener) => listener,
        Err(errors) => return refuse(&errors),
    };
    let address = listener.map_or(GateAddress::Container, GateAddress::Listener);
    let wait = matches.get_one::<Duration>("wait").copied().unwrap_or_default();
    let (answer, exit) = client::ask(&StatusQuery { address, ready: matches.get_flag("ready"), wait });
    match answer {
        Ok((_, body)) if matches.get_one::<String>("format").is_some_and(|format| format == "json") => print(&body),
        Ok((status, _)) => print(&status.text()),
        Err(error) => {
            let place = listener.map_or_else(|| "in this container".to_owned(), |address| format!("at `{address}`"));
            say(&format!("error: no answer from a gate {place}: {error}"));
            if listener.is_none() {
                say(
                    "  help: run it in the container of the gate, as its user, or give the gate's address: `--listen ADDR`",
                );
            }
            Exit::Accepted
        }
    };
    exit
}
