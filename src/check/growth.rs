//! The memory for large objects is counted, not measured: the most bytes at once for each byte of the manifest, besides the manifest itself.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::check_text;

/// Length of a value in bytes, far above what any validation takes.
const LENGTH: usize = 512 << 10;

/// Lines of a kind, up to the length of a value.
fn lines(line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= LENGTH {
            break;
        }
        text += &line(number);
    }
    text
}

fn nginx(directives: &str) -> String {
    format!("events {{}} http {{ server {{ listen 80; location / {{ {directives} }} }} }}\n")
}

/// A ConfigMap with that text as the value of a key.
fn config_map(key: &str, text: &str) -> String {
    let mut manifest = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  {key}: |\n");
    for line in text.lines() {
        writeln!(manifest, "    {line}").expect("it is a String");
    }
    manifest
}

/// A Secret with that text as the value of a key.
fn secret(key: &str, text: &str) -> String {
    let value = STANDARD.encode(text);
    format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\ndata:\n  {key}: {value}\n")
}

/// A ConfigMap with these lines as its entries.
fn entries(entry: impl Fn(usize) -> String) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n{}", lines(entry))
}

/// Returns the most bytes at once in tenths of the length of a manifest.
fn tenths(manifest: &str) -> u64 {
    let text = manifest.as_bytes().to_vec();
    let most = allocation_counter::measure(|| drop(check_text("a.yaml", text))).bytes_max;
    let length = u64::try_from(manifest.len()).expect("it is small");
    most * 10 / length
}

#[test]
fn an_object_takes_few_times_its_size() {
    let short = || nginx(&lines(|_| "add_header a b; ".to_owned()));
    let servers = |n: usize| format!("server {{ listen 80; server_name s{n}.example.com; root /a; }}\n");
    let cases = [
        ("nginx.conf of short directives on one line", 67, config_map("nginx.conf", &short())),
        ("the same in a Secret", 51, secret("nginx.conf", &short())),
        (
            "nginx.conf of servers",
            85,
            config_map("nginx.conf", &format!("events {{}} http {{\n{}}}\n", lines(servers))),
        ),
        ("JSON on one line in a Secret", 30, secret("a.json", &format!("[{}1]", lines(|_| "1,".to_owned())))),
        ("YAML of short entries", 35, config_map("a.yaml", &lines(|n| format!("k{n}: 1\n")))),
        ("a Secret of an unknown format", 37, secret("blob", &lines(|n| format!("{n} {n}\n")))),
        // Of each key the tree of the document has 80 bytes and the two texts; the text of the document and the key in the listing (64 bytes
        // with its name) come on top.
        ("small keys", 78, entries(|n| format!("  key-{n:05}: \"value {n}\"\n"))),
        // A task (40 bytes) becomes the result of a validation (128 bytes).
        ("small keys with a format", 109, entries(|n| format!("  k{n:05}.json: '{{\"a\": {n}}}'\n"))),
    ];
    // Tables are read at their first use.
    cases.iter().for_each(|(_, _, manifest)| drop(check_text("a.yaml", manifest.as_bytes()[..200].to_vec())));
    drop(check_text("a.yaml", config_map("nginx.conf", &nginx("")).into_bytes()));
    let wrong: Vec<_> = cases
        .iter()
        .map(|(name, limit, manifest)| (name, *limit, tenths(manifest)))
        .filter(|(_, limit, tenths)| tenths > limit)
        .collect();
    assert!(wrong.is_empty(), "more than the tenths of their size: {wrong:?}");
}
