//! Redaction of the findings of one validation. Pure.
//!
//! All texts are redacted together, in one pass over the Secrets: their number is bounded, and a pass for each would take time that grows
//! with both.

use std::collections::BTreeMap;

use reload_gate_contract::Finding;

use super::findings::is_only_a_key;
use super::names;
use crate::redact::Redactor;

const QUOTES: [char; 3] = ['"', '\'', '`'];

/// Largest number of bytes that are searched for quotations. A quotation that was not searched for counts as any other text.
const SEARCHED: usize = 256 << 20;

/// Part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'t> {
    /// It stays, also if a Secret has the same words.
    Kept(&'t str),
    /// Quotations of a Secret in it are removed.
    Checked(&'t str),
}

/// Contents of one validation.
pub(super) struct Contents<'c> {
    /// Contents of the Secrets, and values of variables that come from some.
    pub(super) secrets: Vec<&'c [u8]>,
    /// Returns the text of a file that is no Secret.
    pub(super) public: &'c dyn Fn(&str) -> Option<&'c str>,
    /// Contents of Secrets in which a name may be a key, and no value.
    pub(super) keyed: Vec<&'c [u8]>,
}

impl Contents<'_> {
    /// Returns the findings without quotations of Secrets.
    pub(super) fn redact(&self, findings: Vec<Finding>) -> Vec<Finding> {
        if findings.is_empty() {
            return findings;
        }
        let redactor = Redactor::new(self.secrets.iter().copied());
        if redactor.is_empty() {
            return findings;
        }
        let mut search = QuotationSearch { contents: self, found: BTreeMap::new(), keys: BTreeMap::new(), searched: 0 };
        let messages: Vec<Vec<Part<'_>>> = findings.iter().map(|finding| search.parts(finding)).collect();
        // A quotation with a quotation mark of its own ends too early.
        let may_quote = !self.secrets.iter().any(|secret| secret.contains(&b'`'));
        let parts = |help| if may_quote { help_parts(help) } else { vec![Part::Checked(help)] };
        let helps: Vec<Vec<Part<'_>>> =
            findings.iter().map(|finding| parts(finding.help.as_deref().unwrap_or_default())).collect();
        let checked = |part| match part {
            Part::Checked(text) => Some(text),
            Part::Kept(_) => None,
        };
        let texts = messages.iter().zip(&helps).flat_map(|(parts, help)| parts.iter().chain(help).copied());
        let mut shown = redactor.texts(texts.filter_map(checked)).into_iter();
        let mut show = |part: &Part<'_>| match part {
            Part::Kept(text) => (*text).to_owned(),
            Part::Checked(_) => shown.next().unwrap_or_default(),
        };
        let texts: Vec<(String, Option<String>)> = messages
            .iter()
            .zip(helps.iter().zip(&findings))
            .map(|(parts, (help, finding))| {
                let message = parts.iter().map(&mut show).collect();
                let help: String = help.iter().map(&mut show).collect();
                (message, finding.help.is_some().then_some(help))
            })
            .collect();
        findings.into_iter().zip(texts).map(|(finding, (message, help))| Finding { message, help, ..finding }).collect()
    }
}

/// Returns the parts of a help. Its own words are those of this program, and what is quoted may be of a Secret.
fn help_parts(help: &str) -> Vec<Part<'_>> {
    let (mut parts, mut done, mut quoted) = (Vec::new(), 0, false);
    let ends = help.match_indices('`').map(|(at, quote)| (at, quote.len())).chain([(help.len(), 0)]);
    for (at, length) in ends {
        let part = &help[done..at];
        parts.push(if quoted { Part::Checked(part) } else { Part::Kept(part) });
        parts.push(Part::Kept(&help[at..at + length]));
        (done, quoted) = (at + length, !quoted);
    }
    parts
}

/// Search for the parts of messages that may stay.
struct QuotationSearch<'s, 'c> {
    contents: &'s Contents<'c>,
    /// Quotations of a file, and whether it has them.
    found: BTreeMap<(String, String), bool>,
    /// Names, and whether they are keys alone.
    keys: BTreeMap<String, bool>,
    searched: usize,
}

impl QuotationSearch<'_, '_> {
    /// Returns the parts of a message. Of a finding about a text that is no Secret, its quotations of that text stay; else the name of an
    /// unknown key, which is no value.
    fn parts<'t>(&mut self, finding: &'t Finding) -> Vec<Part<'t>> {
        let file = finding.place.as_ref().map(|place| place.file.as_str());
        if let Some((file, text)) = file.and_then(|file| Some((file, (self.contents.public)(file)?))) {
            return self.quotations(file, text, &finding.message);
        }
        let name = names::unknown_name(&finding.message).flatten();
        let name = name.or_else(|| names::own_kind(&finding.message)).filter(|name| self.is_key(name));
        let Some(name) = name else { return vec![Part::Checked(&finding.message)] };
        let mut parts = Vec::new();
        let mut done = 0;
        for (at, found) in finding.message.match_indices(&name) {
            parts.extend([Part::Checked(&finding.message[done..at]), Part::Kept(found)]);
            done = at + found.len();
        }
        parts.push(Part::Checked(&finding.message[done..]));
        parts
    }

    fn quotations<'t>(&mut self, file: &str, text: &str, message: &'t str) -> Vec<Part<'t>> {
        let (mut parts, mut done, mut quoted) = (Vec::new(), 0, false);
        let ends = message.match_indices(QUOTES).map(|(at, quote)| (at, quote.len())).chain([(message.len(), 0)]);
        for (at, length) in ends {
            let part = &message[done..at];
            let stays = quoted && !part.is_empty() && self.has(file, text, part);
            parts.push(if stays { Part::Kept(part) } else { Part::Checked(part) });
            parts.push(Part::Kept(&message[at..at + length]));
            (done, quoted) = (at + length, !quoted);
        }
        parts
    }

    fn has(&mut self, file: &str, text: &str, part: &str) -> bool {
        let key = (file.to_owned(), part.to_owned());
        if let Some(found) = self.found.get(&key) {
            return *found;
        }
        self.searched = self.searched.saturating_add(text.len());
        let found = self.searched <= SEARCHED && text.contains(part);
        self.found.insert(key, found);
        found
    }

    fn is_key(&mut self, name: &str) -> bool {
        if let Some(known) = self.keys.get(name) {
            return *known;
        }
        self.searched = self.searched.saturating_add(self.contents.keyed.iter().map(|content| content.len()).sum());
        let is_key =
            self.searched <= SEARCHED && self.contents.keyed.iter().any(|content| is_only_a_key(content, name));
        self.keys.insert(name.to_owned(), is_key);
        is_key
    }
}

