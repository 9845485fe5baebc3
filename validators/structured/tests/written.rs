//! For any text and any way to write it: what is read is the text, and each of its characters is located where it was
//! written. `PROPTEST_CASES=100000 cargo test -p reload-gate-structured --test written -- --nocapture` asks for longer.

mod writer;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use reload_gate_contract::Place;
use reload_gate_structured::yaml::{Node, parse};
use writer::{Document, Step, WAYS, Way, can, json, yaml};

/// How many scalars are written by default, so that the suite stays quick.
const CASES: u32 = 4_000;

/// Pieces of text: what configuration is made of, and what YAML takes apart.
const PIECES: &[&str] = &[
    "a",
    "word",
    "é",
    "漢字",
    "😀",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    ":",
    ": ",
    "#",
    " #",
    "'",
    "\"",
    "\\",
    "\\n",
    "-",
    "- ",
    "---",
    "...",
    "|",
    ">",
    "&",
    "*",
    "!",
    "%",
    "@",
    "`",
    "{",
    "}",
    "[",
    "]",
    ",",
    "?",
    "/",
    "$",
    "~",
    "0x1",
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{fffd}",
    "\u{10ffff}",
    "listen 80;\n",
    "key: value\n",
    "    indented\n",
    "server {\n",
];

/// Pieces of which all styles can be made.
const WORDS: &[&str] = &["a", "word", "é", "漢字", "x:y", "it's", "x#y", "http://x/", "\n", "\n\n", " ", "b-c", "d\"e"];

fn text() -> impl Strategy<Value = String> {
    let of = |pieces: &'static [&'static str]| prop::collection::vec(prop::sample::select(pieces), 0..14);
    let spaced = prop::collection::vec(prop::sample::select(WORDS), 1..14).prop_map(|words| {
        let text = words.join(" ").replace(" \n", "\n").replace("\n ", "\n");
        text.trim().replace("   ", " ").replace("  ", " ")
    });
    prop_oneof![
        4 => of(PIECES).prop_map(|pieces| pieces.concat()),
        3 => spaced,
        1 => any::<String>(),
        1 => "[ \\n]{0,8}",
    ]
}

fn at<'n>(root: &'n Node, path: &[Step]) -> &'n Node {
    path.iter().fold(root, |node, step| match step {
        Step::Key(key) => node.get(key).unwrap_or_else(|| panic!("no {key:?} in {node:?}")),
        Step::Item(index) => &node.items()[*index],
    })
}

fn written(text: &str, way: Way, rolls: &[u8]) -> Document {
    if way == Way::Json { json(text, rolls) } else { yaml(text, way, rolls) }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

fn run<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    // The same cases each time, unless their number is given.
    let mut runner = if std::env::var_os("PROPTEST_CASES").is_some() {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    match runner.run(strategy, test) {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => panic!("{reason}\n{case:?}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how many there were is what a longer run is for")]
fn each_character_is_located_where_it_was_written() {
    let (scalars, characters) = (WAYS.map(|_| Cell::new(0)), Cell::new(0));
    let case = (text(), 0..WAYS.len(), prop::collection::vec(any::<u8>(), 0..80));
    run(&case, |(text, way, rolls)| {
        // The first way, from the one that was drawn, in which this text can be written.
        let index = (0..WAYS.len()).map(|next| (way + next) % WAYS.len()).find(|index| can(WAYS[*index], &text));
        let index = index.expect("JSON can write any text");
        let document = written(&text, WAYS[index], &rolls);
        let root = parse(&document.text).map_err(|broken| TestCaseError::fail(format!("{broken:?}\n{document:#?}")))?;
        let root = root.expect("it is not empty");
        let node = at(&root, &document.path);
        prop_assert_eq!(node.as_str(), Some(&*text), "{:#?}", document);
        for ((offset, character), mark) in text.char_indices().zip(&document.marks) {
            prop_assert_eq!(
                node.locate(&document.text, offset),
                Some(*mark),
                "{:?} at {} of {:#?}",
                character,
                offset,
                document
            );
        }
        let end = node.locate(&document.text, text.len()).expect("the end is somewhere");
        prop_assert!(document.marks.last().is_none_or(|last| *last < end) && end <= document.text.len());
        let place = Place::span("", document.text.as_bytes(), node.span.into());
        prop_assert_eq!((Some(node.line), Some(node.column)), (place.line, place.column), "{:#?}", document);
        scalars[index].set(scalars[index].get() + 1);
        characters.set(characters.get() + text.chars().count());
        Ok(())
    });
    let each: Vec<_> = WAYS.iter().zip(&scalars).map(|(way, count)| format!("{} {way:?}", count.get())).collect();
    println!("{} characters, none of them without its place, in scalars: {}", characters.get(), each.join(", "));
    // One of 18 is plain, and the cases are drawn anew each time: a 40th is out of reach of chance.
    assert!(scalars.iter().all(|count| count.get() * 40 > cases()), "{each:?}");
}

/// RFC 4648, section 4, with a line break behind so many characters.
fn base64(bytes: &[u8], width: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| {
        let bits = bytes.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - bytes.len()));
        let digit =
            |index: usize| if index > bytes.len() { '=' } else { ALPHABET[bits >> (18 - 6 * index) & 63].into() };
        [digit(0), digit(1), digit(2), digit(3)]
    };
    let characters: Vec<_> = bytes.chunks(3).flat_map(group).collect();
    characters.chunks(width).map(|line| line.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_byte_of_base64_is_located_in_the_character_that_holds_its_first_bits() {
    let case = (
        prop::collection::vec(any::<u8>(), 0..40),
        1_usize..80,
        0..WAYS.len(),
        prop::collection::vec(any::<u8>(), 0..80),
    );
    run(&case, |(bytes, width, way, rolls)| {
        let text = base64(&bytes, width);
        let way = if can(WAYS[way], &text) { WAYS[way] } else { Way::Literal };
        let document = written(&text, way, &rolls);
        let root = parse(&document.text).expect("it is YAML").expect("it is not empty");
        let node = at(&root, &document.path);
        let characters: Vec<_> =
            text.chars().zip(&document.marks).filter(|(character, _)| *character != '\n').collect();
        for offset in 0..bytes.len() {
            let (_, mark) = characters[offset / 3 * 4 + offset % 3];
            prop_assert_eq!(node.locate_base64(&document.text, offset), Some(*mark), "{} of {:#?}", offset, document);
        }
        prop_assert!(node.locate_base64(&document.text, bytes.len()).is_some());
        prop_assert_eq!(node.locate_base64(&document.text, bytes.len() + 1), None);
        Ok(())
    });
}
