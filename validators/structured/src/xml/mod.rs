//! XML 1.0: well-formed or not (<https://www.w3.org/TR/xml/#sec-well-formed>), with declared prefixes (Namespaces in XML). No schema is
//! applied, and nothing is fetched. No tree is made, so a file takes a few times its size at most.

mod entities;
mod names;
mod reader;

use reload_gate_contract::{Cause, Code, Finding, Span};

use crate::codes::{TOO_LARGE, XML_SYNTAX};
use crate::text::{Report, decode};
use reader::XmlReader;

/// Limit of the distinct entities and prefixes, so that the tables of them stay small.
const MOST_NAMES: usize = 10_000;

/// Limit of entities within entities.
const DEEPEST_ENTITY: usize = 64;

/// The first fault of a file of XML, which ends the parsing.
#[must_use]
pub fn check(path: &str, bytes: &[u8]) -> Vec<Finding> {
    let text = match decode(path, bytes) {
        Ok(text) => text,
        Err(finding) => return vec![*finding],
    };
    let Err(fault) = XmlReader::new(text).document() else { return Vec::new() };
    let finding = Finding { cause: fault.cause, ..Finding::error(fault.code, fault.message) };
    let mut report = Report::new(path, text);
    report.add(Finding { help: fault.help, ..finding }, fault.span);
    report.finish()
}

/// A fault of a text, which ends its parsing.
#[derive(Debug)]
struct XmlFault {
    span: Span,
    code: Code,
    cause: Cause,
    message: String,
    help: Option<String>,
}

impl XmlFault {
    fn new(span: Span, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { span, code: XML_SYNTAX, cause: Cause::Config, message: message.into(), help: None })
    }

    /// The text may be right, and is more than this checker reads.
    fn too_large(span: Span, message: &str) -> Box<Self> {
        Box::new(Self { code: TOO_LARGE, cause: Cause::Environment, ..*Self::new(span, message) })
    }

    fn help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help = Some(help.into());
        self
    }
}

