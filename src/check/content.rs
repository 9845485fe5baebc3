//! Recognition of files by their content. Pure.

use std::sync::LazyLock;

use regex::Regex;
use reload_gate_structured::yaml::{self, Node};

use crate::config::Preset;

/// Top-level keys of which a configuration in YAML or JSON has at least one, by preset.
const KEYS: [(&str, &[&str]); 9] = [
    (
        "prometheus",
        &[
            "global",
            "scrape_configs",
            "scrape_config_files",
            "rule_files",
            "alerting",
            "remote_write",
            "remote_read",
            "storage",
            "tracing",
        ],
    ),
    ("alertmanager", &["route", "receivers"]),
    ("blackbox-exporter", &["modules"]),
    ("envoy", &["static_resources", "dynamic_resources", "admin", "node", "layered_runtime", "bootstrap_extensions"]),
    ("vector", &["sources", "sinks", "transforms", "data_dir"]),
    ("loki", &["schema_config", "auth_enabled", "limits_config", "storage_config"]),
    ("otelcol", &["receivers", "exporters"]),
    ("vmagent", &["scrape_configs", "scrape_config_files", "global"]),
    ("fluent-bit", &["service", "pipeline", "parsers", "includes", "env"]),
];

/// Blocks of nginx that are parts of `http`.
static PART_OF_NGINX: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)^[ \t]*(?:server|upstream|map|geo|split_clients|types)\b[^;{}]*\{").ok());

/// Interpreters of shell scripts.
static SHEBANG: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\A#![ \t]*(?:/usr)?/(?:local/)?bin/(?:env[ \t]+)?(?:ba|da|a)?sh\b").ok());

/// Strings and comments of PromQL and LogQL.
static QUOTED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|#[^\n]*"#).ok());

/// Marks of LogQL outside of strings: pipes, filters behind a selector, and functions that PromQL lacks
/// (<https://grafana.com/docs/loki/latest/query/>).
static LOGQL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\||!>|\}\s*(?:!=|!~)\s*"|\b(?:bytes_over_time|bytes_rate|rate_counter)\s*\("#).ok());

/// Names of files in JSON with comments and trailing commas, which their programs accept.
const WITH_COMMENTS: [&str; 7] =
    ["tsconfig", "jsconfig", "devcontainer", ".eslintrc", ".babelrc", ".swcrc", "api-extractor"];

/// Returns true if `text` may be the main file of a preset's program: it is not, if it has nothing of such a file. A text that cannot
/// be parsed may be one.
pub(super) fn may_be_main(preset: &Preset, text: &str) -> bool {
    if text.trim().is_empty() {
        return true;
    }
    if let Some(whole) = &preset.whole {
        return whole.is_match(text) && !has_sections(text);
    }
    let keys = KEYS.iter().find(|(name, _)| *name == preset.name).map(|(_, keys)| keys);
    match (keys, yaml::parse(text)) {
        (Some(keys), Ok(Some(root))) if !root.entries().is_empty() => keys.iter().any(|key| root.get(key).is_some()),
        _ => true,
    }
}

/// Returns true if a text begins with the name of a section in brackets, as a drop-in of systemd does, named `nginx.conf` for its unit.
pub(super) fn has_sections(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    lines.next().is_some_and(|line| line.starts_with('[') && line.ends_with(']'))
}

/// Returns true if `text` looks like a part of nginx's `http`.
pub(super) fn is_part_of_nginx(text: &str) -> bool {
    PART_OF_NGINX.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Returns the format of a file with an extension, or without one: `json`, `yaml`, `shell`, or `tls` for certificates without a key. A
/// name with any other extension has another format, unless its first line names a shell.
pub(super) fn format_of(end: Option<&str>, text: &str) -> Option<&'static str> {
    // `resource.exclusions` is the name of a setting.
    let is_end = |end: &&str| end.len() <= 5 && end.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    match (end.filter(is_end), format(text)) {
        (_, Some("shell")) => Some("shell"),
        // Bats has tests in blocks of its own.
        (Some("sh"), _) if !text.starts_with("#!") && !text.contains("@test ") => Some("shell"),
        (Some("crt" | "pem" | "cer"), _) if is_certificate(text) => Some("tls"),
        (None, format) => format,
        (Some(_), _) => None,
    }
}

