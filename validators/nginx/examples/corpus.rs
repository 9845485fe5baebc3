//! Measures agreement with the recorded verdicts of a real `nginx -t`.
//!
//! `NGINX_CORPUS` names a directory with a `manifest.jsonl`. Its lines have `path`, `verdict`, `error_class`,
//! `message`, `line` and `modules` (see `docs/nginx-agreement.md`), and with `support/`, the files beside each case.
//! With `NGINX_DIFFERENCES=1` each case that differs is listed. The verdicts are those of Debian's nginx 1.22.1, or of an
//! nginx of the version in `NGINX_VERSION`, built as nginx.org does it.
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use reload_gate_contract::{Absent, Cause, Files, Finding, MemoryFiles, Severity, visible};
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

/// A line of the manifest.
struct Recorded {
    path: String,
    class: String,
    rejected: bool,
    message: String,
    line: Option<u64>,
    warnings: u64,
    modules: Vec<String>,
}

impl Recorded {
    /// `None` for what says nothing about the text: problems of the machine, crashes.
    fn read(line: &str) -> Result<Option<Self>, Box<dyn Error>> {
        let case: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        if text("error_class") == "environment" || !["accept", "reject"].contains(&text("verdict")) {
            return Ok(None);
        }
        // The message was kept byte by byte.
        let bytes: Vec<u8> = text("message").chars().filter_map(|byte| u8::try_from(byte).ok()).collect();
        let modules = case["modules"].as_array().into_iter().flatten();
        Ok(Some(Self {
            path: text("path").to_owned(),
            class: format!("{}: {}", text("kind"), text("mutation").split(':').next().unwrap_or_default()),
            rejected: text("verdict") == "reject",
            message: String::from_utf8_lossy(&bytes).replace("{PREFIX}", PREFIX),
            line: case["line"].as_u64(),
            warnings: case["warnings"].as_u64().unwrap_or_default(),
            modules: modules.filter_map(|module| module.as_str().map(str::to_owned)).collect(),
        }))
    }
}

#[derive(Default)]
struct Count {
    cases: usize,
    same_verdict: usize,
    rejections: usize,
    same_line: usize,
    same_message: usize,
    accepted: usize,
    same_warnings: usize,
}

impl Count {
    /// Adds a case; gives what differs.
    fn add(&mut self, case: &Recorded, findings: &[Finding]) -> Option<&'static str> {
        let ours = first_error(findings);
        let line = ours.and_then(|finding| finding.place.as_ref()?.line).map(u64::from);
        self.cases += 1;
        if case.rejected != ours.is_some() {
            return Some("verdict");
        }
        self.same_verdict += 1;
        let Some(ours) = ours else {
            let warnings = findings.iter().filter(|finding| finding.severity == Severity::Warning).count();
            self.accepted += 1;
            self.same_warnings += usize::from(warnings as u64 == case.warnings);
            return (warnings as u64 != case.warnings).then_some("warnings");
        };
        self.rejections += 1;
        let same_line = case.line.is_none() || line == case.line;
        // Invisible characters are escaped in findings.
        let same_message = visible(&case.message).starts_with(&ours.message);
        self.same_line += usize::from(same_line);
        self.same_message += usize::from(same_message);
        if same_line { (!same_message).then_some("message") } else { Some("line") }
    }
}

fn first_error(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().find(|finding| finding.severity == Severity::Error && finding.cause == Cause::Config)
}

fn judge(corpus: &Path, case: &Recorded, support: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Finding>, Box<dyn Error>> {
    let mut files = support.clone();
    let path = corpus.join(&case.path);
    if path.is_dir() {
        collect(&path, &path, &mut files)?;
    } else {
        files.insert(format!("{PREFIX}/nginx.conf"), fs::read(&path)?);
    }
    let version = std::env::var("NGINX_VERSION");
    // The corpus was recorded with Debian's nginx; any other version is taken for a build of nginx.org.
    let build = if version.is_ok() { Build::NginxOrg } else { Build::Debian };
    let version = version.as_deref().unwrap_or("1.22.1").parse()?;
    let options = Options { version, build, modules: case.modules.clone(), ..Options::default() };
    Ok(check(&format!("{PREFIX}/nginx.conf"), &Case { memory: files.into_iter().collect() }, &options))
}

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = std::env::var("NGINX_CORPUS").map_err(|_| "set NGINX_CORPUS to the directory of the corpus")?;
    let corpus = Path::new(&corpus);
    let list = std::env::var_os("NGINX_DIFFERENCES").is_some();
    let mut support = BTreeMap::new();
    collect(&corpus.join("support"), &corpus.join("support"), &mut support)?;
    let mut counts = BTreeMap::<String, Count>::new();
    for line in fs::read_to_string(corpus.join("manifest.jsonl"))?.lines() {
        let Some(case) = Recorded::read(line)? else { continue };
        let findings = judge(corpus, &case, &support)?;
        counts.entry("all".to_owned()).or_default().add(&case, &findings);
        let differs = counts.entry(case.class.clone()).or_default().add(&case, &findings);
        if let Some(what) = differs.filter(|_| list) {
            let (theirs, ours) = (case.message.escape_debug(), first_error(&findings));
            let line = case.line.map_or_else(String::new, |line| format!("{line}: "));
            print!("{what}\t{}\ttheirs: {line}{theirs} ({} warnings)\tours: ", case.path, case.warnings);
            match ours {
                Some(ours) => println!(
                    "{} {}",
                    ours.place.as_ref().map_or_else(String::new, ToString::to_string),
                    ours.message.escape_debug()
                ),
                None => println!("accepted {:?}", findings.iter().map(|finding| &finding.message).collect::<Vec<_>>()),
            }
        }
    }
    println!("{:<32} {:>6} {:>8} {:>8} {:>8} {:>8}", "class", "cases", "verdict", "line", "message", "warnings");
    for (class, count) in counts {
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        println!(
            "{class:<32} {:>6} {:>7.2}% {:>7.2}% {:>7.2}% {:>7.2}%",
            count.cases,
            percent(count.same_verdict, count.cases),
            percent(count.same_line, count.rejections),
            percent(count.same_message, count.rejections),
            percent(count.same_warnings, count.accepted)
        );
    }
    Ok(())
}
