//! The command `validators`.

use clap::{Arg, ArgMatches, Command};

use super::{preset_test, print, say};
use crate::config::{self, Preset};
use crate::exit::Exit;
use crate::flow::validate::{BUNDLED, Bundled};
use crate::sys::suggest::suggestion;

pub(super) fn command() -> Command {
    Command::new("validators")
        .about("List presets and built-in validators, or print one in full")
        .args_conflicts_with_subcommands(true)
        .arg(Arg::new("name").value_name("NAME").help("The preset or validator to print"))
        .subcommand(preset_test::command())
}

pub(super) fn validators(matches: &ArgMatches) -> Exit {
    match matches.subcommand() {
        Some((_, matches)) => preset_test::test(matches),
        None => list(matches.get_one::<String>("name").map(String::as_str)),
    }
}

fn list(name: Option<&str>) -> Exit {
    let presets = config::presets();
    let preset = |preset: &Preset| (preset.name, preset.about.clone());
    let bundled = |bundled: &Bundled| (bundled.name, bundled.about.to_owned());
    let kinds = [
        ("Presets, for `--app NAME`", presets.iter().map(preset).collect::<Vec<_>>()),
        ("Built-in validators, for `--builtin NAME`", BUNDLED.iter().map(bundled).collect()),
    ];
    let names = || kinds.iter().flat_map(|(_, kind)| kind.iter().map(|(name, _)| *name));
    let Some(name) = name else {
        let width = names().map(str::len).max().unwrap_or_default();
        let line = |(name, about): &(&str, String)| format!("{name:width$}  {about}\n");
        let part =
            |(title, kind): &(&str, Vec<_>)| format!("{title}:\n\n{}", kind.iter().map(line).collect::<String>());
        return print(&kinds.each_ref().map(part).join("\n"));
    };
    let preset = presets.iter().find(|preset| preset.name == name).map(|preset| preset.text.to_owned());
    let bundled = BUNDLED.iter().find(|bundled| bundled.name == name);
    let texts: Vec<_> = preset.into_iter().chain(bundled.map(text)).collect();
    if !texts.is_empty() {
        return print(&texts.join("\n"));
    }
    let meant = suggestion(name, names());
    say(&format!(
        "error: unknown validator `{name}`{meant}\n  help: choose a name that `reload-gate validators` lists"
    ));
    Exit::Usage
}

/// The text of a built-in validator as comments of a preset's file, which may be printed above it.
fn text(bundled: &Bundled) -> String {
    let lines: String = bundled.text.lines().map(|line| format!("# {line}\n")).collect();
    format!("# `--builtin {}` validates {}.\n{lines}", bundled.name, bundled.about)
}
