//! The command `reload`.

use std::path::Path;

use clap::{ArgMatches, Command};

use super::{print, refuse, say, user_input};
use crate::config::{self, SETTINGS, UserInput, flag, given_flags};
use crate::exit::Exit;
use crate::run::supervise;
use crate::sys::bounded;

/// Settings of `run` on which a single reload does not depend.
const IDLE: [&str; 9] =
    ["grace", "listen", "min-interval", "observe", "on-empty", "once", "poll", "reload-budget", "settle"];

pub(super) fn command() -> Command {
    Command::new("reload")
        .about("Validate a configuration, reload the application once, and prove that it took effect")
        // Every flag of `run` is accepted, so that a command line needs no change.
        .args(SETTINGS.iter().map(|setting| flag(setting).hide(IDLE.contains(&setting.name))))
}

pub(super) fn reload(matches: &ArgMatches) -> Exit {
    let read = |path: &Path| bounded::read_to_string(path);
    // People read it, also in the journal or in the report of a deployment.
    let input = UserInput { terminal: true, ..user_input(given_flags(matches), &read) };
    let config = match config::load_for_reload(&input) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    match supervise::reload(config) {
        Ok((outcomes, exit)) => {
            outcomes.iter().for_each(|outcome| {
                print(&format!("{outcome}\n"));
            });
            exit
        }
        Err(error) => {
            say(&format!("error: cannot start: {error}"));
            Exit::Bug
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_settings_exist() {
        for name in IDLE {
            assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name}");
        }
    }
}
