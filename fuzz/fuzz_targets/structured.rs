//! Any bytes are judged as JSON, YAML, TOML, INI, XML and PEM: no panic, an end, places within the text, and a bounded answer.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use reload_gate_contract::Finding;
use reload_gate_structured::json_schema::{Format, Schema};
use reload_gate_structured::{ini, json, toml, xml, yaml};
use reload_gate_tls::{File, Pair, TlsOptions};

/// Bound of the time for a case, far beyond the length of any: libFuzzer's cases have some kilobytes.
const LONGEST: Duration = Duration::from_secs(2);

/// Bound of the findings: a hundred of each of three kinds, and one that counts the others, for each of two files.
const MOST: usize = 2 * 301;

/// Bound of the bytes of a message.
const WORDIEST: usize = 4_096;

fuzz_target!(|data: &[u8]| {
    let started = Instant::now();
    let mut findings = json::check("f", data);
    findings.extend(yaml::check("f", data));
    findings.extend(toml::check("f", data));
    findings.extend(ini::check("f", data));
    findings.extend(xml::check("f", data));
    let schema = Schema::parse("{properties: {a: {type: integer}}, additionalProperties: false}");
    findings.extend(schema.map(|schema| schema.check("f", data, Format::Yaml)).unwrap_or_default());
    assert!(findings.len() <= 6 * MOST, "{} findings", findings.len());
    let file = File { path: "f", text: data };
    findings.extend(reload_gate_tls::check(&[Pair { certificate: file, key: Some(file) }], &TlsOptions::default()));
    findings.iter().for_each(|finding| within(finding, data.len()));
    assert!(started.elapsed() < LONGEST, "{:?} for {} bytes", started.elapsed(), data.len());
});

fn within(finding: &Finding, length: usize) {
    assert!(finding.message.len() <= WORDIEST, "{} bytes", finding.message.len());
    let span = finding.place.as_ref().and_then(|place| place.span);
    assert!(span.is_none_or(|span| span.start <= span.end && span.end <= length), "{finding:?}");
}