fn is_certificate(text: &str) -> bool {
    text.contains("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE KEY")
}

/// Reasons why files of these names have no validator; a name with `*` in front is an ending.
const REASONS: [(&[&str], &str); 11] = [
    (&["*.ini"], "INI has no standard: name `--builtin ini`, or the program"),
    (&["ssh_known_hosts", "known_hosts", "id_rsa"], "OpenSSH checks it only as it connects"),
    (
        &["master.conf", "replica.conf", "sentinel.conf", "valkey.conf", "primary.conf", "keydb.conf", "users.acl"],
        "Redis and Valkey check it only as they start",
    ),
    (&["*.cnf"], "MySQL and MariaDB check it only as they start"),
    (&["pg_hba.conf", "postgresql.conf", "*pgbouncer.ini"], "PostgreSQL checks it only as it starts"),
    (&["Corefile"], "CoreDNS has no option that checks a Corefile"),
    (&["*.properties"], "its format has no errors but of its program"),
    (
        &["*.sql", "*.cql", "*.py", "*.js", "*.lua", "*.groovy", "*.rb", "*.php", "*.pl", "*.sh", "*.go", "*.java"],
        "it is a program, and no configuration",
    ),
    (&["*.txt", "*.md", "*.html", "*.css", "*.csv"], "it is a text, and no configuration"),
    (&["*.key", "*.pem", "*.crt", "*.p12", "*.jks"], "a key without its certificate cannot be checked"),
    (&["*.tpl", "*.tmpl", "*.template", "*.j2", "*.gotmpl"], "it is a template, which its program renders"),
];

/// Mounts of an entry of an object in the containers of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MountState {
    /// A container mounts it; or it is a file.
    Mounted,
    /// Containers mount other keys of its object, by `subPath` or `items`.
    OtherKeys,
    /// No container mounts its object.
    None,
}

/// Returns the reason why no validator is known for a file, if there is one, by its name and, if it is an entry of an object, its text and
/// its mounts.
pub(super) fn unknown(name: &str, text: Option<&str>, mount: MountState) -> Option<&'static str> {
    let fits = |pattern: &&str| pattern.strip_prefix('*').map_or(name == *pattern, |end| name.ends_with(end));
    if let Some((_, reason)) = REASONS.iter().find(|(patterns, _)| patterns.iter().any(fits)) {
        return Some(reason);
    }
    match text {
        Some(text) if text.contains("<source>") || text.contains("<match") => {
            Some("Fluentd checks it only with its plugins")
        }
        // Arguments, names and passwords are values of variables.
        Some(text) if text.trim_end().lines().count() <= 1 => {
            Some("it is a value of one line, and no file of a known format")
        }
        Some(_) if mount == MountState::OtherKeys => Some(OTHER_KEYS),
        // A controller that reads its ConfigMap through the API knows keys of its own.
        Some(_) if mount == MountState::None => Some("no container of the inputs mounts it, and its format is unknown"),
        _ => None,
    }
}

const OTHER_KEYS: &str = "no container mounts it: the mounts of its object select other keys";

