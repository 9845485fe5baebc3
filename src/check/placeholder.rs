//! Texts that another tool replaces before the program reads them. Pure.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Regex, bytes};

/// Reason for which a text with placeholders is not checked.
pub(super) const WHY: &str = "it has placeholders that another tool replaces";

/// Remedy for a file that was named.
pub(super) const RENDER: &str = "check the text that the other tool writes, or leave it out with `--exclude`";

/// Actions of Helm that no program has in its own templates.
static HELM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\{\{-?\s*(?:/\*|(?:if|with|range|include|template|tpl|toYaml|default|end)\b|\$?\.(?:Values|Release|Chart|Capabilities|Files)\b)").ok()
});

/// Placeholders: of Helm, Jinja and the like, which end; of Concourse; references of 1Password, of the Argo CD Vault plugin and of vals.
static ANY: LazyLock<Option<bytes::Regex>> = LazyLock::new(|| {
    bytes::Regex::new(
        r"(?-u)\{\{(?:[^{}]|\{[^{}]*\})*\}\}|\{%[^%]*%\}|<%[^%]*%>|\(\([A-Za-z0-9_./:-]+\)\)|\bop://|<path:|\bref\+[a-z]+://|ENC\[AES256_GCM|\bvault:[a-z]+/",
    )
    .ok()
});

/// Values that are a placeholder as a whole, such as `<your-token>` and `${TOKEN}`.
static WHOLE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:<[^<>\n]+>|\$\{[^}\n]+\}|\$\([^)\n]+\)|%%?[A-Za-z_]+%%?|@@?[A-Za-z_]+@@?)\s*$").ok()
});

/// Returns true if a text is a template of Helm.
pub(super) fn is_template(text: &str) -> bool {
    HELM.as_ref().is_some_and(|pattern| pattern.is_match(text)) || text.contains("{{ ") || text.contains("{%")
}

/// Returns true if a text has a placeholder.
fn has_placeholder(text: &[u8]) -> bool {
    ANY.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Returns the places of the placeholders that are no part of a program's own templates, if it has such.
pub(super) fn places(text: &[u8], has_own_templates: bool) -> Vec<Range<usize>> {
    if has_own_templates {
        let Ok(text) = std::str::from_utf8(text) else { return Vec::new() };
        let actions = HELM.iter().flat_map(|pattern| pattern.find_iter(text));
        return actions.filter(|found| is_of_helm(found.as_str())).map(|found| found.range()).collect();
    }
    ANY.iter().flat_map(|pattern| pattern.find_iter(text)).map(|found| found.range()).collect()
}

/// Returns a text of the same length with plain text in place of each placeholder in a quoted string; `None` if there is none.
pub(super) fn with_plain_text(text: &[u8]) -> Option<Vec<u8>> {
    let (mut plain, mut end, mut quote) = (None, 0, None);
    for place in places(text, false) {
        quote = quote_after(&text[end..place.start], quote);
        end = place.end;
        if quote.is_some() && !text[place.clone()].contains(&b'\n') {
            plain.get_or_insert_with(|| text.to_owned())[place].fill(b'x');
        }
    }
    plain
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
        assert!(places(b"summary: {{ $labels.job }} {{ if gt 1 2 }}x{{ end }}", true).is_empty());
        assert!(!places(b"summary: {{ .Values.job }}", true).is_empty());
    }

    #[test]
    fn quoted_placeholders_become_plain_text() {
        let plain =
            |text: &str| with_plain_text(text.as_bytes()).map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(plain("{\"a\": \"{{x}}\"}").as_deref(), Some("{\"a\": \"xxxxx\"}"));
        assert_eq!(plain("a '{{ \"x\" }} b' {{ c }}").as_deref(), Some("a 'xxxxxxxxx b' {{ c }}"));
        assert_eq!(plain("# don't\nlisten {{ port }};"), None);
        assert_eq!(plain("{\"a\": {{ x }}}"), None);
    }
}
