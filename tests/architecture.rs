//! The walls between the modules, as data (`ARCHITECTURE.md`, "The walls").

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Which modules a module may know, beside itself.
const KNOWS: &[(&str, &[&str])] = &[
    // The mind and the hands.
    ("gate", &["reload", "report", "settle", "snapshot", "target", "tree", "validate", "verify", "watch"]),
    (
        "run",
        &[
            "config", "gate", "proc", "publish", "redact", "reload", "report", "snapshot", "target", "tree",
            "validate", "verify", "watch",
        ],
    ),
    // The stages do not know each other, but for who hands what to whom.
    ("watch", &[]),
    ("settle", &[]),
    ("tree", &[]),
    ("snapshot", &["tree", "watch"]),
    ("target", &["config", "proc"]),
    ("validate", &["exec", "proc", "snapshot", "target", "tree"]),
    ("reload", &["exec", "http", "target", "verify"]),
    ("verify", &["exec", "http", "proc", "target"]),
    ("publish", &["tree"]),
    ("redact", &[]),
    ("alert", &["report"]),
    ("report", &["tree", "watch"]),
    ("render", &["report"]),
    // The same judgement where nothing runs: it never knows `watch`, `publish`, `reload` and `verify`.
    ("manifest", &[]),
    ("check", &["config", "manifest", "redact", "render", "target", "tree", "validate"]),
    // The doors to the system.
    ("exec", &["proc"]),
    ("http", &[]),
    ("proc", &[]),
    ("serve", &["report"]),
    ("deliver", &["alert", "exec", "http", "kubernetes", "redact", "report"]),
    ("kubernetes", &["report"]),
    // What the user says.
    (
        "config",
        &["deliver", "gate", "publish", "redact", "reload", "report", "snapshot", "target", "validate", "verify"],
    ),
    ("status", &["exit", "http", "report"]),
    ("supervise", &["exit", "config", "deliver", "report", "run", "serve"]),
    (
        "doctor",
        &[
            "config", "deliver", "exec", "exit", "http", "proc", "publish", "reload", "report", "run", "serve",
            "snapshot", "status", "target", "tree", "validate", "verify", "watch",
        ],
    ),
    ("exit", &[]),
    ("install", &[]),
    ("manual", &[]),
    (
        "cli",
        &[
            "check",
            "exit",
            "config",
            "doctor",
            "exec",
            "install",
            "manual",
            "proc",
            "render",
            "status",
            "supervise",
            "validate",
        ],
    ),
];

/// Modules which do no IO and read no clock.
const PURE: [&str; 10] =
    ["gate", "settle", "tree", "config", "manifest", "manual", "redact", "render", "alert", "kubernetes"];

/// What no pure module says.
const IMPURE: [&str; 8] =
    ["std::fs", "std::net", "std::process::", "Instant::now", "SystemTime::now", "tokio::", "rustix::", "std::env"];

fn sources() -> Vec<(String, PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let root = directories[0].clone();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).expect("it is inside");
                let first =
                    relative.components().next().expect("it has a name").as_os_str().to_str().expect("it is UTF-8");
                let module = first.trim_end_matches(".rs").to_owned();
                found.push((module, path.clone(), code(&std::fs::read_to_string(&path).expect("it is text"))));
            }
        }
    }
    found
}

/// A source without comments and without its tests, which may know and do more.
fn code(text: &str) -> String {
    let until_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    until_tests.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name, "tests" | "properties" | "renderings" | "traces" | "world")
        || path.parent().is_some_and(|dir| dir.ends_with("tests"))
}

#[test]
fn modules_know_only_whom_they_may() {
    let mut wrong = BTreeSet::new();
    for (module, path, code) in sources().into_iter().filter(|(_, path, _)| !is_test(path)) {
        if matches!(module.as_str(), "main" | "lib") {
            continue;
        }
        let known = KNOWS.iter().find(|(name, _)| *name == module);
        let (_, may) =
            known.unwrap_or_else(|| panic!("`{module}` has no line in the table: which modules may it know?"));
        for mention in code.split("crate::").skip(1) {
            let name: String = mention.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !name.is_empty() && name != module && !may.contains(&name.as_str()) {
                wrong.insert(format!("{} knows `{name}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_modules_do_nothing() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources().into_iter().filter(|(_, path, _)| !is_test(path)) {
        if PURE.contains(&module.as_str()) {
            let said = IMPURE.iter().filter(|impure| code.contains(*impure));
            wrong.extend(said.map(|impure| format!("{} says `{impure}`", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn validators_are_pure_crates_without_dependencies_on_the_product() {
    // Those which an outside crate may be used for: hashing, PCRE2, and the nearest name; the parsers of formats, and the
    // arithmetic of keys.
    let walls = [
        ("contract", &[][..]),
        ("nginx", &["foldhash", "pcre2", "reload-gate-contract", "strsim"]),
        ("structured", &["granit-parser", "jsonschema", "reload-gate-contract", "serde_json", "toml"]),
        ("tls", &["base64", "reload-gate-contract", "ring", "x509-parser"]),
    ];
    for (name, may) in walls {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("validators").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).expect("it is there");
        let dependencies = text.split("[dependencies]").nth(1).unwrap_or_default();
        let names: Vec<_> = dependencies.lines().take_while(|line| !line.starts_with('[')).collect();
        let others = names.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
        let wrong: Vec<_> =
            others.filter(|name| !may.contains(name) && !name.is_empty() && !name.starts_with('#')).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}
