//! The pages agree with the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reload_gate::{ADMISSION_SETTINGS, SETTINGS, SettingSpec, Takes};

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
const OTHERS: [&str; 28] = [
    "--auto-gomemlimit-ratio",
    "--chdir",
    "--check",
    "--check-config",
    "--config-envsubst-file",
    "--config-file",
    "--delay-interval",
    "--listen-address",
    "--no-server",
    "--preload",
    "--process-executable-name",
    "--reload-method",
    "--reload-timeout",
    "--retry-interval",
    "--runtimeinfo-url",
    "--server",
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
    let commands = ["run", "check", "admit", "inject", "status", "doctor", "rollout status"];
    let help = commands.map(|command| {
        let output = gate_command().args(command.split(' ')).arg("--help").output().expect("it starts");
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

/// A JSON Schema of a value with any of these types.
fn value_of(types: &[&str], description: &str) -> serde_json::Value {
    serde_json::json!({"type": types, "description": description})
}

/// The property of a setting.
fn property(setting: &SettingSpec) -> serde_json::Value {
    let default = setting.shown_default().map_or_else(String::new, |default| format!(" (default: {default})"));
    let description = format!("{}{default}", setting.help);
    let scalars = ["string", "number", "boolean"];
    match setting.takes {
        _ if setting.name == "validate" => serde_json::json!({
            "description": description,
            "anyOf": [
                {"type": "string"},
                {"$ref": "#/$defs/validator"},
                {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/validator"}]}},
            ],
        }),
        Takes::Switch => value_of(&["boolean", "string"], &description),
        Takes::One(_) => value_of(&scalars, &description),
        Takes::Many(_) => serde_json::json!({
            "description": description,
            "type": [scalars[0], scalars[1], scalars[2], "array"],
            "items": {"type": scalars},
        }),
    }
}

#[test]
fn the_schema_of_the_configuration_file_is_that_of_the_settings() {
    let of_gate = SETTINGS.iter().filter(|setting| setting.of_gate);
    let properties: serde_json::Map<_, _> =
        of_gate.map(|setting| (setting.name.to_owned(), property(setting))).collect();
    let text = serde_json::json!({"type": "string"});
    let texts = serde_json::json!({"anyOf": [text, {"type": "array", "items": text}]});
    let words =
        ["command", "running", "beside", "options", "unset", "findings", "transient", "away", "unnamed", "accepts"];
    let lines = ["name", "otherwise", "package", "prelude"];
    let source = read("src/config/command.rs");
    let known = source.split_once("const KEYS").and_then(|(_, rest)| rest.split_once("];")).expect("it has the keys").0;
    let known: BTreeSet<_> = known.split('"').skip(1).step_by(2).collect();
    assert_eq!(known, words.into_iter().chain(lines).collect(), "the keys of a validator");
    let keys = words.iter().map(|key| (*key, &texts)).chain(lines.iter().map(|key| (*key, &text)));
    let keys: serde_json::Map<_, _> = keys.map(|(key, schema)| (key.to_owned(), schema.clone())).collect();
    let mut rule = properties.clone();
    rule.insert("files".to_owned(), texts.clone());
    let of_admission = properties.iter().filter(|(name, _)| ADMISSION_SETTINGS.contains(&name.as_str()));
    let mut admission: serde_json::Map<_, _> =
        of_admission.map(|(name, schema)| (name.clone(), schema.clone())).collect();
    assert_eq!(admission.len(), ADMISSION_SETTINGS.len());
    for key in ["kind", "namespaces", "names", "keys"] {
        admission.insert(key.to_owned(), texts.clone());
    }
    let part = serde_json::json!({"type": "object", "properties": {"name": text, "path": text}, "required": ["name", "path"], "additionalProperties": false});
    admission.insert("together".to_owned(), serde_json::json!({"type": "array", "items": part}));
    let object = |properties: &serde_json::Map<String, serde_json::Value>, required: &[&str]| serde_json::json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration file of reload-gate",
        "type": "object",
        "properties": {
            "gates": {"type": "array", "items": object(&properties, &[])},
            "rules": {"type": "array", "items": object(&rule, &["files"])},
            "admission": {"type": "array", "items": object(&admission, &[])},
        },
        "additionalProperties": false,
        "$defs": {"validator": object(&keys, &["command"])},
    });
    page_is("docs/gates.schema.json", &format!("{}\n", serde_json::to_string_pretty(&schema).expect("it is JSON")));

    // The gate's own reader and the schema agree on what is a configuration file.
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("gates.yaml");
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    for (text, expected) in [
        ("gates:\n- {app: nginx, watch: [/a, /b], poll: 30s, max-shrink: 50, observe: true}\n", true),
        ("gates:\n- {watch: /a, signal: none, validate: [{command: [a, '{config}'], findings: x}, b]}\n", true),
        ("gates:\n- {watch: /a, signal: none, wach: /b}\n", false),
        ("gates:\n- {watch: /a, signal: none, validate: {findings: x}}\n", false),
        ("gates:\n- {watch: /a, signal: none, observe: [true]}\n", false),
        ("gate: []\n", false),
    ] {
        std::fs::write(&path, text).expect("there is room");
        let mut gate = gate_command();
        let output = gate.args(["doctor", "--config"]).arg(&path).output().expect("it starts");
        assert_eq!(output.status.code() != Some(2), expected, "{text}: {output:?}");
        let value = serde_json::to_value(yaml_value(text)).expect("it is a value");
        assert_eq!(validator.is_valid(&value), expected, "{text}: {:?}", validator.iter_errors(&value).next());
    }
}

/// A YAML text as a JSON value.
fn yaml_value(text: &str) -> serde_json::Value {
    use reload_gate_structured::yaml::{self, Node, Value};
    fn value(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Map(entries) => {
                let entry = |(key, item): &(Node, Node)| (key.as_str().unwrap_or_default().to_owned(), value(item));
                serde_json::Value::Object(entries.iter().map(entry).collect())
            }
            Value::List(items) => items.iter().map(value).collect(),
            Value::Scalar(scalar) => match scalar.text.parse::<f64>() {
                Ok(number) => number.into(),
                Err(_) => scalar.text.parse::<bool>().map_or_else(|_| (*scalar.text).into(), Into::into),
            },
            _ => serde_json::Value::Null,
        }
    }
    value(&yaml::documents(text).next().expect("there is one").expect("it is YAML").root)
}

/// Compares a page with what it should be, or writes it where `UPDATE_DOCS` is set.
fn page_is(page: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(page), expected).expect("it can be written");
    }
    let text = read(page);
    let differs = text.lines().zip(expected.lines()).position(|(one, other)| one != other);
    assert!(
        text == expected,
        "{page} is generated, and differs from line {} on: UPDATE_DOCS=1 cargo test --test end-to-end documents",
        differs.map_or_else(|| text.lines().count().min(expected.lines().count()) + 1, |line| line + 1)
    );
}

