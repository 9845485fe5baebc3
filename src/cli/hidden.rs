//! Commands that reload-gate starts itself with, to run a command in another place. They are not listed.

use super::say;
use crate::sys::exec::{door, keep};

/// Runs the command that the first argument names, if it is one of these, and ends the process. Nothing else is made ready for it: a
/// checker waits.
pub(super) fn run() {
    let line = || std::env::args_os().skip(1);
    if let Some((message, code)) = keep::run(line()).or_else(|| door::run(line())) {
        if !message.is_empty() {
            say(&message);
        }
        std::process::exit(code.into())
    }
}