/// Returns the format of a text without an extension: `json`, `yaml` or `shell`.
pub(super) fn format(text: &str) -> Option<&'static str> {
    if SHEBANG.as_ref().is_some_and(|pattern| pattern.is_match(text)) {
        return Some("shell");
    }
    let trimmed = text.trim_start();
    let second = trimmed.get(1..).map(str::trim_start).and_then(|rest| rest.chars().next());
    match (trimmed.chars().next(), second) {
        (Some('{'), Some('"' | '}')) | (Some('['), Some('{')) => return Some("json"),
        _ => {}
    }
    let is_nested = |value: &Node| !value.entries().is_empty() || !value.items().is_empty();
    let is_map = |root: &Node| {
        let of_maps = root.items().first().is_some_and(|item| !item.entries().is_empty());
        of_maps || root.entries().len() > 1 || root.entries().first().is_some_and(|(_, value)| is_nested(value))
    };
    let begins_as_yaml = text.starts_with("---\n");
    (begins_as_yaml || matches!(yaml::parse(text), Ok(Some(root)) if is_map(&root))).then_some("yaml")
}

/// Returns true if the first line of a script names dash.
pub(super) fn is_for_dash(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.starts_with("#!") && line.contains("/dash"))
}

/// Returns true if a text has the form of a rule file of Prometheus. Rules of Loki have the same form with other expressions.
pub(super) fn is_rule_file(text: &str) -> bool {
    if !text.contains("groups:") || !text.contains("rules:") {
        return false;
    }
    let Ok(Some(root)) = yaml::parse(text) else { return false };
    let groups = root.get("groups").map_or(&[][..], Node::items);
    let mut rules = groups.iter().filter_map(|group| group.get("rules")).flat_map(Node::items).peekable();
    let is_rule =
        |rule: &Node| rule.get("expr").is_some() && (rule.get("alert").is_some() || rule.get("record").is_some());
    let is_of_logs = |rule: &Node| {
        let expr = rule.get("expr").and_then(Node::as_str).zip(QUOTED.as_ref());
        let expr = expr.map(|(expr, quoted)| quoted.replace_all(expr, "\"\""));
        expr.is_some_and(|expr| LOGQL.as_ref().is_some_and(|pattern| pattern.is_match(&expr)))
    };
    // Loki accepts a comparison of numbers, and Prometheus does not.
    let is_of_numbers = |rule: &Node| {
        let expr = rule.get("expr").and_then(Node::as_str);
        expr.is_some_and(|expr| {
            expr.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || ".+-*/%^()<>=!".contains(c))
        })
    };
    let compares =
        |rule: &Node| rule.get("expr").and_then(Node::as_str).is_some_and(|expr| expr.contains(['<', '>', '=']));
    if rules.clone().all(is_of_numbers) && rules.clone().any(compares) {
        return false;
    }
    // One program reads the whole file.
    rules.peek().is_some_and(|rule| is_rule(rule)) && !rules.any(is_of_logs)
}

