//! The command `status`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{print, refuse, say};
use crate::config::{self, SETTINGS, flag, given_flags};
use crate::exit::Exit;
use crate::report::client::{self, GateAddress, NoStatus, StatusQuery};

pub(super) fn command() -> Command {
    let ready = Arg::new("ready").long("ready").action(ArgAction::SetTrue);
    let wait = Arg::new("wait").long("wait").value_name("DURATION").value_parser(humantime::parse_duration);
    let format = Arg::new("format").long("format").value_name("FORMAT");
    let gate = Arg::new("gate").long("gate").value_name("NAME");
    Command::new("status")
        .about("Print the state of a running gate")
        .args(SETTINGS.iter().filter(|setting| setting.in_status).map(flag))
        .mut_arg("listen", |listen| {
            listen
                .help("Address of the gate, as in `run` [default: the status socket of the container or machine]")
                .help_heading(None)
        })
        .arg(gate.help("Name of the gate, or the id of its process, if there are several"))
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
    let gate = matches.get_one::<String>("gate").cloned();
    let (answer, exit) = client::ask(&StatusQuery { address, gate, ready: matches.get_flag("ready"), wait });
    match answer {
        Ok((_, body)) if matches.get_one::<String>("format").is_some_and(|format| format == "json") => print(&body),
        Ok((status, _)) => print(&status.text()),
        Err(error) => {
            report(error, listener);
            Exit::Accepted
        }
    };
    exit
}

/// Reports the reason why there is no status.
fn report(error: NoStatus, listener: Option<SocketAddr>) {
    let place = listener.map_or_else(|| "in this container or machine".to_owned(), |address| format!("at `{address}`"));
    let (message, help) = match error {
        NoStatus::NoAnswer(error) => {
            let help = "run it in the container of the gate, as its user, or give the gate's address: `--listen ADDR`";
            (format!("no answer from a gate {place}: {error}"), listener.is_none().then_some(help))
        }
        NoStatus::OtherGates(message) => (format!("{place}: {message}"), Some("name one of them: `--gate NAME`")),
        NoStatus::Several(gates) => {
            let help = "choose one by its name or by the id of its process: `--gate NAME`, `--gate PID`";
            (format!("several gates answer {place}: {gates}"), Some(help))
        }
    };
    say(&format!("error: {message}"));
    if let Some(help) = help {
        say(&format!("  help: {help}"));
    }
}
