//! Constructs by which a configuration of the inputs makes its program execute or load something. Pure.
//!
//! Each preset lists those of its program (`executes`). Programs join lines and drop quotation marks before they look for a keyword, so
//! their absence is looked for in the text without both; a word too much only keeps the program from running.

use std::path::{Path, PathBuf};

use crate::config::Preset;
use crate::flow::tree::Tree;
use crate::sys::pattern::LazyRegex;

/// A construct that executes or loads something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Execution {
    pub(super) file: PathBuf,
    /// Line, counted from 1; `None` if the construct is spread over lines, or is the file itself.
    pub(super) line: Option<u32>,
    /// The construct as it is written, in one line.
    pub(super) words: String,
}

/// Longest construct that is shown, in characters.
const SHOWN: usize = 60;
/// First bytes of an executable file or a library (elf(5)).
const ELF: &[u8] = b"\x7fELF";

/// Finds the first construct in `tree` that the program of `preset` would execute or load. A configuration that is code as a whole is
/// such a construct itself.
pub(super) fn find(preset: &Preset, tree: &Tree) -> Option<Execution> {
    if !preset.may_execute() {
        return None;
    }
    if preset.is_code() {
        let file = tree.keys().next().cloned().unwrap_or_default();
        return Some(Execution { file, line: None, words: "the file itself".to_owned() });
    }
    tree.iter().find_map(|(file, content)| in_file(preset, file, content))
}

fn in_file(preset: &Preset, file: &Path, content: &[u8]) -> Option<Execution> {
    let execution = |line, words: &str| Execution { file: file.to_owned(), line, words: words.to_owned() };
    if content.starts_with(ELF) {
        return Some(execution(None, "a library or an executable file"));
    }
    let name = file.to_string_lossy();
    let text = String::from_utf8_lossy(content);
    let others = other_readings(&text);
    for pattern in preset.executes.iter().flatten().filter_map(LazyRegex::get) {
        if let Some(found) = pattern.find(&text) {
            let line = text[..found.start()].matches('\n').count() + 1;
            let words: String = found.as_str().trim().lines().next().unwrap_or_default().chars().take(SHOWN).collect();
            return Some(execution(u32::try_from(line).ok(), &words));
        }
        if let Some(found) = others.iter().find_map(|reading| pattern.find(reading)) {
            let words: String =
                found.as_str().split_whitespace().next().unwrap_or_default().chars().take(SHOWN).collect();
            return Some(execution(None, &words));
        }
        if pattern.is_match(&name) {
            return Some(execution(None, "the file itself"));
        }
    }
    None
}

/// Returns the text as programs may read it: without quotation marks and joined lines, and with each control character as a blank, as the
/// end of a line, or left out. isspace(3) is true for some of them, so a program skips them before a keyword.
fn other_readings(text: &str) -> Vec<String> {
    let bare = |text: &str| text.replace("\\\r\n", "").replace("\\\n", "").replace(['"', '\'', '\\'], "");
    let is_odd = |c: char| c.is_control() && c != '\t' && c != '\n';
    let mut readings = vec![bare(text)];
    if text.contains(is_odd) {
        for instead in [" ", "\n", ""] {
            let plain = text.replace(is_odd, instead);
            readings.push(bare(&plain));
            readings.push(plain);
        }
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::presets;

    fn found(preset: &str, name: &str, text: &str) -> Option<(Option<u32>, String)> {
        let preset = presets().iter().find(|known| known.name == preset).expect("it is known");
        let tree = Tree::from([(PathBuf::from(name), text.as_bytes().to_vec())]);
        find(preset, &tree).map(|execution| (execution.line, execution.words))
    }

    #[test]
    fn constructs_are_found_where_they_are() {
        for (preset, text, line, words) in [
            ("haproxy", "global\n  lua-load /x.lua\n", Some(2), "lua-"),
            ("haproxy", "global\n  l\"u\"a-\\\nload /x.lua\n", None, "lua-"),
            ("haproxy", "global\n  \"lua${NOTHING}-load\" /x.lua\n", Some(2), "\"lua$"),
            ("lighttpd", "a = 1\ninclude_shell \"id\"\n", Some(2), "include_shell"),
            ("dnsmasq", "conf-script=id\n", Some(1), "script"),
            ("nginx", "load_module /x.so;\n", Some(1), "load_module"),
            ("rsyslog", "module(load=\"/x.so\")\n", Some(1), "load=\"/"),
            ("varnish", "vcl 4.1;\nimport x\n  from /*;*/ \"/x.so\";\n", Some(3), "from /*"),
            ("haproxy", "global\n  \\x6cua-load /x.lua\n", Some(2), "\\x"),
            ("haproxy", "global\n\x0b\"${L1}${L2}\" /x.lua\n", Some(2), "\"${L1}$"),
            ("haproxy", "global\n  daemon\r${L1}${L2} /x.lua\n", None, "${L1}$"),
            ("haproxy", "global\n  lu\x01a-load /x.lua\n", None, "lua-"),
            ("apache2", "\x0cLoad${X} a /x.so\n", Some(1), "Load$"),
            ("apache2", "<Macro M Aa Bb>\nAaBb x /x.so\n</Macro>\n", Some(1), "<Macro"),
            ("redis", "\"load\\x6dodule\" /x.so\n", Some(1), "\\x"),
            ("telegraf", "[[inputs.\"ex\\u0065c\"]]\n", Some(1), "\\u"),
            ("vector", "type: \"\\u006cua\"\n", Some(1), "\\u"),
            ("fluent-bit", "name: \"lu\\u0061\"\n", Some(1), "\\u"),
            ("rsyslog", "$ModLoad\x0b/x.so\n", Some(1), "ModLoad\u{b}/"),
            ("knot", "mod\r-\x0bmodule: /x\n", None, "-"),
            ("envoy", "name: \"l\\\n  ua\"\n", Some(1), "\\"),
            ("envoy", "name: \"envoy.filters.http.\\x6cua\"\n", Some(1), "\\x"),
        ] {
            assert_eq!(found(preset, "/etc/a.conf", text), Some((line, words.to_owned())), "{preset}: {text}");
        }
    }

    #[test]
    fn a_library_and_an_executed_file_are_found_by_themselves() {
        assert_eq!(found("nginx", "/x.so", "\x7fELF"), Some((None, "a library or an executable file".to_owned())));
        assert_eq!(found("apache2", "/etc/apache2/envvars", "id\n"), Some((None, "the file itself".to_owned())));
        for preset in presets().iter().filter(|preset| preset.is_code()) {
            assert_eq!(found(preset.name, "/x", ""), Some((None, "the file itself".to_owned())), "{}", preset.name);
        }
    }

    #[test]
    fn ordinary_configurations_execute_nothing() {
        for (preset, text) in [
            ("haproxy", "# an evaluation\nfrontend a\n  bind \"${ADDRESS}:80\"\n  default_backend b\n"),
            ("nginx", "events {}\nhttp { server { listen 80; } }\n"),
            ("rsyslog", "module(load=\"imuxsock\")\n*.* /var/log/syslog\n"),
            ("varnish", "vcl 4.1;\nimport std;\nbackend default { .host = \"a\"; }\n"),
            ("apache2", "ServerName a\nListen ${PORT}\n"),
            ("prometheus", "lua-load: include_shell\n"),
        ] {
            assert_eq!(found(preset, "/etc/a.conf", text), None, "{preset}: {text}");
        }
    }

    #[test]
    fn every_preset_states_what_it_executes() {
        let silent = presets().iter().filter(|preset| preset.executes.is_none()).map(|preset| preset.name);
        assert_eq!(silent.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
