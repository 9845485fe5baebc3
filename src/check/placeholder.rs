//! Texts that another tool replaces before the program reads them. Pure.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Regex, bytes};
use reload_gate_contract::LineIndex;

/// Reason for which a text with placeholders is not checked.
pub(super) const WHY: &str = "it has placeholders that another tool replaces";

/// Remedy for a file that was named.
pub(super) const RENDER: &str = "check the text that the other tool writes, or leave it out with `--exclude`";

/// Actions of Helm that no program has in its own templates, and blocks of Jinja.
static HELM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\{\{-?\s*(?:/\*|(?:if|with|range|include|template|tpl|toYaml|default|end)\b|\$?\.(?:Values|Release|Chart|Capabilities|Files)\b)|\{%[^%]*%\}").ok()
});

/// Actions of Helm, Handlebars, Mustache, Jinja and Go, with or without white space.
static ACTION: LazyLock<Option<bytes::Regex>> =
    LazyLock::new(|| bytes::Regex::new(r"(?-u)\{\{(?:[^{}]|\{[^{}]*\})*\}\}|\{%[^%]*%\}").ok());

/// Placeholders: of Helm, Jinja and the like, which end; of Concourse; references of 1Password, of the Argo CD Vault plugin and of vals.
static ANY: LazyLock<Option<bytes::Regex>> = LazyLock::new(|| {
    bytes::Regex::new(
        r"(?-u)\{\{(?:[^{}]|\{[^{}]*\})*\}\}|\{%[^%]*%\}|\{#[^#\n]*#\}|<%[^%]*%>|\(\([A-Za-z0-9_./:-]+\)\)|\bop://|<path:|\bref\+[a-z]+://|ENC\[AES256_GCM|\bvault:[a-z]+/",
    )
    .ok()
});

/// Placeholders of `envsubst`, `sed` and the like. In a format such as JSON they may be values as well.
static OTHER: LazyLock<Option<bytes::Regex>> = LazyLock::new(|| {
    bytes::Regex::new(
        r"(?-u)\$\{[A-Za-z_][^{}\n]*\}|\$\([A-Za-z_][A-Za-z0-9_]*\)|\$[A-Z][A-Z0-9_]+|__[A-Z][A-Z0-9_]*?__|%%?[A-Z][A-Z0-9_]+%%?|@@?[A-Z][A-Z0-9_]+@@?|\{[A-Z][A-Z0-9_]+\}|<[A-Z][A-Z0-9_-]+>",
    )
    .ok()
});

/// Placeholders of `envsubst`, `sed` and the like in a configuration of a program that has variables in other letters.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\$\{?(?P<variable>[A-Z][A-Z0-9_]+)\}?|(?:%%|__|@@?)(?P<name>[A-Z][A-Z0-9_]*?)(?:%%|__|@@?)").ok()
});

/// Placeholders that a person replaces, in a text or a message: `<domain>`. A group of a regular expression has a name in the same form.
static ANGLED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[^?])<(?P<name>[A-Za-z][A-Za-z0-9_-]*)>").ok());

/// Values that are a placeholder as a whole, such as `<your-token>` and `${TOKEN}`.
static WHOLE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:<[^<>\n]+>|\$\{[^}\n]+\}|\$\([^)\n]+\)|%%?[A-Za-z_]+%%?|@@?[A-Za-z_]+@@?)\s*$").ok()
});

/// Language of a text, as far as placeholders matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Its program has templates of its own.
    Templates,
    /// A format such as JSON, whose syntax alone is checked.
    Format,
    /// Configuration of nginx, whose variables have lower-case letters by custom.
    Nginx,
    /// Any other one.
    Other,
}

/// Placeholder in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placeholder {
    range: Range<usize>,
    /// True if it is in a quoted string of one line.
    is_quoted: bool,
    /// True if it may be a value as well.
    is_doubtful: bool,
}

/// Returns true if a text is a template.
pub(super) fn is_template(text: &str) -> bool {
    HELM.as_ref().is_some_and(|pattern| pattern.is_match(text))
        || ACTION.as_ref().is_some_and(|pattern| pattern.is_match(text.as_bytes()))
        || text.contains("{{ ")
        || text.contains("{%")
}

