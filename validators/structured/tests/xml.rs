//! The verdicts of the checker of XML against those of another reader, which makes a tree.

use proptest::prelude::*;
use reload_gate_structured::{codes, xml};
use roxmltree::{Document, ParsingOptions};

/// Returns true if the other reader accepts a text.
fn other_accepts(text: &str) -> bool {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).is_ok()
}

const PIECES: &[&str] = &[
    "<a>",
    "</a>",
    "<b/>",
    "<b x='1'>",
    "<b x='1' y=\"2\"/>",
    "<b x='1' x='2'/>",
    "</b>",
    "</b >",
    "<",
    ">",
    "/>",
    "&amp;",
    "&lt;",
    "&",
    "&x;",
    "&#65;",
    "&#x41;",
    "&#0;",
    "&#xZ;",
    "&#65",
    "x",
    " ",
    "\n",
    "é",
    "]]>",
    "]]",
    "<![CDATA[",
    "<!--",
    "-->",
    "--",
    "-",
    "<?p",
    "?>",
    "<?p x?>",
    "<?xml version='1.0'?>",
    "'",
    "\"",
    "=",
    "\u{1}",
    "\u{fffe}",
    "<p:c/>",
    "<p:c xmlns:p='u'/>",
    "<c xmlns:p='u'>",
    "</c>",
    "<p:d p:e=''/>",
    "<c xml:lang='en'/>",
    "</p:c>",
    "<1/>",
    "<é/>",
    "<a.b-c/>",
];

fn text() -> impl Strategy<Value = String> {
    let inside = prop::collection::vec(prop::sample::select(PIECES), 0..8).prop_map(|pieces| pieces.concat());
    let before = prop::sample::select(
        &["", "", "<?xml version='1.0' encoding=\"UTF-8\"?>\n", "<!-- x -->", " ", "x", "\u{feff}"][..],
    );
    let after = prop::sample::select(&["", "", "\n", "<!-- x -->", "<?p?>", "x", "<b/>", "</r>"][..]);
    (before, inside, after).prop_map(|(before, inside, after)| format!("{before}<r>{inside}</r>{after}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_readers_agree(text in text()) {
        let findings = xml::check("f", text.as_bytes());
        prop_assert!(findings.len() <= 1);
        prop_assert_eq!(findings.is_empty(), other_accepts(&text), "{:?}: {:?}", text, findings);
        for finding in findings {
            prop_assert_eq!(finding.code, codes::XML_SYNTAX);
            let span = finding.place.and_then(|place| place.span).expect("it has a place");
            prop_assert!(span.start <= span.end && text.get(span.start..span.end).is_some(), "{:?}: {:?}", text, span);
        }
    }

    #[test]
    fn any_document_type_is_read_or_refused(pieces in prop::collection::vec(prop::sample::select(&[
        "<!DOCTYPE a", " [", "<!ENTITY x '<b/>'>", "<!ENTITY y \"&x;\">", "<!ENTITY z '&z;'>", "<!ENTITY % p 'q'>", "%p;", "SYSTEM 'f'",
        "<!ENTITY u SYSTEM 'u' NDATA n>", "<!ELEMENT a ANY>", "<!ATTLIST a b CDATA '&#60;'>", "<!--", "-->", "<?p ?>", "]", ">", "<a>", "&x;", "&y;",
        "&z;", "&u;", "&#", "&#é", "&#6é;", "é", "</a>", "'", " ",
    ][..]), 0..12)) {
        let text = pieces.concat();
        for finding in xml::check("f", text.as_bytes()) {
            let span = finding.place.and_then(|place| place.span).expect("it has a place");
            prop_assert!(span.start <= span.end && text.get(span.start..span.end).is_some(), "{:?}: {:?}", text, span);
        }
    }
}
