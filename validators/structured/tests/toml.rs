//! The checker of TOML accepts a text exactly if the reader of trees does, which has another memory of names.

use proptest::prelude::*;
use reload_gate_contract::Cause;
use reload_gate_structured::toml::check;

/// Pieces of which statements are made, few enough that names meet again.
const PIECES: [&str; 56] = [
    "a",
    "b",
    "c",
    "a",
    "b",
    "a.b",
    "b.a",
    "a.b.c",
    "\"a\"",
    "'b'",
    "\"\\u0061\"",
    "1",
    "-0.5e+1",
    "1979-05-27 07:32:00",
    "true",
    "inf",
    "0x1f",
    "\"x\"",
    "'''y\n'''",
    "\"\"\"z\"\"\"",
    " = ",
    " = ",
    " = ",
    "=",
    "=1",
    "=1\n",
    " = 1\n",
    " = {a = 1}\n",
    " = {}\n",
    " = []\n",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    ",",
    ", ",
    ".",
    " . ",
    " ",
    "\t",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "# c\n",
    "\r",
    "é",
    "\0",
    "[a]\n",
    "[b]\n",
    "[a.b]\n",
    "[[a]]\n",
    "[[a.b]]\n",
    "[c.a]\n",
];

/// The same in a form that is mostly right: statements of names that meet again.
fn statement() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "\"a\"", "'b'"]);
    let key = prop::collection::vec(name, 1..4).prop_map(|names| names.join("."));
    let value = prop::sample::select(vec![
        "1",
        "[]",
        "{}",
        "{a = 1}",
        "{a.b = 1, a.c = {a = 1}}",
        "[{a = 1}, {a = 2}]",
        "{a = 1, a = 2}",
    ]);
    prop_oneof![
        (key.clone(), value).prop_map(|(key, value)| format!("{key} = {value}\n")),
        key.clone().prop_map(|key| format!("[{key}]\n")),
        key.prop_map(|key| format!("[[{key}]]\n")),
    ]
}

fn agrees(text: &str) -> Result<(), TestCaseError> {
    let findings = check("f", text.as_bytes());
    let (_, errors) = toml::de::DeTable::parse_recoverable(text);
    prop_assert_eq!(findings.is_empty(), errors.is_empty(), "{:?}: {:?} {:?}", text, findings, errors);
    for finding in &findings {
        let span = finding.place.as_ref().and_then(|place| place.span).expect("it has a place");
        prop_assert!(span.start <= span.end && span.end <= text.len(), "{finding:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pieces_are_accepted_by_both_or_by_none(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..14)) {
        agrees(&pieces.concat())?;
    }

    #[test]
    fn any_statements_are_accepted_by_both_or_by_none(statements in prop::collection::vec(statement(), 0..8)) {
        agrees(&statements.concat())?;
    }
}

#[test]
fn a_fault_in_an_array_does_not_hide_the_statements_behind_it() {
    let found = |text: &str| {
        let places = check("f", text.as_bytes());
        let line = |finding: &reload_gate_contract::Finding| finding.place.as_ref().and_then(|place| place.line);
        places.iter().map(|finding| (line(finding).expect("it has one"), finding.message.clone())).collect::<Vec<_>>()
    };
    let missing = |line: u32| (line, "a key without a value, expected `=`".to_owned());
    assert_eq!(
        found("a = [\n  1,\n  = 2,\n  x\n]\nb\n[c]\nd\n"),
        [(3, "unexpected `=`, expected a value".to_owned()), missing(6), missing(8)]
    );
    assert_eq!(
        found("a = [\n  1,\nb = 1\n[c]\nd\n"),
        [
            (3, "string values must be quoted, expected literal string".to_owned()),
            (3, "unexpected `=`, expected `,` or `]`".to_owned()),
            missing(5)
        ]
    );
    assert_eq!(found("x = 1\na = [1,\n"), [(2, "this `[` is not closed".to_owned())]);
}

#[test]
fn what_is_nested_too_deep_is_not_said_to_be_wrong() {
    for text in [
        format!("a = {}{}\n", "[".repeat(81), "]".repeat(81)),
        format!("{} = 1\n", vec!["a"; 81].join(".")),
        format!("a = {}1{}\n", "{a = ".repeat(81), "}".repeat(81)),
    ] {
        let findings = check("f", text.as_bytes());
        assert_eq!((findings[0].cause, &*findings[0].message), (Cause::Environment, "nested too deep"), "{findings:?}");
    }
    assert_eq!(check("f", format!("a = {}{}\n", "[".repeat(80), "]".repeat(80)).as_bytes()), []);
}
