//! What is generated from the command line: manual pages, and what a shell completes. Pure.

use clap::Command;
use clap_complete::Shell;

/// What a shell is to be told to complete this command.
#[must_use]
pub fn completions(mut command: Command, shell: Shell) -> Vec<u8> {
    let (name, mut text) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut command, name, &mut text);
    text
}

/// The manual page of this command or one of its subcommands, in the language of man(7); `None` if it has no such subcommand.
#[must_use]
pub fn page(command: Command, subcommand: Option<&str>) -> Option<Vec<u8>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let command = match subcommand {
        Some(name) => command.find_subcommand(name)?.clone(),
        None => command,
    };
    let title = command.get_display_name().unwrap_or(command.get_name()).to_uppercase();
    let source = concat!("reload-gate ", env!("CARGO_PKG_VERSION"));
    let mut text = Vec::new();
    // Memory can be written to.
    clap_mangen::Man::new(command).title(title).source(source).render(&mut text).ok()?;
    Some(text)
}
