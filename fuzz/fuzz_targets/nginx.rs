//! The validator ends without a panic for any bytes, its places are within the files, and the syntax tree prints the
//! text that it was made from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reload_gate_contract::MemoryFiles;
use reload_gate_nginx::parser::parse;
use reload_gate_nginx::{Options, check};

/// Files of a case, the main file first. A byte that no configuration needs separates them.
const PATHS: [&str; 4] = ["/etc/nginx/nginx.conf", "/etc/nginx/a.conf", "/etc/nginx/conf.d/b.conf", "/etc/nginx/conf.d/c.conf"];
const SEPARATOR: u8 = 0xff;

fuzz_target!(|data: &[u8]| {
    let texts: Vec<_> = data.splitn(PATHS.len(), |byte| *byte == SEPARATOR).collect();
    for text in &texts {
        assert_eq!(parse(*text).print(), *text, "the tree is not lossless");
    }
    let files: MemoryFiles = PATHS.into_iter().zip(texts.iter().copied()).collect();
    for finding in check(PATHS[0], &files, &Options::default()) {
        let Some(place) = finding.place else { continue };
        let Some(index) = PATHS.iter().position(|path| *path == place.file) else { continue };
        let Some(text) = texts.get(index) else { continue };
        assert!(place.span.is_none_or(|span| span.start <= span.end && span.end <= text.len()), "{place:?}");
    }
});
