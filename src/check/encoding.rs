//! Files in UTF-16, which editors on Windows write. Readers of YAML accept them (YAML 1.2.2, section 5.2); to all other programs each second
//! byte is NUL, so their messages explain nothing. Pure.

use std::path::Path;

use reload_gate_contract::{Cause, Code, Finding, Place, Severity};

use crate::flow::validate::{Builtin, Validator};

const UTF_16: Code = Code::new("utf-16");

/// Remedy.
pub(super) const CONVERT: &str = "convert it to UTF-8, as `iconv -f UTF-16 -t UTF-8` does";
/// Reason why a file is not checked.
pub(super) const WHY: &str = "it is encoded in UTF-16";

/// Returns true if a text begins with a byte order mark of UTF-16.
pub(super) fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])
}

/// Returns the warning about a manifest.
pub(super) fn of_manifest(name: &str) -> Finding {
    let message = "it is encoded in UTF-16, which kubectl and Kustomize read, and Helm does not";
    Finding::warning(UTF_16, message).at(Place::file(name)).help(CONVERT)
}

/// Replaces the errors of a validation about files in UTF-16 by one about the encoding of each. `main` is the file that an error without a
/// place is about.
pub(super) fn named<'t>(
    found: Vec<Finding>,
    main: Option<&Path>,
    text: &dyn Fn(&str) -> Option<&'t [u8]>,
) -> Vec<Finding> {
    let main = main.map(|main| main.to_string_lossy().into_owned());
    let mut kept: Vec<Finding> = Vec::with_capacity(found.len());
    for finding in found {
        let file = finding.place.as_ref().map(|place| place.file.clone()).or_else(|| main.clone());
        match file.filter(|file| is_about_text(&finding) && text(file).is_some_and(is_utf16)) {
            Some(file) => {
                let place = Place::file(file);
                let known = kept.iter().any(|other| other.code == UTF_16 && other.place.as_ref() == Some(&place));
                if !known {
                    kept.push(Finding::error(UTF_16, "the file is encoded in UTF-16").at(place).help(CONVERT));
                }
            }
            None => kept.push(finding),
        }
    }
    kept
}

/// Returns true if an error is about a text: without a place an obstacle is about the checker.
fn is_about_text(finding: &Finding) -> bool {
    finding.severity == Severity::Error && (finding.place.is_some() || finding.cause == Cause::Config)
}

/// Returns true if a validator reads UTF-16, so that its findings are about the content.
pub(super) fn is_read_by(validator: &Validator) -> bool {
    matches!(validator, Validator::Builtin(Builtin::Structured(format)) if format.word() == "yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: Code = Code::new("other");

    fn codes(found: &[Finding]) -> Vec<(&str, &str)> {
        let file = |finding: &Finding| finding.place.as_ref().map(|place| place.file.len()).unwrap_or_default();
        found.iter().map(|finding| (finding.code.as_str(), if file(finding) > 0 { "placed" } else { "" })).collect()
    }

    #[test]
    fn errors_of_a_file_in_utf16_become_one_about_its_encoding() {
        let text = |file: &str| Some(if file == "/wide" { &b"\xff\xfea\0"[..] } else { &b"a"[..] });
        let at = |file: &str| Finding::error(OTHER, "m").at(Place::line(file, 1));
        let judged = |found: Vec<Finding>, main: &str| named(found, Some(Path::new(main)), &text);
        assert_eq!(codes(&judged(vec![at("/wide"), at("/wide")], "/wide")), [("utf-16", "placed")]);
        assert_eq!(codes(&judged(vec![at("/plain")], "/wide")), [("other", "placed")]);
        assert_eq!(codes(&judged(vec![Finding::error(OTHER, "m")], "/wide")), [("utf-16", "placed")]);
        assert_eq!(codes(&judged(vec![Finding::error(OTHER, "m")], "/plain")), [("other", "")]);
        let missing = Finding::environment(OTHER, "the checker is missing");
        assert_eq!(codes(&judged(vec![missing], "/wide")), [("other", "")], "it is not about the text");
        let warning = Finding::warning(OTHER, "m").at(Place::file("/wide"));
        assert_eq!(codes(&judged(vec![warning], "/wide")), [("other", "placed")]);
    }
}
