use super::*;

fn root(text: &str) -> Node {
    parse(text).expect("it is YAML").expect("it is not empty")
}

/// Each character of a scalar, and the text at its place.
fn written<'t>(node: &Node, text: &'t str) -> Vec<(char, Option<&'t str>)> {
    let value = node.as_str().expect("a scalar");
    value.char_indices().map(|(at, character)| (character, node.locate(text, at).map(|at| &text[at..]))).collect()
}

#[test]
fn everything_knows_where_it_stands() {
    let text = "# a comment\na:\n  - x # why\n  - 'y z'\nb: ~\nc: | # d | e\n\n  f\n";
    let root = root(text);
    let (key, list) = &root.entries()[0];
    assert_eq!((key.line, key.column), (2, 1));
    let item = &list.items()[1];
    assert_eq!((item.line, item.column, item.as_str()), (4, 5, Some("y z")));
    assert_eq!(&text[item.span.start()..item.span.end()], "'y z'");
    assert_eq!(&text[list.span.start()..list.span.end()], "- x # why\n  - 'y z'");
    assert_eq!(root.get("b").map(|b| &b.value), Some(&Value::Null));
    let block = root.get("c").expect("it is there");
    assert_eq!((block.line, block.column, block.as_str()), (6, 4, Some("\nf\n")));
    assert!(text[block.span.start()..].starts_with("| # d"));
}

#[test]
fn each_style_is_followed_to_its_source() {
    let cases = [
        ("a: plain words", "plain words"),
        ("a: plain\n  words\n\n  more", "plain words\nmore"),
        ("a: 'it''s\n\n  folded '", "it's\nfolded "),
        ("a: \"x\\ty \\\n  z\\u00e9\\x41\\ud83d\\ude00\"", "x\ty zé\u{41}😀"),
        ("a: |\n  one\n   two\n\n\nb: 1", "one\n two\n"),
        ("a: |2-\r\n   one\r\n\r\n  two\r\n", " one\n\ntwo"),
        ("a: >+ # why\n\n  one\n  two\n\n  three\n    more\n  end\n\n", "\none two\nthree\n  more\nend\n\n"),
        ("- - |-\n   \tx", "\tx"),
    ];
    for (text, value) in cases {
        let root = root(text);
        let node = root.get("a").unwrap_or_else(|| &root.items()[0].items()[0]);
        assert_eq!(node.as_str(), Some(value), "{text}");
        for (character, at) in written(node, text) {
            let at = at.unwrap_or_else(|| panic!("{character:?} is not found in {text:?}"));
            let as_it_is = at.starts_with(character);
            let folded = character.is_whitespace() && at.starts_with(['\n', '\r']);
            assert!(as_it_is || folded || at.starts_with('\\'), "{character:?} at {at:?} in {text:?}");
        }
        let last = node.locate(text, value.len()).expect("the end is somewhere");
        assert!(last <= node.span.end() && node.locate(text, value.len() + 1).is_none());
    }
}

#[test]
fn base64_is_followed_through_its_line_breaks() {
    let text = "a: |\n  aGVs\n  bG8=\n";
    let node = root(text);
    let node = node.get("a").expect("it is there");
    let at = |offset| node.locate_base64(text, offset).map(|at| &text[at..]);
    assert_eq!(at(0), Some("aGVs\n  bG8=\n"));
    assert_eq!(at(3), Some("bG8=\n"));
    assert_eq!(at(4), Some("G8=\n"));
    assert_eq!(at(5), Some("8=\n"));
    assert_eq!(at(6), None);
    let other = "a: n@t base64";
    assert_eq!(root(other).get("a").and_then(|a| a.locate_base64(other, 0)), None);
}

#[test]
fn json_is_yaml_with_pairs_of_surrogates() {
    let text = "{\n\t\"a\":\t\"\\ud83d\\ude00\\/x\",\n\t\"b\": [1, null]\n}\n";
    let root = root(text);
    let node = root.get("a").expect("it is there");
    assert_eq!((node.line, node.column, node.as_str()), (2, 7, Some("😀/x")));
    assert_eq!(node.locate(text, 4).map(|at| &text[at..at + 3]), Some("\\/x"));
    assert_eq!(root.get("b").map(|b| (b.items()[0].as_str(), &b.items()[1].value)), Some((Some("1"), &Value::Null)));
}

