//! Files of a common format, each validated by itself.

use std::path::PathBuf;

use reload_gate_contract::Finding;
use reload_gate_structured::{ini, json, toml, xml, yaml};

use super::super::{NO_MAIN_FILE, ValidationContext};

/// A format of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// JSON, strictly as RFC 8259 has it.
    Json,
    /// YAML 1.2.
    Yaml,
    /// TOML 1.1.
    Toml,
    /// INI, as most readers agree on it.
    Ini,
    /// XML 1.0.
    Xml,
}

impl TextFormat {
    /// All formats.
    pub const ALL: [Self; 5] = [Self::Json, Self::Yaml, Self::Toml, Self::Ini, Self::Xml];

    /// Returns the name for `--builtin`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Toml => "toml",
            Self::Ini => "ini",
            Self::Xml => "xml",
        }
    }

    /// Returns the endings of such files. `.conf` and `.cfg` belong to many formats.
    #[must_use]
    pub const fn ends(self) -> &'static [&'static str] {
        match self {
            Self::Json => &[".json"],
            Self::Yaml => &[".yaml", ".yml"],
            Self::Toml => &[".toml"],
            Self::Ini => &[".ini"],
            Self::Xml => &[".xml"],
        }
    }

    /// Returns everything that is wrong with a file, which findings call `path`.
    #[must_use]
    pub fn check(self, path: &str, text: &[u8]) -> Vec<Finding> {
        match self {
            Self::Json => json::check(path, text),
            Self::Yaml => yaml::check(path, text),
            Self::Toml => toml::check(path, text),
            Self::Ini => ini::check(path, text),
            Self::Xml => xml::check(path, text),
        }
    }
}

/// A file of a tree: its path for the application, and its content.
pub(super) type Named<'a> = (String, &'a [u8]);

pub(super) fn run(format: TextFormat, context: &ValidationContext) -> Vec<Finding> {
    match files(context, format.ends()) {
        Ok(files) => files.iter().flat_map(|(path, text)| format.check(path, text)).collect(),
        Err(finding) => vec![*finding],
    }
}

/// Validates the files whose names say their format, and no other.
pub(super) fn by_name(context: &ValidationContext) -> Vec<Finding> {
    context.note_read(context.tree.keys());
    let formats = [TextFormat::Json, TextFormat::Yaml, TextFormat::Toml];
    let format = |name: &PathBuf| {
        let name = name.to_string_lossy();
        formats.into_iter().find(|format| format.ends().iter().any(|end| name.ends_with(end)))
    };
    let files = context.tree.iter().filter_map(|(name, text)| Some((format(name)?, name, text)));
    let shown = |name: &PathBuf| context.path_map.shown(name).to_string_lossy().into_owned();
    files.flat_map(|(format, name, text)| format.check(&shown(name), text)).collect()
}

/// Returns the files for a validator: the one of `--main`; or all with such an ending; or the only one there is.
pub(super) fn files<'a>(context: &'a ValidationContext, ends: &[&str]) -> Result<Vec<Named<'a>>, Box<Finding>> {
    let main = context.main.as_ref().ok();
    let fits = |name: &&PathBuf| ends.iter().any(|end| name.to_string_lossy().ends_with(end));
    let fit: Vec<_> = context.tree.keys().filter(fits).collect();
    let chosen = match main {
        Some(main) if context.main_is_given => vec![main],
        _ if !fit.is_empty() => fit,
        Some(main) if context.tree.len() == 1 => vec![main],
        _ => {
            let ends: Vec<_> = ends.iter().map(|end| format!("`{end}`")).collect();
            let message = format!("there are several files, and none whose name ends in {}", ends.join(" or "));
            let finding = Finding::environment(NO_MAIN_FILE, message);
            return Err(Box::new(finding.help("name the file with `--main FILE`")));
        }
    };
    context.note_read(chosen.iter().copied());
    let named = |name: &PathBuf| {
        Some((context.path_map.shown(name).to_string_lossy().into_owned(), context.tree.get(name)?.as_slice()))
    };
    Ok(chosen.into_iter().filter_map(named).collect())
}
