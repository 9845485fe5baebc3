//! Manual pages and shell completions, generated from the command line. Pure.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use super::help;

/// Returns the script that makes a shell complete this command.
#[must_use]
pub fn completions(mut command: Command, shell: Shell) -> Vec<u8> {
    let (name, mut text) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut command, name, &mut text);
    text
}

/// Returns the manual page of this command or one of its subcommands, in the language of man(7); `None` without such a subcommand.
#[must_use]
pub fn page(command: Command, subcommand: Option<&str>) -> Option<Vec<u8>> {
    let mut command = command.disable_help_subcommand(true).subcommand_help_heading("COMMANDS");
    command.build();
    let mut command = match subcommand {
        Some(name) => command.find_subcommand(name)?.clone(),
        None => command,
    };
    let texts = help::page(command.get_name())?;
    let title = command.get_display_name().unwrap_or(command.get_name()).to_uppercase();
    let source = concat!("reload-gate ", env!("CARGO_PKG_VERSION"));
    // The one of clap_mangen lists every flag.
    let usage = command.render_usage().to_string().trim_start_matches("Usage: ").to_owned();
    let has_subcommands = command.has_subcommands();
    let man = Man::new(command.override_usage(usage)).title(title).source(source).manual("reload-gate manual");
    let mut text = Vec::new();
    // Writing to memory does not fail.
    man.render_title(&mut text).ok()?;
    man.render_name_section(&mut text).ok()?;
    man.render_synopsis_section(&mut text).ok()?;
    description(texts).to_writer(&mut text).ok()?;
    if has_subcommands {
        man.render_subcommands_section(&mut text).ok()?;
    }
    man.render_options_section(&mut text).ok()?;
    appendix(texts).to_writer(&mut text).ok()?;
    Some(text)
}

fn description(texts: &help::Page) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    for (index, paragraph) in texts.description.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*paragraph)]);
    }
    roff
}

/// The sections behind the options.
fn appendix(texts: &help::Page) -> Roff {
    let mut roff = Roff::new();
    let code = |(code, meaning): &(crate::exit::Exit, &str)| ((*code as u8).to_string(), (*meaning).to_owned());
    let pair = |(name, meaning): &(&str, &str)| ((*name).to_owned(), (*meaning).to_owned());
    section(&mut roff, "EXAMPLES", texts.examples.iter().map(pair).collect());
    section(&mut roff, "EXIT STATUS", texts.exit_codes.iter().map(code).collect());
    section(&mut roff, "ENVIRONMENT", texts.environment.iter().map(pair).collect());
    section(&mut roff, "FILES", texts.files.iter().map(pair).collect());
    roff
}

fn section(roff: &mut Roff, heading: &str, entries: Vec<(String, String)>) {
    if entries.is_empty() {
        return;
    }
    roff.control("SH", [heading]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(meaning)]);
    }
}