#[test]
fn broken_input_is_located() {
    let cases = [
        ("a: 1\nb: [2\n", (2, 4), "unclosed bracket '['"),
        ("a: 1\nb: 2\na: 3\n", (3, 1), "duplicate key `a`"),
        ("{\"a\": 1,\n \"a\": 2}", (2, 2), "duplicate key `a`"),
        ("a: &x [*x]\n", (1, 8), "an alias within its own anchor"),
        ("a: 1\n<<: 2\n", (2, 1), "a merge key takes a mapping or a list of mappings"),
    ];
    for (text, place, message) in cases {
        let broken = parse(text).expect_err("it is broken");
        assert_eq!(((broken.line, broken.column), &*broken.message), (place, message), "{text}");
    }
}

#[test]
fn a_carriage_return_alone_begins_no_line_of_an_editor() {
    let root = root("a: 1\r\r\rb: 2\nc: |\r  x\nd: 3\n");
    let Value::Map(entries) = &root.value else { panic!("{root:?}") };
    let places: Vec<_> = entries.iter().map(|(key, _)| (key.line, key.column)).collect();
    assert_eq!(places, [(1, 1), (1, 8), (2, 1), (3, 1)]);
    let broken = parse("a: 1\r\r\r\rb: [2\n").expect_err("it is broken");
    assert_eq!((broken.line, broken.column), (1, 12));
}

#[test]
fn aliases_and_merge_keys_stand_for_what_they_name() {
    let text = "base: &b {x: 1, y: 2}\nmore: &m {y: 5, z: 6}\nown:\n  <<: [*b, *m]\n  x: 3\nagain: *b\n";
    let root = root(text);
    let own = root.get("own").expect("it is there");
    let entries: Vec<_> = own.entries().iter().map(|(key, value)| (key.as_str(), value.as_str(), value.line)).collect();
    assert_eq!(entries, [(Some("x"), Some("3"), 5), (Some("y"), Some("2"), 1), (Some("z"), Some("6"), 2)]);
    assert_eq!(root.get("again"), root.get("base"));
}

#[test]
fn a_stream_has_its_documents_one_after_another() {
    let value = |text: &str| {
        documents(text)
            .map(|document| document.map(|document| document.root.line).map_err(|broken| broken.line))
            .collect::<Vec<_>>()
    };
    assert_eq!(value("# nothing\n"), []);
    assert_eq!(value("a: 1\n---\nb: [\n---\nc: 1\n"), [Ok(1), Err(3), Ok(5)]);
    assert_eq!(value("{\"a\": 1}\n{\"b\": 2}\n{\"c\": }\n"), [Ok(1), Ok(2), Err(3)]);
    assert_eq!(value("{\"a\": 1}\n---\n{\"b\": 2}\n"), [Ok(1), Ok(3)]);
}

#[test]
fn a_tab_is_named_where_it_stands() {
    for (text, place) in [("a:\n\t- x\n", (2, 1)), ("a:\n  b: 1\n\tc: 2\n", (3, 1)), ("b:\tx\nc:\n\td: 1\n", (3, 1))] {
        let broken = parse(text).expect_err("it has a tab");
        assert_eq!((broken.line, broken.column), place, "{text:?}: {broken:?}");
    }
}

#[test]
fn a_file_in_utf_16_is_judged_as_its_text() {
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    for encode in [little, big] {
        assert_eq!(check("a.yaml", &encode("\u{feff}name: caf\u{e9} \u{1f600}\n")), []);
        let broken = "a: 1\nb: [\n";
        let place = |findings: Vec<reload_gate_contract::Finding>| {
            findings.into_iter().map(|finding| finding.place.expect("it has one")).next().expect("there is one")
        };
        let (here, there) =
            (place(check("a.yaml", &encode(&format!("\u{feff}{broken}")))), place(check("a.yaml", broken.as_bytes())));
        assert_eq!((here.line, here.column, here.span), (there.line, there.column, None));
    }
    let cut = &little("\u{feff}a: 1\n")[..9];
    assert_eq!(check("a.yaml", cut)[0].code, codes::NOT_UTF8);
}

#[test]
fn the_lines_beside_a_key_are_those_of_its_block_mapping() {
    let beside = |text: &str| {
        let map = root(text).get("m").cloned().expect("it is there");
        events::ParserEvents::new(text).lines_beside(&map, &map.entries()[0].0)
    };
    assert_eq!(beside("m:\n  a: 1\n\n  b: |\n    x\n  # c\n  d:\n    e: 2\nn:\n  f: 3\n"), 4, "one is a comment");
    assert_eq!(beside("m: {\n  a: 1,\n  b: 2\n  }\n"), 0);
    let text = "m:\n  a: 1\n  b: 2\n";
    let (map, mut events) = (root(text).get("m").cloned().expect("it is there"), events::ParserEvents::new(text));
    let counts = [(); 3].map(|()| events.lines_beside(&map, &map.entries()[0].0));
    assert_eq!(counts, [2, 2, 0], "the work is bounded");
}
