//! Measures agreement with the recorded verdicts of a real `nginx -t`.
//!
//! `NGINX_CORPUS` names a directory with a `manifest.jsonl`, whose lines have `path`, `verdict`, `error_class`,
//! `message`, `line` and `modules` (see `docs/nginx-agreement.md`), and with `support/`, the files beside each case.
//! With `NGINX_DIFFERENCES=1` each case that differs is listed.
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use reload_gate_contract::{Absent, Cause, Files, Finding, MemoryFiles, Severity};
use reload_gate_nginx::{Build, Options, check};

const PREFIX: &str = "/prefix";

/// The case in memory, and the machine's own files elsewhere, as nginx saw them.
struct Case {
    memory: MemoryFiles,
}

impl Files for Case {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, Absent> {
        if path.starts_with(PREFIX) {
            return self.memory.read(path);
        }
        match fs::read(path) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) if Path::new(path).is_dir() => Err(Absent::Directory),
            Err(_) => Err(Absent::Missing),
        }
    }

    fn list(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        if directory.starts_with(PREFIX) {
            return self.memory.list(directory).or(Ok(vec![]));
        }
        let entries = fs::read_dir(directory).map_err(|_| Absent::Missing)?;
        let paths = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
        let mut paths: Vec<_> = paths.map(|path| Cow::Owned(path.to_string_lossy().into_owned())).collect();
        paths.sort();
        Ok(paths)
    }
}

fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            files.insert(format!("{PREFIX}/{name}"), fs::read(&path)?);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Count {
    cases: usize,
    same_verdict: usize,
    rejections: usize,
    same_line: usize,
    same_message: usize,
}

fn first_error(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().find(|finding| finding.severity == Severity::Error && finding.cause == Cause::Config)
}

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = std::env::var("NGINX_CORPUS").map_err(|_| "set NGINX_CORPUS to the directory of the corpus")?;
    let corpus = Path::new(&corpus);
    let list = std::env::var_os("NGINX_DIFFERENCES").is_some();
    let mut support = BTreeMap::new();
    collect(&corpus.join("support"), &corpus.join("support"), &mut support)?;
    let mut counts = BTreeMap::<String, Count>::new();
    let manifest = std::env::var("NGINX_MANIFEST").unwrap_or_else(|_| "manifest.jsonl".to_owned());
    for line in fs::read_to_string(corpus.join(manifest))?.lines() {
        let case: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        if text("error_class") == "environment" || !["accept", "reject"].contains(&text("verdict")) {
            continue;
        }
        let mut files = support.clone();
        let path = corpus.join(text("path"));
        if path.is_dir() {
            collect(&path, &path, &mut files)?;
        } else {
            files.insert(format!("{PREFIX}/nginx.conf"), fs::read(&path)?);
        }
        let modules = case["modules"].as_array().into_iter().flatten();
        let options = Options {
            version: "1.22.1".parse()?,
            build: Build::Debian,
            modules: modules.filter_map(|module| module.as_str().map(str::to_owned)).collect(),
            ..Options::default()
        };
        let files = Case { memory: files.into_iter().collect() };
        let findings = check(&format!("{PREFIX}/nginx.conf"), &files, &options);
        let ours = first_error(&findings);
        let class = format!("{}: {}", text("kind"), text("mutation").split(':').next().unwrap_or_default());
        let place = ours.and_then(|finding| finding.place.as_ref());
        let line = place.and_then(|place| place.line).map(u64::from);
        let rejected = text("verdict") == "reject";
        let same_line = case["line"].is_null() || line == case["line"].as_u64();
        for key in [&class, "all"] {
            let count = counts.entry(key.to_owned()).or_default();
            count.cases += 1;
            count.same_verdict += usize::from(rejected == ours.is_some());
            if rejected && ours.is_some() {
                count.rejections += 1;
                count.same_line += usize::from(same_line);
                count.same_message +=
                    usize::from(ours.is_some_and(|finding| text("message").starts_with(&finding.message)));
            }
        }
        if list && (rejected != ours.is_some() || (rejected && !same_line)) {
            let what = if rejected == ours.is_some() { "line" } else { "verdict" };
            println!(
                "{what}\t{}\ttheirs: {} {}\tours: {} {}",
                text("path"),
                case["line"],
                case["message"],
                line.unwrap_or_default(),
                ours.map_or("accepted", |finding| &finding.message)
            );
        }
    }
    println!("{:<32} {:>6} {:>8} {:>8} {:>8}", "class", "cases", "verdict", "line", "message");
    for (class, count) in counts {
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        println!(
            "{class:<32} {:>6} {:>7.2}% {:>7.2}% {:>7.2}%",
            count.cases,
            percent(count.same_verdict, count.cases),
            percent(count.same_line, count.rejections),
            percent(count.same_message, count.rejections)
        );
    }
    Ok(())
}
