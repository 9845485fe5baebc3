//! The command `validators`.

use clap::{Arg, ArgMatches, Command};

use super::{preset_test, print, say};
use crate::config::{self, Preset};
use crate::exit::Exit;
use crate::flow::validate::{BUNDLED, Bundled, ProgramSchema, program_schemas};
use crate::sys::suggest::suggestion;

pub(super) fn command() -> Command {
    Command::new("validators")
        .about("List presets, built-in validators and schemas, or print one in full")
        .args_conflicts_with_subcommands(true)
        .arg(Arg::new("name").value_name("NAME").help("The preset, validator or schema to print"))
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
    let schema = |schema: &ProgramSchema| (schema.name, schema.about.clone());
    let kinds = [
        ("Presets, for `--app NAME`", presets.iter().map(preset).collect::<Vec<_>>()),
        ("Built-in validators, for `--builtin NAME`", BUNDLED.iter().map(bundled).collect()),
        ("Schemas, which `check` uses where no program is installed", program_schemas().iter().map(schema).collect()),
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
    let schema = program_schemas().iter().find(|schema| schema.name == name).map(|schema| schema.text.to_owned());
    let texts: Vec<_> = preset.into_iter().chain(bundled.map(text)).chain(schema).collect();
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