/// Returns true if a content is certificates and nothing else, which every client of a server receives.
pub(super) fn is_public(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    let (mut body, mut count) = (None::<String>, 0);
    for line in text.lines().map(str::trim) {
        body = match (body.take(), line) {
            (None, "") => None,
            (None, "-----BEGIN CERTIFICATE-----") => Some(String::new()),
            (Some(body), "-----END CERTIFICATE-----") if is_der(&body) => {
                count += 1;
                None
            }
            (Some(body), line) if !line.starts_with('-') => Some(body + line),
            _ => return false,
        };
    }
    body.is_none() && count > 0
}

/// Returns true if a text is base64 of one sequence in DER, and of nothing behind it (X.690, 8.1.3).
fn is_der(body: &str) -> bool {
    use base64::Engine as _;
    let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(body) else { return false };
    let (length, header) = match bytes.as_slice() {
        [0x30, 0x81, length, ..] => (usize::from(*length), 3),
        [0x30, 0x82, high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 4),
        [0x30, length @ 0..=0x7f, ..] => (usize::from(*length), 2),
        _ => return false,
    };
    bytes.len() == header + length
}

#[cfg(test)]
mod tests {
    use reload_gate_contract::{Code, Place};

    use super::*;

    const CODE: Code = Code::new("a-code");

    fn redacted(secret: &str, findings: Vec<Finding>) -> Vec<String> {
        let public = |file: &str| (file == "public").then_some("listen hunter2;");
        let secrets = vec![secret.as_bytes()];
        let contents = Contents { keyed: secrets.clone(), secrets, public: &public };
        contents.redact(findings).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_quotation_of_a_public_text_stays_and_one_of_a_secret_does_not() {
        let message = "unknown \"hunter2\" beside hunter2";
        let about = |file: &str| Finding::error(CODE, message).at(Place::line(file, 1));
        let shown = redacted("password: hunter2\n", vec![about("public"), about("secret")]);
        assert_eq!(shown[0], "unknown \"hunter2\" beside [redacted]");
        assert!(!shown[1].contains("hunter2"), "{}", shown[1]);
    }

    #[test]
    fn the_words_of_a_help_stay_and_a_quotation_in_it_does_not() {
        let help = |secret: &str, help: &str| {
            let public = |_: &str| None;
            let contents = Contents { secrets: vec![secret.as_bytes()], keyed: Vec::new(), public: &public };
            contents.redact(vec![Finding::error(CODE, "m").help(help.to_owned())]).remove(0).help
        };
        let shown = help("program: hunter2", "put the program on the PATH: `hunter2` is unknown");
        assert_eq!(shown.as_deref(), Some("put the program on the PATH: `[redacted]` is unknown"));
        let shown = help("a: x`hunter2", "see `x`hunter2`");
        assert!(shown.is_some_and(|shown| !shown.contains("hunter2")));
    }

    #[test]
    fn each_text_returns_to_its_finding() {
        let findings = (0..50).map(|number| Finding::error(CODE, format!("message {number} hunter2")).help("help"));
        let shown = redacted("password: hunter2\n", findings.collect());
        let expected: Vec<_> = (0..50).map(|number| format!("message {number} [redacted]")).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_search_for_quotations_is_bounded() {
        let text = "x".repeat(1 << 20);
        let public = |_: &str| Some(text.as_str());
        let contents = Contents { secrets: vec![b"hunter2"], public: &public, keyed: Vec::new() };
        let mut search =
            QuotationSearch { contents: &contents, found: BTreeMap::new(), keys: BTreeMap::new(), searched: 0 };
        let finding = |number| Finding::error(CODE, format!("\"{number}\" \"{number}y\"")).at(Place::line("f", 1));
        let findings: Vec<_> = (0..1_000).map(finding).collect();
        for finding in &findings {
            search.parts(finding);
        }
        assert!(search.searched >= SEARCHED, "a search was counted");
        let before = search.found.len();
        assert!(!search.has("f", &text, "x"), "nothing is searched any more");
        assert_eq!(search.found.len(), before + 1);
    }

    #[test]
    fn only_certificates_are_public() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMAUCAwEAAQ==\n-----END CERTIFICATE-----\n";
        assert!(is_public(certificate.as_bytes()));
        assert!(is_public(format!("\n{certificate}\n{certificate}").as_bytes()));
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----\npassword\n-----END CERTIFICATE-----\n",
            &format!("{certificate}password"),
            &format!("password {certificate}"),
            &format!("{certificate}-----BEGIN PRIVATE KEY-----\nMAUCAwEAAQ==\n-----END PRIVATE KEY-----\n"),
            "-----BEGIN CERTIFICATE-----\nMAUCAwEAAQ==",
        ] {
            assert!(!is_public(text.as_bytes()), "{text}");
        }
    }
}
