//! Command lines of other reloaders: the image takes the place of theirs, and nothing else in the pod changes.

use std::path::Path;

use super::{print, refuse, say, user_input};
use crate::config::{self, Config, DROP_IN_FILE, DropIn, UserInput};
use crate::exit::Exit;
use crate::run::supervise;
use crate::sys::{bounded, exec};

/// Runs the gates that the command line of another reloader asks for; `None` if it is none.
pub(super) fn run() -> Option<Exit> {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words.next()?;
    let arguments: Vec<String> = words.collect();
    let variable = |name: &str| std::env::var(name).ok();
    let read = |path: &Path| bounded::read_to_string(path);
    match config::translate(&program, &arguments, &variable, &read)? {
        Ok(_) if arguments.iter().any(|word| word.trim_start_matches('-') == "version") => {
            Some(print(&format!("reload-gate {}\n", env!("CARGO_PKG_VERSION"))))
        }
        Ok(drop_in) => Some(start(drop_in)),
        Err(error) => Some(refuse(&[error])),
    }
}

fn start(drop_in: DropIn) -> Exit {
    exec::close_inherited();
    let DropIn { file, flags, variables, dialect } = drop_in;
    let read = |path: &Path| {
        if path.ends_with(DROP_IN_FILE) { Ok(file.clone()) } else { bounded::read_to_string(path) }
    };
    let input = user_input(flags, &read);
    let input = UserInput { variables: input.variables.into_iter().chain(variables).collect(), ..input };
    let config = match config::load(&input) {
        Ok(config) => Config { dialect, ..config },
        Err(errors) => return refuse(&errors),
    };
    supervise::run(config).unwrap_or_else(|error| {
        say(&format!("error: cannot start: {error}"));
        Exit::Bug
    })
}