#[test]
fn every_setting_is_documented_as_it_is() {
    let mut page = "# Settings\n\nThis page lists every setting; [configuration.md](configuration.md) describes them. The program generates this page.\n\nEach \
                    setting is a flag of `reload-gate run` and a variable. Settings of a gate are also keys of the configuration file: the name of \
                    the flag without the leading hyphens.\n[stability.md](stability.md#commands-and-settings) lists those of the whole process, \
                    which are no keys.\nA variable for several values has one value a line.\n"
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

/// The anchors of the headings of a page, as GitHub makes them.
fn anchors(page: &Path) -> Vec<String> {
    let text = read(page);
    let outside = text.split("```").step_by(2).collect::<String>();
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    let anchor =
        |heading: &str| heading.trim().to_lowercase().chars().filter(is_kept).collect::<String>().replace(' ', "-");
    outside.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn no_link_between_the_pages_is_broken() {
    let mut broken = Vec::new();
    let top = std::fs::read_dir(root()).expect("it is there").flatten().map(|entry| entry.path());
    let top = top.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for page in top.chain(files("docs", ".md")).chain(files("validators", ".md")).chain(files("deploy", ".md")) {
        for target in read(&page).split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let directory = page.parent().expect("it lies somewhere");
            let path = if file.is_empty() { page.clone() } else { directory.join(file) };
            let is_page = path.extension().is_some_and(|extension| extension == "md");
            let is_local = !target.contains("://");
            let is_broken = || {
                !path.exists() || (is_page && !anchor.is_empty() && !anchors(&path).iter().any(|known| known == anchor))
            };
            if is_local && is_broken() {
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