/// Returns true if a file of this name is JSON with comments.
pub(super) fn has_comments(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".json") else {
        return name.ends_with(".jsonc") || name.ends_with(".code-workspace");
    };
    WITH_COMMENTS
        .iter()
        .any(|known| stem == *known || stem.strip_prefix(known).is_some_and(|rest| rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::presets;

    #[test]
    fn main_files_are_known_by_their_content() {
        let may_be = |name: &str, text: &str| {
            let preset = presets().iter().find(|preset| preset.name == name).expect("there is such a preset");
            may_be_main(preset, text)
        };
        assert!(may_be("prometheus", "scrape_configs: []\n"));
        assert!(may_be("prometheus", "scrape_configs: [\n"), "a broken one may be one");
        assert!(!may_be("prometheus", "alertmanager: {enabled: false}\n"));
        assert!(may_be("loki", "auth_enabled: false\n") && !may_be("loki", "singleBinary: {replicas: 1}\n"));
        assert!(may_be("otelcol", "receivers: {}\n") && !may_be("otelcol", "mode: daemonset\n"));
        assert!(may_be("nginx", "events {}\n"));
        assert!(!may_be("nginx", "server { listen 80; }\n"));
        assert!(has_sections("# a\n[Service]\nExecReload=\n") && !has_sections("events {}\n"));
    }

    #[test]
    fn formats_are_known_by_the_content() {
        for (text, expected) in [
            ("#!/usr/bin/env bash\necho\n", Some("shell")),
            ("#!/bin/sh -e\n", Some("shell")),
            ("#!/usr/bin/python3\n", None),
            ("{\"a\": 1}", Some("json")),
            ("{ }", Some("json")),
            ("{ admin off }", None),
            ("[section]\na = b\n", None),
            ("a: 1\nb: 2\n", Some("yaml")),
            ("error: it failed", None),
            ("jsonPointers:\n- /status\n", Some("yaml")),
            ("- kinds: [Event]\n", Some("yaml")),
            ("- a\n- b\n", None),
            ("---\na: [\n", Some("yaml")),
        ] {
            assert_eq!(format(text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_without_a_validator_has_its_reason() {
        assert_eq!(
            unknown("master.conf", Some("maxmemory 1\nsave 1\n"), MountState::Mounted),
            Some("Redis and Valkey check it only as they start")
        );
        assert_eq!(
            unknown("LOG_LEVEL", Some("info"), MountState::None),
            Some("it is a value of one line, and no file of a known format")
        );
        assert_eq!(unknown("app.cfg", Some("a\nb\n"), MountState::Mounted), None);
        assert_eq!(unknown("app.cfg", Some("a\nb\n"), MountState::OtherKeys), Some(OTHER_KEYS));
        let of_api = "no container of the inputs mounts it, and its format is unknown";
        assert_eq!(unknown("resource.customizations", Some("a\nb\n"), MountState::None), Some(of_api));
        assert_eq!(unknown("app.cfg", None, MountState::Mounted), None);
    }

    #[test]
    fn extensions_and_contents_give_the_format() {
        let certificate = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        assert_eq!(format_of(Some("sh"), "echo\n"), Some("shell"));
        assert_eq!(format_of(Some("sh"), "#!/usr/bin/python3\n"), None);
        assert_eq!(format_of(Some("crt"), certificate), Some("tls"));
        assert_eq!(format_of(Some("pem"), &format!("{certificate}-----BEGIN PRIVATE KEY-----\n")), None);
        assert_eq!(format_of(Some("conf"), "a: 1\nb: 2\n"), None);
        assert_eq!(format_of(None, "a: 1\nb: 2\n"), Some("yaml"));
    }

    #[test]
    fn rule_files_are_those_of_prometheus() {
        assert!(is_rule_file("groups:\n- name: a\n  rules:\n  - {alert: A, expr: up == 0}\n"));
        assert!(!is_rule_file(
            "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: sum(rate({job=\"a\"} |= \"x\" [5m]))\n"
        ));
        assert!(is_rule_file("groups:\n- name: a\n  rules:\n  - {record: a, expr: 1}\n"), "both accept it");
        assert!(!is_rule_file("groups: []\nrules: []\n"));
        assert!(
            !is_rule_file("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: |\n      1 > 0\n"),
            "Loki accepts it"
        );
        let with = |expr: &str| {
            let first = "groups:\n- name: a\n  rules:\n  - {alert: A, expr: 1 > 0}\n  - alert: B\n    expr: '";
            is_rule_file(&format!("{first}{expr}'\n"))
        };
        for expr in [
            "sum(rate({app=\"x\"} | json | level=\"error\" [5m])) > 0",
            "count_over_time({app=\"x\"} !~ \"a\" [5m])",
            "rate({app=\"x\"} != \"health\" [5m]) > 0",
            "rate({app=\"x\"} |= `health` [5m]) > 0",
            "bytes_over_time({app=\"x\"}[5m])",
            "max_over_time({a=\"b\"} | logfmt | unwrap c [1m])",
        ] {
            assert!(!with(expr), "{expr}");
        }
        for expr in [
            "rate({app=\"x\"}[5m]) > 0",
            "up{a!=\"b\", c!~\"d|e\"} != 1",
            "a{b=~\"json|logfmt\"} or c",
            "sum(a) by (b) != bool 1",
        ] {
            assert!(with(expr), "{expr}");
        }
    }
}
