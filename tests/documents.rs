//! The pages agree with the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reload_gate::{SETTINGS, Takes};

use crate::support::gate_command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `directory` whose names end so.
fn files(directory: &str, end: &str) -> Vec<PathBuf> {
    let (mut found, mut directories) = (Vec::new(), vec![root().join(directory)]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found
}

/// Compares a page with the result of a test: the part between `<!-- begin NAME -->` and `<!-- end NAME -->` must be `text`, which
/// `UPDATE_DOCS=1` writes there.
#[track_caller]
pub(crate) fn agrees(page: &Path, name: &str, text: &str) {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let old = read(page);
    let (before, rest) = old.split_once(&begin).unwrap_or_else(|| panic!("{}: no {begin}", page.display()));
    let (documented, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{}: no {end}", page.display()));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(page), format!("{before}{begin}{text}{end}{after}")).expect("it can be written");
    } else {
        assert_eq!(documented, text, "{}: UPDATE_DOCS=1 writes it", page.display());
    }
}

/// The first column of the tables under this heading.
fn table(page: &str, heading: &str) -> BTreeSet<String> {
    let text = read(page);
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{page}: no {heading}"));
    let section = section.split("\n## ").next().unwrap_or(section);
    let first = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    first.map(str::to_owned).collect()
}

/// True for the file of a unit test.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

/// The string literals which follow `before` in the sources, tests left out.
fn literals(before: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in files("src", ".rs").into_iter().filter(|path| !is_test(path)) {
        let text = read(&path);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
        found.extend(code.split(before).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    found
}

#[test]
fn every_finding_code_is_documented() {
    let codes = &literals("Code::new(\"") | &literals("Code::of_absence(\"");
    assert_eq!(table("docs/stability.md", "Finding codes"), codes);
}

#[test]
fn every_event_is_documented() {
    let text = read("src/report/mod.rs");
    let (_, names) = text.split_once("pub const fn as_str(self) -> &'static str {").expect("events have names");
    let names = names.split("\n    }\n").next().expect("it ends");
    let names: BTreeSet<_> =
        names.split("=> \"").skip(1).map(|rest| rest.split('"').next().expect("it ends")).collect();
    let documented = table("docs/stability.md", "Events");
    let missing: Vec<_> = names.iter().filter(|name| !documented.contains(**name)).collect();
    assert!(!names.is_empty() && missing.is_empty(), "{missing:?}");
}

#[test]
fn the_architecture_page_has_the_table_of_the_state_machine() {
    let code = read("src/gate/mod.rs");
    let rows: Vec<_> = code.lines().filter_map(|line| line.strip_prefix("//! | ")).collect();
    let page = read("ARCHITECTURE.md");
    let missing: Vec<_> = rows.iter().filter(|row| !page.contains(&format!("| {row}"))).collect();
    assert!(rows.len() > 20 && missing.is_empty(), "{missing:#?}");
}

/// The flags of other programs, which the pages speak of.
const OTHERS: [&str; 25] = [
    "--auto-gomemlimit-ratio",
    "--check",
    "--check-config",
    "--config-envsubst-file",
    "--config-file",
    "--delay-interval",
    "--listen-address",
    "--preload",
    "--process-executable-name",
    "--reload-method",
    "--reload-timeout",
    "--retry-interval",
    "--runtimeinfo-url",
    "--some-thing",
    "--statefulset-ordinal-from-envvar",
    "--volume-dir",
    "--volume-dir-archive",
    "--watch-interval",
    "--watched-dir",
    "--web",
    "--web-config-file",
    "--webhook-method",
    "--webhook-retries",
    "--webhook-status-code",
    "--webhook-url",
];

#[test]
fn every_flag_in_the_pages_exists() {
    let help = ["run", "check", "status", "doctor"].map(|command| {
        let output = gate_command().args([command, "--help"]).output().expect("it starts");
        String::from_utf8(output.stdout).expect("it is UTF-8")
    });
    let help = help.concat();
    let mut unknown = BTreeSet::new();
    for path in files("docs", ".md").into_iter().chain([root().join("README.md")]) {
        let text = read(&path);
        for line in text.lines().filter(|line| line.contains("reload-gate run") || line.contains("`--")) {
            let flags =
                line.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).filter(|word| word.starts_with("--"));
            let known =
                |flag: &&str| help.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).any(|word| word == *flag);
            // The flags of the programs that are gated are theirs.
            unknown.extend(
                flags
                    // A line of hyphens begins and ends what is in PEM.
                    .filter(|flag| flag.contains(|c| c != '-') && !OTHERS.contains(flag))
                    .filter(|flag| !known(flag))
                    .map(str::to_owned),
            );
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Compares a page with what it should be, or writes it where `UPDATE_DOCS` is set.
fn page_is(page: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(page), expected).expect("it can be written");
    }
    assert_eq!(read(page), expected, "{page} is generated: UPDATE_DOCS=1 cargo test --test end-to-end documents");
}

#[test]
fn every_setting_is_documented_as_it_is() {
    let mut page = "# Settings\n\nThis page lists every setting; [configuration.md](configuration.md) describes them. The program generates this page.\n\nEach \
                    setting is a flag of `reload-gate run`, a variable, and a key of the configuration file. The key is the name of the flag \
                    without the leading hyphens.\nA variable for several values has one value a line.\n"
        .to_owned();
    let mut heading = "";
    for setting in SETTINGS {
        if setting.heading != heading {
            heading = setting.heading;
            page += &format!("\n## {heading}\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n");
        }
        let name = setting.name;
        let value = match setting.takes {
            Takes::Switch => String::new(),
            Takes::One(what) => format!(" {what}"),
            Takes::Many(what) => format!(" {what} …"),
        };
        let default = setting.shown_default().unwrap_or_default();
        let variable = [Some(setting.variable()), setting.second_variable.map(str::to_owned)];
        let variable: Vec<_> = variable.into_iter().flatten().map(|name| format!("`{name}`")).collect();
        let variable = variable.join(", ");
        let meaning = setting.help.replace('|', "\\|");
        page += &format!("| `--{name}{value}` | {variable} | {default} | {meaning} |\n");
    }
    page_is("docs/settings.md", &page);
}

/// What is said by the program alone: a fragment of a message between two values.
#[test]
fn the_troubleshooting_page_quotes_real_messages() {
    let sources = files("src", ".rs").into_iter().filter(|path| !is_test(path)).map(read);
    // A literal goes on behind a backslash at the end of its line.
    let sources: String = sources.map(|text| text.split("\\\n").map(str::trim_start).collect::<String>()).collect();
    let text = read("docs/troubleshooting.md");
    let quotes: Vec<_> = text.split("```text\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    let fragments = quotes.iter().flat_map(|quote| quote.split(['…', '`', '9'])).map(str::trim);
    let fragments: Vec<_> = fragments.filter(|fragment| fragment.len() > 6).collect();
    let missing: Vec<_> = fragments.iter().filter(|fragment| !sources.contains(**fragment)).collect();
    assert!(fragments.len() > 20 && missing.is_empty(), "{missing:#?}");
}

#[test]
fn no_link_between_the_pages_is_broken() {
    let mut broken = Vec::new();
    let top = std::fs::read_dir(root()).expect("it is there").flatten().map(|entry| entry.path());
    let top = top.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for page in top.chain(files("docs", ".md")).chain(files("validators", ".md")) {
        for target in read(&page).split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())) {
            let file = target.split('#').next().unwrap_or_default();
            let local = !file.is_empty() && !file.contains("://");
            if local && !page.parent().expect("it lies somewhere").join(file).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_table_of_contents_lists_every_page() {
    let contents = read("docs/README.md");
    for page in files("docs", ".md") {
        let page = page.strip_prefix(root().join("docs")).expect("it is below").display().to_string();
        assert!(page == "README.md" || contents.contains(&format!("({page})")), "docs/README.md does not list {page}");
    }
}

#[test]
fn every_path_in_the_recipes_exists() {
    let page = read("CONTRIBUTING.md");
    let is_path = |word: &&str| word.contains(['/', '.']) && !word.contains([' ', '*', ':']) && !word.contains("NAME");
    let (words, roots) =
        (page.split('`').skip(1).step_by(2), ["src/", "tests/", "validators/", "docs/", "fixtures/", "."]);
    let paths: Vec<_> = words.filter(is_path).filter(|word| roots.iter().any(|root| word.starts_with(root))).collect();
    assert!(paths.len() > 30, "{paths:?}");
    let missing: Vec<_> = paths.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