type Read<T = ()> = Result<T, Box<XmlFault>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let shown = |finding: &Finding| {
            let place = finding.place.as_ref().expect("it has a place");
            let help = finding.help.as_deref().map_or_else(String::new, |help| format!("; {help}"));
            format!("{place}: {}: {}{help}", finding.code, finding.message)
        };
        check("f", text.as_bytes()).iter().map(shown).collect()
    }

    #[test]
    fn correct_input_is_accepted() {
        for text in [
            "<a/>",
            "\u{feff}<?xml version=\"1.0\" encoding='UTF-8' standalone=\"yes\" ?>\n<!-- x - y --><a b='1' c = \"2>\"\n/>\n<?p q?>\n",
            "<a>&lt;&#60;&#x3C;&amp;&quot;<![CDATA[ <x> ]] > & ]]><b></b ></a>",
            "<é.1-x:y xmlns:é.1-x='u' xml:lang='en'><b xmlns='u'/></é.1-x:y>",
            "<!DOCTYPE a SYSTEM 'a.dtd'><a>&whatever;</a>",
            "<!DOCTYPE a PUBLIC \"-//A//B\" \"a.dtd\" [<!ELEMENT a (#PCDATA)> <!ATTLIST a b CDATA '>'>\n<!-- [ --> %more; <?p ]> ?>]><a>&x;</a>",
            "<!DOCTYPE a [<!ENTITY x '<b>&y;</b>'><!ENTITY y \"1 &#38;#60; 2\"><!ENTITY % z 'u'>]><a c='&y;'>&x;</a>",
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'x.xml'><!NOTATION n SYSTEM 'n'><!ENTITY u SYSTEM 'u' NDATA n>]><a>&x;</a>",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn each_mistake_is_found_at_its_place() {
        let reference = "; write `&amp;` for `&`, and `&lt;` for `<`";
        for (text, expected) in [
            ("", "f:1:1: xml-syntax: the text ends before the first element"),
            ("x<a/>", "f:1:1: xml-syntax: unexpected `x` before the first element"),
            ("<a/>x", "f:1:5: xml-syntax: unexpected `x` after the last element"),
            ("<a/><b/>", "f:1:5: xml-syntax: a second element beside `a`: a document has one"),
            (
                "<a>\n<b></a>",
                "f:2:4: xml-syntax: expected the end tag `</b>`, not `</a>`; close the element `b` before this one",
            ),
            ("<a>\n<b/>", "f:1:2: xml-syntax: the element `a` is not closed"),
            ("<a></a b>", "f:1:8: xml-syntax: unexpected `b`, expected `>`"),
            ("</a>", "f:1:2: xml-syntax: unexpected `/`, expected the name of an element"),
            ("<a b=c/>", "f:1:6: xml-syntax: unexpected `c`, expected a value in quotes"),
            ("<a b/>", "f:1:5: xml-syntax: unexpected `/`, expected `=`"),
            ("<a b='1'c='2'/>", "f:1:9: xml-syntax: unexpected `c`, expected a space"),
            ("<a b='<'/>", "f:1:7: xml-syntax: `<` within a value; write `&lt;`"),
            ("<a b='1' é='2' b='3'/>", "f:1:16: xml-syntax: duplicate attribute `b`"),
            ("<a b='1/>", "f:1:6: xml-syntax: this value is not closed"),
            ("<x:a/>", "f:1:2: xml-syntax: the prefix `x` is not declared; declare it: `xmlns:x=\"…\"`"),
            (
                "<a><b xmlns:x='u'/><c x:d=''/></a>",
                "f:1:23: xml-syntax: the prefix `x` is not declared; declare it: `xmlns:x=\"…\"`",
            ),
            ("<a>]]></a>", "f:1:4: xml-syntax: `]]>` outside of a CDATA section; write `]]&gt;`"),
            ("<a><!-- x -- y --></a>", "f:1:11: xml-syntax: `--` within a comment"),
            ("<a><!-- x</a>", "f:1:4: xml-syntax: this comment is not closed"),
            ("<a><![CDATA[x</a>", "f:1:4: xml-syntax: this CDATA section is not closed"),
            ("<a><?p x</a>", "f:1:4: xml-syntax: this processing instruction is not closed"),
            (
                " <?xml version='1.0'?><a/>",
                "f:1:2: xml-syntax: the XML declaration is not at the beginning of the text",
            ),
            ("<?xml encoding='x'?><a/>", "f:1:7: xml-syntax: unexpected `encoding`, expected `version`"),
            ("<a>\u{1}</a>", "f:1:4: xml-syntax: the character U+0001 is not allowed in XML"),
            ("<a>&#0;</a>", "f:1:4: xml-syntax: `&#0;` is no character of XML"),
            (
                "<!DOCTYPE a [<!ENTITY x '<b>'>]><a>&x;</a>",
                "f:1:36: xml-syntax: the entity `x` is not well-formed: the element `b` is not closed",
            ),
            (
                "<!DOCTYPE a [<!ENTITY x '<b/>'>]><a b='&x;'/>",
                "f:1:40: xml-syntax: the entity `x` has a `<`, which no value may have",
            ),
            (
                "<!DOCTYPE a [<!ENTITY x '&y;'><!ENTITY y '&x;'>]><a>&x;</a>",
                "f:1:53: xml-syntax: the entity `x` contains itself",
            ),
            (
                "<!DOCTYPE a [<!ENTITY x SYSTEM 'x'>]><a b='&x;'/>",
                "f:1:44: xml-syntax: the entity `x` is in another file, which no value may name",
            ),
            ("<!DOCTYPE a [<!ENTITY x SYSTEM 'x' NDATA n>]><a>&x;</a>", "f:1:49: xml-syntax: the entity `x` is no XML"),
            ("<!DOCTYPE a [<!ENTITY x 'y'", "f:1:1: xml-syntax: this document type is not closed"),
        ] {
            assert_eq!(found(text), [expected], "{text}");
        }
        for (text, expected) in [
            ("<a>x & y</a>", "f:1:6: xml-syntax: unexpected `&`"),
            ("<a>&nbsp;</a>", "f:1:4: xml-syntax: unknown entity `nbsp`"),
            ("<a b='?c&d=1'/>", "f:1:9: xml-syntax: unexpected `&`"),
        ] {
            assert_eq!(found(text), [format!("{expected}{reference}")], "{text}");
        }
    }

    #[test]
    fn entities_are_bounded() {
        let laughs: String = (1..60).map(|i| format!("<!ENTITY a{i} '&a{0};&a{0};&a{0};'>", i - 1)).collect();
        let text = format!("<!DOCTYPE a [<!ENTITY a0 'ha'>{laughs}]><a>&a59;</a>");
        assert_eq!(found(&text), [""; 0], "each is read once");
        let deep: String = (1..100_000).map(|i| format!("<!ENTITY a{i} '&a{};'>", i - 1)).collect();
        let deep = format!("<!DOCTYPE a [<!ENTITY a0 'ha'>{deep}]><a/>");
        assert!(
            found(&deep)[0].contains("too-large: more entities than this checker reads"),
            "{:.200}",
            found(&deep)[0]
        );
        let nested: String = (1..100).map(|i| format!("<!ENTITY a{i} '&a{};'>", i - 1)).collect();
        let nested = format!("<!DOCTYPE a [<!ENTITY a0 'ha'>{nested}]><a>&a99;</a>");
        assert!(found(&nested)[0].contains("too-large: entities are nested too deep"), "{:.200}", found(&nested)[0]);
    }
}