/// Returns true if a text has a placeholder.
fn has_placeholder(text: &[u8]) -> bool {
    ANY.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Returns the placeholders of a text that are no part of its program's own templates.
fn placeholders(text: &[u8], dialect: Dialect) -> Vec<Placeholder> {
    let ranges: Vec<Range<usize>> = if dialect == Dialect::Templates {
        let text = std::str::from_utf8(text).unwrap_or_default();
        let actions = HELM.iter().flat_map(|pattern| pattern.find_iter(text));
        actions.filter(|found| is_of_helm(found.as_str())).map(|found| found.range()).collect()
    } else {
        ANY.iter().flat_map(|pattern| pattern.find_iter(text)).map(|found| found.range()).collect()
    };
    let mut all: Vec<(Range<usize>, bool)> = ranges.into_iter().map(|range| (range, false)).collect();
    if dialect == Dialect::Format {
        all.extend(OTHER.iter().flat_map(|pattern| pattern.find_iter(text)).map(|found| (found.range(), true)));
        all.sort_by_key(|(range, is_doubtful)| (range.start, *is_doubtful));
    }
    let (mut found, mut end, mut quote) = (Vec::with_capacity(all.len()), 0, None);
    for (range, is_doubtful) in all.into_iter() {
        if range.start < end {
            continue;
        }
        quote = quote_after(&text[end..range.start], quote);
        let is_quoted = quote.is_some() && !text[range.clone()].contains(&b'\n');
        if is_doubtful && is_quoted {
            // Its quotation marks are those of the text.
            quote = quote_after(&text[range.clone()], quote);
        } else {
            found.push(Placeholder { range: range.clone(), is_quoted, is_doubtful });
        }
        end = range.end;
    }
    found
}

/// Returns a text of the same length without placeholders: plain text in place of each in a quoted string, a number in place of another,
/// and spaces in place of those that fill a line. `None` if there is none.
pub(super) fn replaced(text: &[u8], dialect: Dialect) -> Option<Vec<u8>> {
    let found = placeholders(text, dialect);
    let mut plain = text.to_owned();
    for placeholder in &found {
        let fill = if placeholder.is_quoted { b'x' } else { b'1' };
        plain[placeholder.range.clone()].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = fill);
    }
    let lines = LineIndex::new(text);
    let with_one =
        found.iter().flat_map(|one| lines.line(one.range.start)..=lines.line(one.range.end.saturating_sub(1)));
    for line in with_one.collect::<BTreeSet<_>>() {
        let line = lines.range(line);
        let first = found.partition_point(|one| one.range.end <= line.start);
        let on_line = found[first..].iter().take_while(|one| one.range.start < line.end);
        let mut rest = text[line.clone()].to_owned();
        for Placeholder { range, .. } in on_line {
            rest[range.start.max(line.start) - line.start..range.end.min(line.end) - line.start].fill(b' ');
        }
        if rest.iter().all(u8::is_ascii_whitespace) {
            plain[line].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
    }
    (!found.is_empty()).then_some(plain)
}

/// Returns the places of the placeholders outside of quoted strings.
pub(super) fn open_places(text: &[u8], dialect: Dialect) -> Vec<Range<usize>> {
    let found = placeholders(text, dialect).into_iter();
    found.filter(|one| !one.is_quoted && !one.is_doubtful).map(|one| one.range).collect()
}

/// Returns true if a message about a line names a placeholder of that line, in a language in which it may be text.
pub(super) fn is_named(line: &str, message: &str, dialect: Dialect) -> bool {
    if !matches!(dialect, Dialect::Nginx | Dialect::Other) {
        return false;
    }
    let message = message.to_ascii_lowercase();
    let variable = |found: &regex::Captures<'_>| match found.name("variable").filter(|_| dialect == Dialect::Nginx) {
        Some(name) => Some(name.as_str().to_ascii_lowercase()),
        None => found.name("name").map(|name| name.as_str().to_ascii_lowercase()),
    };
    let mut names = NAMED.iter().flat_map(|pattern| pattern.captures_iter(line)).filter_map(|found| variable(&found));
    names.any(|name| message.contains(&name))
}

/// Returns true if a message names a placeholder such as `<domain>`, which is in one of the lines, neither in a comment nor as the beginning of
/// a section (`<Directory>` of Apache).
pub(super) fn names_angled<'t>(message: &str, mut lines: impl Iterator<Item = &'t str>) -> bool {
    let found = ANGLED.iter().flat_map(|pattern| pattern.captures_iter(message));
    let words: Vec<String> = found.map(|found| format!("<{}>", &found["name"])).collect();
    let is_in = |line: &str| {
        let is_text = !line.starts_with(['#', ';']) && !line.starts_with("//");
        let found = words.iter().any(|word| line.find(word).is_some_and(|at| at > 0 || !line.ends_with('>')));
        is_text && found
    };
    !words.is_empty() && lines.any(|line| is_in(line.trim()))
}

/// Returns the quotation mark that is open behind a text. A line without its closing mark has an apostrophe.
fn quote_after(text: &[u8], mut quote: Option<u8>) -> Option<u8> {
    let mut is_escaped = false;
    for byte in text {
        match byte {
            b'\n' => quote = None,
            b'"' | b'\'' if !is_escaped && quote.is_none() => quote = Some(*byte),
            byte if !is_escaped && quote == Some(*byte) => quote = None,
            _ => {}
        }
        is_escaped = *byte == b'\\' && !is_escaped;
    }
    quote
}

