//! Variables of the environment that a program expands in its configuration. An error about a value that is known in the pod alone is none
//! of the configuration. Pure.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use reload_gate_contract::{Cause, Finding, Severity};

use super::container::Environment;

/// References to variables, by preset. A reference with a default value has one.
static REFERENCES: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    /// `${NAME}`.
    const BRACES: &str = r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}";
    let patterns = [
        // Section 2.3 of HAProxy's configuration manual: in double quotes; and in addresses (str2sa_range() in its src/tools.c).
        ("haproxy", r"\$\{?(?P<name>[A-Za-z_][A-Za-z0-9_]*)"),
        // <https://caddyserver.com/docs/caddyfile/concepts#environment-variables>
        ("caddy", r"\{\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}"),
        // doc/config/conf.d of lighttpd's source.
        ("lighttpd", r"\benv\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)"),
        ("apache2", BRACES),
        ("fluent-bit", BRACES),
        ("vector", r"\$\{?(?P<name>[A-Z_][A-Z0-9_]*)\}?"),
        ("telegraf", r"\$\{?(?P<name>[A-Z_][A-Z0-9_]*)\}?"),
        ("otelcol", r"\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}"),
        ("loki", BRACES),
        ("php-fpm", BRACES),
        ("logstash", BRACES),
        ("rsyslog", r#"getenv\("(?P<name>[A-Za-z_][A-Za-z0-9_]*)"\)"#),
        ("keepalived", r"\$\{_ENV (?P<name>[A-Za-z_][A-Za-z0-9_]*)\}"),
    ];
    patterns.into_iter().filter_map(|(preset, pattern)| Some((preset, Regex::new(pattern).ok()?))).collect()
});

/// Returns the findings of the program of a preset. Those about a line, or about a whole file, that has a variable with an unknown value
/// become obstacles.
pub(super) fn weigh<'t>(
    findings: Vec<Finding>,
    preset: &str,
    environment: &Environment,
    text: &dyn Fn(&str) -> Option<&'t [u8]>,
) -> Vec<Finding> {
    let Some((_, pattern)) = REFERENCES.iter().find(|(known, _)| *known == preset) else { return findings };
    let weigh = |finding: Finding| {
        let is_error = finding.severity == Severity::Error && finding.cause == Cause::Config;
        let place = finding.place.as_ref().filter(|_| is_error);
        let lines = place.and_then(|place| {
            let text = std::str::from_utf8(text(&place.file)?).ok()?;
            let line = place.line.and_then(|line| usize::try_from(line).ok());
            Some(line.map_or(Some(text), |line| text.lines().nth(line.checked_sub(1)?)))
        });
        let names = lines.flatten().map(|lines| unknown_in(pattern, lines, environment)).unwrap_or_default();
        match names.first() {
            Some(name) => {
                let from = environment.unknown.get(*name).map(|from| format!("from {from}"));
                let from = from.unwrap_or_else(|| "outside of the inputs".to_owned());
                let help = format!("the value of the variable `{name}` is unknown, which is set {from}");
                Finding { cause: Cause::Environment, help: Some(help), ..finding }
            }
            None => finding,
        }
    };
    findings.into_iter().map(weigh).collect()
}

/// Returns the variables in a text whose values are unknown.
fn unknown_in<'t>(pattern: &Regex, text: &'t str, environment: &Environment) -> BTreeSet<&'t str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let names = lines.flat_map(|line| pattern.captures_iter(line)).filter_map(|found| found.name("name"));
    names.map(|name| name.as_str()).filter(|name| !environment.known.contains_key(*name)).collect()
}

#[cfg(test)]
mod tests {
    use reload_gate_contract::{Code, Place};

    use super::*;

    #[test]
    fn an_error_on_a_line_with_an_unknown_variable_is_an_obstacle() {
        let mut environment = Environment::default();
        environment.known.insert("SET".to_owned(), "1".to_owned());
        environment.unknown.insert("PORT".to_owned(), "`port` of ConfigMap `a`".to_owned());
        let elsewhere = "the value of the variable `PORT` is unknown, which is set from `port` of ConfigMap `a`";
        let outside = "the value of the variable `NAME` is unknown, which is set outside of the inputs";
        for (preset, text, line, expected) in [
            ("haproxy", "a\nbind \"*:${PORT}\"\n", Some(2), Some(elsewhere)),
            ("haproxy", "bind \"*:$NAME\"\n", Some(1), Some(outside)),
            ("haproxy", "bind \"*:${SET}\"\n", Some(1), None),
            ("haproxy", "server a $NAME\n", Some(1), Some(outside)),
            ("haproxy", "acl a path_reg ^/x$\n", Some(1), None),
            ("haproxy", "bind \"*:${NAME}\"\nbindd\n", Some(2), None),
            ("caddy", "{$NAME} {\n}\n", Some(1), Some(outside)),
            ("caddy", "{$NAME:localhost} {\n}\n", Some(1), None),
            ("lighttpd", "# env.OTHER\nserver.port = env.NAME\n", None, Some(outside)),
            ("lighttpd", "server.port = 80 +\n", None, None),
            ("redis", "port ${NAME}\n", Some(1), None),
        ] {
            let place = Place { line, ..Place::file("f") };
            let finding = Finding::error(Code::new("a-code"), "m").at(place);
            let found = weigh(vec![finding], preset, &environment, &|_| Some(text.as_bytes())).remove(0);
            assert_eq!(found.help.as_deref(), expected, "{preset} {text}");
            assert_eq!(found.cause == Cause::Environment, expected.is_some(), "{preset} {text}");
        }
    }
}
