//! Measures the hygiene findings.
//!
//! `NGINX_CORPUS` names a corpus as for the example `corpus`: the share of the accepted originals with a finding is counted for each
//! code. `NGINX_RULES` names a directory of small configurations `RULE/NAME.conf`, as the tests of gixy have them: a name that
//! ends in `_fp` has no fault. With `NGINX_DIFFERENCES=1` the findings are listed.
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use reload_gate_contract::{Finding, MemoryFiles, Verdict};
use reload_gate_nginx::{Build, Options, check, hygiene_codes};

/// The rules of gixy, each with the codes that describe the same fault.
const RULES: [(&str, &[&str]); 24] = [
    ("add_header_content_type", &[]),
    ("add_header_multiline", &[]),
    ("add_header_redefinition", &["lost-headers"]),
    ("alias_traversal", &["alias-traversal"]),
    ("allow_without_deny", &["allow-without-deny"]),
    ("default_server_flag", &[]),
    ("error_log_off", &["error-log-off"]),
    ("hash_without_default", &[]),
    ("host_spoofing", &["host-spoofing"]),
    ("http_splitting", &["header-splitting"]),
    ("if_is_evil", &["if-in-location"]),
    ("invalid_regex", &[]),
    ("low_keepalive_requests", &[]),
    ("missing_resolver", &["no-resolver"]),
    ("origins", &["unanchored-origin"]),
    ("proxy_pass_normalized", &[]),
    ("regex_redos", &["slow-regex"]),
    ("resolver_external", &[]),
    ("return_bypasses_allow_deny", &["return-before-access"]),
    ("ssrf", &["open-proxy"]),
    ("unanchored_regex", &["unanchored-regex"]),
    ("valid_referers", &["referer-none"]),
    ("version_disclosure", &["version-disclosure"]),
    ("worker_rlimit_nofile_vs_connections", &["too-few-descriptors"]),
];

/// The blocks that may be around a snippet.
const CONTEXTS: [&str; 4] = ["http", "http,server", "http,server,location", "stream"];

fn hygiene(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| hygiene_codes::ALL.contains(&finding.code))
}

/// The first reading of a text without an error: as a whole, or as a snippet.
fn judge(text: &str) -> Option<Vec<Finding>> {
    let files: MemoryFiles = [("/etc/nginx/nginx.conf", text)].into_iter().collect();
    let whole = (!text.contains("http {")).then(|| format!("events {{}}\n{text}"));
    let options = Options { hygiene: true, ..Options::default() };
    let with_events: MemoryFiles =
        [("/etc/nginx/nginx.conf", whole.as_deref().map_or_else(|| format!("events {{}}\n{text}"), str::to_owned))]
            .into_iter()
            .collect();
    let accepted = |findings: &Vec<Finding>| Verdict::of(findings) != Verdict::Rejected;
    let wholes =
        [check("/etc/nginx/nginx.conf", &files, &options), check("/etc/nginx/nginx.conf", &with_events, &options)];
    let snippets = CONTEXTS.iter().filter_map(|context| {
        let options = Options { context: context.parse().ok()?, ..options.clone() };
        Some(check("/etc/nginx/nginx.conf", &files, &options))
    });
    wholes.into_iter().chain(snippets).find(accepted)
}

fn rules(root: &Path, list: bool) -> Result<(), Box<dyn Error>> {
    println!("{:<38} {:>5} {:>6} {:>6} {:>12}", "rule", "bad", "found", "good", "false alarms");
    let mut directories: Vec<PathBuf> = fs::read_dir(root)?.flatten().map(|entry| entry.path()).collect();
    directories.sort();
    for directory in directories {
        let rule = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let codes = RULES.iter().find(|(known, _)| *known == rule).map_or(&[][..], |(_, codes)| codes);
        let (mut bad, mut found, mut good, mut alarms) = (0, 0, 0, 0);
        let mut files: Vec<PathBuf> = fs::read_dir(&directory)?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "conf")) {
            let findings = judge(&fs::read_to_string(path)?);
            let is_found = findings.iter().flatten().any(|finding| codes.contains(&finding.code.as_str()));
            let is_good = path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_fp"));
            (bad, found) = if is_good { (bad, found) } else { (bad + 1, found + usize::from(is_found)) };
            (good, alarms) = if is_good { (good + 1, alarms + usize::from(is_found)) } else { (good, alarms) };
            if list && is_good == is_found {
                let state = if findings.is_none() { "rejected by the checker" } else { "differs" };
                println!("  {state}: {}", path.display());
            }
        }
        println!("{rule:<38} {bad:>5} {found:>6} {good:>6} {alarms:>12}");
    }
    Ok(())
}

fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.insert(format!("/prefix/{}", path.strip_prefix(root)?.to_string_lossy()), fs::read(&path)?);
        }
    }
    Ok(())
}

fn corpus(root: &Path, list: bool) -> Result<(), Box<dyn Error>> {
    let mut support = BTreeMap::new();
    collect(&root.join("support"), &root.join("support"), &mut support)?;
    let mut counts: BTreeMap<&str, usize> = hygiene_codes::ALL.iter().map(|code| (code.as_str(), 0)).collect();
    let mut accepted = 0;
    for line in fs::read_to_string(root.join("manifest.jsonl"))?.lines() {
        let case: serde_json::Value = serde_json::from_str(line)?;
        if case["kind"] != "original" || case["verdict"] != "accept" {
            continue;
        }
        let path = root.join(case["path"].as_str().unwrap_or_default());
        let mut files = support.clone();
        if path.is_dir() {
            collect(&path, &path, &mut files)?;
        } else {
            files.insert("/prefix/nginx.conf".to_owned(), fs::read(&path)?);
        }
        let modules = case["modules"].as_array().into_iter().flatten().filter_map(|module| module.as_str());
        let modules = modules.map(str::to_owned).collect();
        let options =
            Options { version: "1.22.1".parse()?, build: Build::Debian, modules, hygiene: true, ..Options::default() };
        let findings = check("/prefix/nginx.conf", &files.into_iter().collect::<MemoryFiles>(), &options);
        accepted += 1;
        let codes: BTreeSet<_> = hygiene(&findings).map(|finding| finding.code.as_str()).collect();
        codes.iter().for_each(|code| *counts.entry(code).or_default() += 1);
        if list {
            for finding in hygiene(&findings) {
                let place = finding.place.as_ref().map(ToString::to_string).unwrap_or_default();
                println!("{}\t{}\t{place}\t{}", finding.code.as_str(), path.display(), finding.message);
            }
        }
    }
    println!("{accepted} accepted originals");
    for (code, count) in counts {
        println!("{code:<28} {count:>5} {:>6.1} %", 100.0 * count as f64 / f64::from(accepted.max(1)));
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let list = std::env::var_os("NGINX_DIFFERENCES").is_some();
    if let Some(root) = std::env::var_os("NGINX_RULES") {
        rules(Path::new(&root), list)?;
    }
    if let Some(root) = std::env::var_os("NGINX_CORPUS") {
        corpus(Path::new(&root), list)?;
    }
    Ok(())
}
