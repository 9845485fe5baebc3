//! Any text is read or refused at its place: no panic, no overflow of the stack, an end, and no more
//! memory than its size accounts for. (`fuzz/` asks the same, for longer.)

use proptest::prelude::*;
use reload_gate_contract::Cause;
use reload_gate_structured::json_schema::{Format, MOST_BYTES, MOST_VALUES, Schema};
use reload_gate_structured::yaml::{Broken, Node, Value, documents, parse};
use reload_gate_structured::{codes, ini, json, yaml};

const MIB: usize = 1 << 20;

#[track_caller]
fn refused(text: &str) -> Broken {
    let broken = documents(text).find_map(Result::err).expect("it is refused");
    assert!(broken.span.start <= broken.span.end && broken.span.end <= text.len(), "{broken:?}");
    broken
}

/// What is read at once is at most so large.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
fn too_deep_input_is_refused_at_its_place() {
    for (text, line, column) in [
        ("[".repeat(100_000), 1, 129),
        ("{".repeat(100_000), 1, 129),
        ("{a: ".repeat(100_000), 1, 513),
        ("{\"a\":".repeat(100_000), 1, 641),
        ("- ".repeat(100_000), 1, 257),
        ("? ".repeat(100_000), 1, 257),
        (": ".repeat(100_000), 1, 257),
        ((0..1_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(), 129, 129),
    ] {
        let broken = refused(&text);
        assert_eq!((broken.line, broken.column, &*broken.message), (line, column, "nested too deep"));
        assert_eq!(broken.cause, Cause::Environment);
    }
}

#[test]
fn the_expansion_of_aliases_is_bounded() {
    let laughs: String =
        (1..12).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))).collect();
    let laughs = format!("a0: &a0 ha\n{laughs}");
    let large = format!("a: &a {}\nb: [{}]\n", "x".repeat(MIB), vec!["*a"; 100_000].join(","));
    let deep: String = (1..200).map(|i| format!("a{i}: &a{i} [*a{}]\n", i - 1)).collect();
    let merged: String = (0..1_000).map(|i| format!("x{i}: {{<<: *a}}\n")).collect();
    let merged = format!("a: &a {{{}}}\n{merged}", (0..1_000).map(|i| format!("k{i}: 1,")).collect::<String>());
    let messages = [laughs, large, format!("a0: &a0 x\n{deep}"), merged].map(|text| {
        let broken = refused(&text);
        assert_eq!(broken.cause, Cause::Environment);
        (broken.line, broken.message)
    });
    let too_much = "the aliases of the document expand to too much".to_owned();
    assert_eq!(messages[0], (7, too_much.clone()));
    assert_eq!(messages[1], (2, too_much.clone()));
    assert_eq!(messages[2], (129, "nested too deep".to_owned()));
    assert_eq!(messages[3].1, too_much);
    assert!(peak() < 1_024 * MIB, "{} MiB", peak() / MIB);
}

#[test]
fn a_million_keys_are_refused_and_a_hundred_thousand_are_read() {
    let keys = |count: usize| (0..count).map(|i| format!("k{i}: v\n")).collect::<String>();
    assert_eq!(refused(&keys(1_000_000)).line, 500_000);
    let json = format!("{{{}\"z\": 1}}", (0..100_000).map(|i| format!("\"k{i}\": 1,")).collect::<String>());
    for text in [keys(100_000), json] {
        assert!(parse(&text).expect("it is YAML").expect("it is not empty").entries().len() >= 100_000);
    }
    let same = parse(&"a: 1\n".repeat(100_000)).expect_err("a key is there twice");
    assert_eq!((same.line, same.column), (2, 1));
}

#[test]
fn a_scalar_may_be_huge() {
    let line = format!("  {}é\n", "listen 80; ".repeat(100));
    let texts = [
        format!("a: |\n{}", line.repeat(64 * MIB / line.len())),
        format!("a: >-\n{}", line.repeat(MIB / line.len())),
        format!("a: \"{}\"\n", "\\u00e9 x\n ".repeat(MIB / 8)),
        format!("{{\"a\": \"{}\"}}\n", "\\ud83d\\ude00".repeat(MIB / 8)),
        format!("a: {}\n", "x\n  ".repeat(MIB / 4)),
        format!("a: |+\n{}", "\n".repeat(MIB)),
        format!("a: |1\n{}", " ".repeat(MIB)),
    ];
    for text in texts {
        let root = parse(&text).expect("it is YAML").expect("it is not empty");
        let node = root.get("a").expect("it is there");
        let middle = node.as_str().expect("a scalar").len() / 2;
        let at = node.locate(&text, middle).expect("it is somewhere");
        assert!(node.span.start() <= at && at <= node.span.end());
    }
    assert!(peak() < 1_024 * MIB, "{} MiB", peak() / MIB);
}

