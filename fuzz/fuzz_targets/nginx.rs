//! The validator ends without a panic for any bytes, its places are within the files, and the syntax tree prints the
//! text that it was made from.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use reload_gate_contract::MemoryFiles;
use reload_gate_nginx::parser::parse;
use reload_gate_nginx::{Options, check};

/// Files of a case, the main file first. A byte that no configuration needs separates them.
const PATHS: [&str; 4] = ["/etc/nginx/nginx.conf", "/etc/nginx/a.conf", "/etc/nginx/conf.d/b.conf", "/etc/nginx/conf.d/c.conf"];
const SEPARATOR: u8 = 0xff;

/// Bound of the time for a case, far beyond the length of any: files that include each other may be read 400,000 times.
const LONGEST: Duration = Duration::from_secs(20);

/// Bound of the findings: a thousand of each of three kinds, and one that counts the others.
const MOST: usize = 3_001;

/// Bound of the bytes of a message.
const WORDIEST: usize = 1_024;

fuzz_target!(|data: &[u8]| {
    let texts: Vec<_> = data.splitn(PATHS.len(), |byte| *byte == SEPARATOR).collect();
    for text in &texts {
        assert_eq!(parse(*text).print(), *text, "the tree is not lossless");
    }
    let started = Instant::now();
    let files: MemoryFiles = PATHS.into_iter().zip(texts.iter().copied()).collect();
    let findings = check(PATHS[0], &files, &Options::default());
    assert!(started.elapsed() < LONGEST, "{:?} for {} bytes", started.elapsed(), data.len());
    assert!(findings.len() <= MOST, "{} findings", findings.len());
    for finding in findings {
        assert!(finding.message.len() <= WORDIEST, "{} bytes", finding.message.len());
        let Some(place) = finding.place else { continue };
        let Some(index) = PATHS.iter().position(|path| *path == place.file) else { continue };
        let Some(text) = texts.get(index) else { continue };
        assert!(place.span.is_none_or(|span| span.start <= span.end && span.end <= text.len()), "{place:?}");
    }
});
