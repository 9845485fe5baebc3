//! Any bytes are judged as a configuration: no panic, an end, places within the file, and a syntax tree that
//! prints the text it was made from. (`fuzz/` asks the same, for longer.)

use proptest::prelude::*;
use reload_gate_contract::{MemoryFiles, Place};
use reload_gate_nginx::directives::{Version, names};
use reload_gate_nginx::parser::parse;
use reload_gate_nginx::{Options, check};

const MAIN: &str = "/etc/nginx/nginx.conf";

/// Values that people write, and some that they should not.
const VALUES: &[&str] = &[
    "on",
    "off",
    "80",
    "[::]:443",
    "ssl",
    "default_server",
    "unix:/run/x.sock",
    "*.example.com",
    "~^(?<a>.+)$",
    "~*(",
    "$uri",
    "${host}x",
    "${",
    "$",
    "=",
    "^~",
    "@named",
    "/",
    "/api/",
    "http://backend/",
    "http://$host",
    "10m",
    "zone=a:1m",
    "shared:x:10m",
    "1d",
    "-1",
    "99999999999999999999",
    "\"a b\"",
    "'it''s'",
    "\"\\\"",
    "'",
    "\"",
    "#",
    "default",
    "10.0.0.0/8",
    "include",
    "*.conf",
    "../nginx.conf",
    "nginx.conf",
    "modules/ngx_stream_module.so",
    "max_size=1g",
    "$request_method",
];

/// A word of a configuration: what nginx knows, what people write, and what neither of them does.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<_> = names(Version::NEWEST_STABLE).collect();
    prop_oneof![
        5 => prop::sample::select(known).prop_map(|name| name.as_bytes().to_vec()),
        4 => prop::sample::select(VALUES).prop_map(|value| value.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ]
}

/// Words, and the text between them.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let between =
        prop::sample::select(&[" ", " ", " ", ";", ";\n", ";", " {\n", " {", "}", "}\n", "\r\n", "\t", ""][..]);
    prop::collection::vec((word(), between), 0..120).prop_map(|pieces| {
        pieces.into_iter().flat_map(|(word, end)| [word, end.as_bytes().to_vec()].concat()).collect()
    })
}

/// The blocks of most directives, around anything.
fn placed() -> impl Strategy<Value = Vec<u8>> {
    let around = [
        ("", ""),
        ("events {} http { ", " }"),
        ("events {} http { server { ", " } }"),
        ("events {} http { server { location / { ", " } } }"),
        ("events {} http { upstream u { ", " } }"),
        ("events {} http { map $uri $x { ", " } }"),
        ("events {} stream { ", " }"),
        ("events {} stream { server { ", " } }"),
        ("events {} mail { server { ", " } }"),
    ];
    (prop::sample::select(around.to_vec()), text())
        .prop_map(|((before, after), text)| [before.as_bytes(), &text, after.as_bytes()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_judged(text in placed()) {
        let files: MemoryFiles = [(MAIN, text.clone())].into_iter().collect();
        let options = Options { modules: vec!["ngx_stream_module".into(), "ngx_mail_module".into()], ..Options::default() };
        for finding in check(MAIN, &files, &options) {
            let place: Place = finding.place.expect("every finding is somewhere");
            let span = place.span.expect("every finding in the main file has its bytes");
            prop_assert!(span.start <= span.end && span.end <= text.len(), "{place:?}");
        }
    }

    #[test]
    fn a_tree_prints_its_text(text in text()) {
        prop_assert_eq!(parse(text.as_slice()).print(), text);
    }

    #[test]
    fn a_tree_prints_any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(parse(text.as_slice()).print(), text);
    }
}

#[test]
fn deep_nesting_and_cycles_end() {
    let deep = "http { server { location / { if ($a) {".repeat(20_000);
    let chain = "include nginx.conf;\n".repeat(200);
    for text in [deep, "{".repeat(300_000), "}".repeat(300_000), "a ".repeat(300_000), chain] {
        let files: MemoryFiles = [(MAIN, text)].into_iter().collect();
        assert!(!check(MAIN, &files, &Options::default()).is_empty());
    }
}
