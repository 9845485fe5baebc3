//! Texts that another tool replaces before the program reads them. Pure.

use std::sync::LazyLock;

use regex::{Regex, bytes};

/// Reason for which a text with placeholders is not checked.
pub(super) const WHY: &str = "it has placeholders that another tool replaces";

/// Actions of Helm that no program has in its own templates.
static HELM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\{\{-?\s*(?:/\*|(?:if|with|range|include|template|tpl|toYaml|default|end)\b|\$?\.(?:Values|Release|Chart|Capabilities|Files)\b)").ok()
});

/// Placeholders: of Helm, Jinja and the like; of Concourse; references of 1Password, of the Argo CD Vault plugin and of vals.
static ANY: LazyLock<Option<bytes::Regex>> = LazyLock::new(|| {
    bytes::Regex::new(
        r"\{\{|\{%|<%|\(\([A-Za-z0-9_./:-]+\)\)|\bop://|<path:|\bref\+[a-z]+://|ENC\[AES256_GCM|\bvault:[a-z]+/",
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

/// Returns true if a text has a placeholder that is no part of a program's own templates, if it has such.
pub(super) fn has_placeholder(text: &[u8], has_own_templates: bool) -> bool {
    if has_own_templates {
        return std::str::from_utf8(text).is_ok_and(|text| {
            HELM.as_ref().is_some_and(|pattern| pattern.find_iter(text).any(|found| is_of_helm(found.as_str())))
        });
    }
    ANY.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Returns true for the objects of Helm, which other Go templates do not have.
fn is_of_helm(action: &str) -> bool {
    [".Values", ".Release", ".Chart", ".Capabilities", ".Files", "include", "tpl", "toYaml"]
        .iter()
        .any(|word| action.contains(word))
}

/// Returns true if a value of an object stands in for another one.
pub(super) fn is_placeholder(value: &str) -> bool {
    has_placeholder(value.as_bytes(), false) || WHOLE.as_ref().is_some_and(|pattern| pattern.is_match(value))
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
            assert!(has_placeholder(text.as_bytes(), false), "{text}");
        }
        for text in ["a (b) c", "{a: {b: c}}", "server { }", "$uri", "x<y>z"] {
            assert!(!has_placeholder(text.as_bytes(), false), "{text}");
        }
    }

    #[test]
    fn templates_of_programs_are_no_placeholders() {
        assert!(!has_placeholder(b"summary: {{ $labels.job }} {{ if gt 1 2 }}x{{ end }}", true));
        assert!(has_placeholder(b"summary: {{ .Values.job }}", true));
    }
}