/// Each of these took time with the square of its length once.
#[test]
fn many_faults_are_counted_and_cost_no_more_than_reading_them() {
    const COUNT: usize = 100_000;
    let long = "k".repeat(1_000);
    let keys: String = (0..COUNT).map(|i| format!("\"k{i}\": 1, ")).collect();
    let schema = Schema::parse("{properties: {listen: {}}, additionalProperties: false}").expect("it is a schema");
    let cases = [
        json::check("f", format!("{{{}\"a\": 1}}", "\"a\": 1, ".repeat(COUNT)).as_bytes()),
        json::check("f", format!("[{}1]", "\"\\ud83d\", ".repeat(COUNT)).as_bytes()),
        yaml::check("f", "a: 1\n".repeat(COUNT + 1).as_bytes()),
        yaml::check("f", format!("{{{}a: 1}}", "a: 1, ".repeat(COUNT)).as_bytes()),
        ini::check("f", format!("[s]\na = 1\n{}", "a = 1\n".repeat(COUNT)).as_bytes()),
        schema.check("f", format!("{{{}}}", keys.trim_end_matches(", ")).as_bytes(), Format::Json),
    ];
    for findings in cases {
        assert_eq!(findings.len(), 101, "{:?}", findings[0]);
        assert_eq!(findings.last().map(|finding| &*finding.message), Some("99900 more findings are left out"));
    }
    let found = json::check("f", format!("{{\"{long}\": 1, \"{long}\": 2}}").as_bytes());
    assert!(found[0].message.len() < 200, "{}", found[0].message);
    let line = format!("a = [{}1]\n", "1, ".repeat(COUNT));
    assert_eq!(schema.check("f", line.as_bytes(), Format::Toml)[0].code, codes::SCHEMA_UNKNOWN);
}

#[test]
fn what_is_too_large_for_a_schema_is_no_verdict() {
    let schema = Schema::parse("{type: object}").expect("it is a schema");
    let found = |text: &str| {
        let findings = schema.check("f", text.as_bytes(), Format::Json);
        findings.iter().map(|finding| (finding.code, finding.cause)).collect::<Vec<_>>()
    };
    let of = |values: usize| format!("[1{}]", ",1".repeat(values - 2));
    assert_eq!(found(&of(MOST_VALUES)), [(codes::SCHEMA_TYPE, Cause::Config)]);
    assert_eq!(found(&of(MOST_VALUES + 1)), [(codes::TOO_LARGE, Cause::Environment)]);
    let padded = |length: usize| format!("[{}]", " ".repeat(length - 2));
    assert_eq!(found(&padded(MOST_BYTES)), [(codes::SCHEMA_TYPE, Cause::Config)]);
    assert_eq!(found(&padded(MOST_BYTES + 1)), [(codes::TOO_LARGE, Cause::Environment)]);
}

#[test]
fn broken_input_names_its_place() {
    let unclosed = format!("a: 1\nb: \"{}", "x\n ".repeat(MIB / 4));
    for (text, place, message) in [
        ("a:\n\tb: 1\n", (2, 1), "tabs disallowed within this context (block indentation)"),
        ("a:\n  - b\n\t- c\n", (3, 1), "while scanning a plain scalar, found a tab"),
        (&unclosed, (2, 4), "unclosed quote"),
        ("a: 'x\nb: 1\n", (1, 4), "unclosed quote"),
        ("a: b\0c\n", (1, 5), "unexpected character: `\\u{0}'"),
        ("a: \"x\u{1}\"\n", (1, 6), "unexpected character: `\\u{1}'"),
        ("{\"a\": 1, ]\n", (1, 1), "mismatched bracket '{' closed by ']'"),
        ("%YAML 1.2\n", (2, 1), "did not find expected <document start>"),
    ] {
        let broken = refused(text);
        assert_eq!(((broken.line, broken.column), &*broken.message), (place, message), "{text:.80}");
        assert_eq!(broken.cause, Cause::Config);
    }
}

/// All scalars, wherever they are.
fn scalars<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(_) => found.push(node),
        Value::List(items) => items.iter().for_each(|item| scalars(item, found)),
        Value::Map(entries) => {
            entries.iter().flat_map(|(key, value)| [key, value]).for_each(|node| scalars(node, found));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(pieces in prop::collection::vec(prop::sample::select(&[
        "a", "é", " ", "  ", "\t", "\n", "\r\n", "\r", "- ", "? ", ": ", "a: ", "|", ">", "|2-\n", ">+\n", "\"", "'", "\\", "[", "]",
        "{", "}", ",", "#", "&a ", "*a", "!t ", "<<: ", "---\n", "...\n", "%A\n", "\\u12", "\u{feff}", "\0", "\u{85}", "null", "-1.5",
    ][..]), 0..40)) {
        let text = pieces.concat();
        let is_whole = |document: Result<yaml::Document, Broken>| document.is_ok_and(|document| document.repeated.is_empty());
        prop_assert_eq!(yaml::check("f", text.as_bytes()).is_empty(), documents(&text).all(is_whole), "{:?}", text);
        for document in documents(&text).take(100) {
            let Ok(document) = document else { continue };
            let mut found = Vec::new();
            scalars(&document.root, &mut found);
            for node in found {
                let value = node.as_str().unwrap_or_default();
                for offset in 0..=value.len() + 1 {
                    let at = node.locate(&text, offset);
                    let of_base64 = node.locate_base64(&text, offset);
                    let inside = |at| node.span.start() <= at && at <= node.span.end();
                    prop_assert!(at.is_none_or(inside) && of_base64.is_none_or(inside), "{node:?}");
                }
            }
        }
    }
}