/// Returns true for the objects of Helm, which other Go templates do not have.
fn is_of_helm(action: &str) -> bool {
    [".Values", ".Release", ".Chart", ".Capabilities", ".Files", "include", "tpl", "toYaml"]
        .iter()
        .any(|word| action.contains(word))
}

/// Returns true if a value of an object is a placeholder.
pub(super) fn is_placeholder(value: &str) -> bool {
    has_placeholder(value.as_bytes()) || WHOLE.as_ref().is_some_and(|pattern| pattern.is_match(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_known() {
        for text in [
            "{{ .Values.x }}",
            "a ((db-password)) b",
            "op://vault/item/field",
            "<path:secret/a#b>",
            "ENC[AES256_GCM,data:x]",
        ] {
            assert!(has_placeholder(text.as_bytes()), "{text}");
        }
        for text in
            ["a (b) c", "{a: {b: c}}", "server { }", "$uri", "x<y>z", "{{\"a\": 1}", "{{a: 1}, {b: 2}}", "<%", "{%"]
        {
            assert!(!has_placeholder(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn templates_of_programs_are_no_placeholders() {
        let places = |text: &str| open_places(text.as_bytes(), Dialect::Templates);
        assert!(places("summary: {{ $labels.job }} {{ if gt 1 2 }}x{{ end }}").is_empty());
        assert!(!places("summary: {{ .Values.job }}").is_empty());
    }

    #[test]
    fn placeholders_become_plain_text_and_numbers() {
        for (text, expected) in [
            ("{\"a\": \"{{x}}\"}", Some("{\"a\": \"xxxxx\"}")),
            ("a '{{ \"x\" }} b' {{ c }}", Some("a 'xxxxxxxxx b' 1111111")),
            ("# don't\nlisten {{ port }};", Some("# don't\nlisten 1111111111;")),
            (
                "a: 1\n  {{- if x }} {{ y }}\nb: {{\n x }}:8500\n",
                Some("a: 1\n                     \nb: 11\n11111:8500\n"),
            ),
            ("{% if a %}\n{\"b\": __C_D__}\n", Some("          \n{\"b\": 1111111}\n")),
            ("a: ${B}\n  ${MORE}\nip: {PRE_FIX}.16\n", Some("a: 1111\n         \nip: 111111111.16\n")),
            ("a: \"${B} __C__\"\n", None),
            ("a: b\n", None),
        ] {
            let plain =
                replaced(text.as_bytes(), Dialect::Format).map(|text| String::from_utf8_lossy(&text).into_owned());
            assert_eq!(plain.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn templates_are_known_with_and_without_white_space() {
        for text in [
            "a: {{.Name}}",
            "{{- toYaml x }}",
            "{{#if x}}\na: b\n{{/if}}",
            "{{- toJsonMap\n  .x | nindent 4 }}",
            "{% if x %}",
        ] {
            assert!(is_template(text), "{text}");
        }
        for text in ["a: {{b: 1}: c}", "a: [1", "a: {b: {c: 1}}"] {
            assert!(!is_template(text), "{text}");
        }
    }

    #[test]
    fn a_message_names_a_placeholder_in_angle_brackets() {
        let is = |message: &str, text: &str| names_angled(message, text.lines());
        assert!(is("no certificate for: 'n8n.<domain>.<suffix>'", "n8n.<domain>.<suffix> {\n}\n"));
        assert!(is("host not found in \"<host>:80\"", "proxy_pass http://<host>:80;\n"));
        assert!(!is("'server' expects <name> and <addr>", "server a\n# server <name> <addr>\n"), "it is the usage");
        assert!(!is("<Directory> takes an argument", "<Directory>\n"), "it is a section");
        assert!(!is("unknown \"domain\"", "a <domain>;\n"));
    }

    #[test]
    fn a_message_names_a_placeholder_of_its_line() {
        for (line, message, dialect, expected) in [
            ("return 301 https://$DOMAIN$request_uri;", "unknown \"domain\" variable", Dialect::Nginx, true),
            ("server ${PHP_HOST}:9000;", "host not found in upstream \"${PHP_HOST}:9000\"", Dialect::Nginx, true),
            ("listen %%PORT%%;", "host not found in \"%%PORT%%\"", Dialect::Nginx, true),
            ("return 301 https://$domainn;", "unknown \"domainn\" variable", Dialect::Nginx, false),
            ("lisen 80; return 301 https://$DOMAIN;", "unknown directive \"lisen\"", Dialect::Nginx, false),
            ("bind :${PORT}", "invalid port in ':${PORT}'", Dialect::Other, false),
            ("bind :__PORT__", "invalid port '__PORT__'", Dialect::Other, true),
        ] {
            assert_eq!(is_named(line, message, dialect), expected, "{line}");
        }
    }
}
