//! Descriptions of finding codes, from the pages that document them.

use super::{Checked, Located};

/// Page with a heading for each code of a bundled validator.
struct CodePage {
    name: &'static str,
    text: &'static str,
}

const NGINX: CodePage = CodePage { name: "findings.md", text: include_str!("../../../docs/findings.md") };
const HYGIENE: CodePage =
    CodePage { name: "findings-nginx-hygiene.md", text: include_str!("../../../docs/findings-nginx-hygiene.md") };
const TLS: CodePage = CodePage { name: "findings-tls.md", text: include_str!("../../../docs/findings-tls.md") };
const STRUCTURED: CodePage =
    CodePage { name: "findings-structured.md", text: include_str!("../../../docs/findings-structured.md") };

/// Page with a table of the other codes.
const TABLE: &str = include_str!("../../../docs/stability.md");

/// Description of a code.
pub(super) struct Description {
    /// Place in the documentation, below `docs`.
    pub(super) page: String,
    /// First sentences.
    pub(super) text: String,
    /// Whole section as Markdown.
    pub(super) markdown: String,
}

/// Returns the description of the code of a finding.
pub(super) fn describe(checked: &Checked, located: &Located) -> Description {
    let code = located.finding.code.as_str();
    let source = located.finding.source.as_deref().unwrap_or_default();
    // A validation may have several validators, of which each names itself in its findings.
    let own = match source {
        "the bundled nginx checker" if section(&HYGIENE, code).is_some() => Some(&HYGIENE),
        "the bundled nginx checker" => Some(&NGINX),
        "the bundled TLS checker" => Some(&TLS),
        _ if source.starts_with("the bundled ") => Some(&STRUCTURED),
        _ if source.is_empty() || !checked.validator.starts_with("builtin ") => None,
        _ => [&NGINX, &HYGIENE, &TLS, &STRUCTURED].into_iter().find(|page| section(page, code).is_some()),
    };
    let found = own.and_then(|page| Some((page, section(page, code)?)));
    match found {
        Some((page, section)) => {
            let text = section.split("\n\n").next().unwrap_or_default().replace('\n', " ");
            let page = format!("{}#{code}", page.name);
            Description { page, text, markdown: section.to_owned() }
        }
        None => {
            let text = meaning(code).map_or_else(|| code.replace('-', " "), str::to_owned);
            Description { page: "stability.md#finding-codes".to_owned(), markdown: text.clone(), text }
        }
    }
}

/// Returns the text below the heading of a code.
fn section<'p>(page: &'p CodePage, code: &str) -> Option<&'p str> {
    let (_, rest) = page.text.split_once(&format!("\n## {code}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest).trim())
}

/// Returns the meaning of a code in the table.
fn meaning(code: &str) -> Option<&'static str> {
    let row = TABLE.lines().find(|line| line.starts_with(&format!("| `{code}` |")))?;
    row.trim_end_matches('|').rsplit('|').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_has_its_codes() {
        for (page, code) in [
            (&NGINX, "unknown-directive"),
            (&HYGIENE, "open-proxy"),
            (&TLS, "broken-base64"),
            (&STRUCTURED, "json-comment"),
        ] {
            assert!(section(page, code).is_some_and(|text| text.contains("```") || text.len() > 20), "{code}");
        }
        assert_eq!(section(&NGINX, "no-such-code"), None);
        assert_eq!(
            meaning("checker-timeout"),
            Some("the checker, or the bundled validator, took longer than `--timeout`")
        );
    }
}
