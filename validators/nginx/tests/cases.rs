//! Small configurations by kind, each with the verdict of a real `nginx -t` of three versions (`fixtures/nginx/cases`).
//!
//! `expected.tsv` has nginx's line and message where it rejects; 1.22.1 is Debian's, the others are built as nginx.org
//! builds them. The checker must agree, except in [`DIFFERENCES`].

use std::fs;
use std::path::{Path, PathBuf};

use reload_gate_contract::{Finding, MemoryFiles, Verdict};
use reload_gate_nginx::{Build, Options, Version, check};

/// Cases in which the checker differs by intent, from a version on, and the reason.
const DIFFERENCES: [(&str, Version, &str); 4] = [
    ("limits/keepalive-huge.conf", Version::new(1, 0, 0), "nginx runs out of memory, which depends on the machine"),
    ("pcre2-version/04.conf", UNKNOWN_LIBRARY, "nginx may have a newer PCRE2, which takes it: a warning"),
    ("pcre2-version/15.conf", UNKNOWN_LIBRARY, "nginx may have a newer PCRE2, which takes it: a warning"),
    ("pcre2-version/22.conf", UNKNOWN_LIBRARY, "nginx may have a newer PCRE2, which takes it: a warning"),
];

/// The first release whose PCRE2 is not known.
const UNKNOWN_LIBRARY: Version = Version::new(1, 26, 0);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/nginx/cases")
}

/// The files of a case, in place of those in `/etc/nginx`.
fn files(case: &Path) -> MemoryFiles {
    let mut files =
        vec![("/etc/nginx/certs/cert.pem".to_owned(), vec![]), ("/etc/nginx/certs/key.pem".to_owned(), vec![])];
    if case.is_dir() {
        collect(case, case, &mut files);
    } else {
        files.push(("/etc/nginx/nginx.conf".to_owned(), fs::read(case).expect("a case is a file")));
    }
    files.into_iter().collect::<MemoryFiles>().with_directory("/etc/nginx/conf.d")
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for path in fs::read_dir(directory).expect("a case is a directory").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("it is below the root").display();
            files.push((format!("/etc/nginx/{name}"), fs::read(&path).expect("it is a file")));
        }
    }
}

/// The differences from nginx's answer.
fn differences(row: &str) -> Option<String> {
    let [path, version, build, verdict, line, message] = row.split('\t').collect::<Vec<_>>()[..] else {
        panic!("six columns in {row}");
    };
    let build = if build == "debian" { Build::Debian } else { Build::NginxOrg };
    let modules = ["ngx_stream_module", "ngx_mail_module"].map(str::to_owned).to_vec();
    let options = Options { version: version.parse().expect("a version"), build, modules, ..Options::default() };
    let findings = check("/etc/nginx/nginx.conf", &files(&root().join(path)), &options);
    let rejects = |finding: &&Finding| Verdict::of([*finding]) == Verdict::Rejected;
    let ours = findings.iter().find(rejects);
    let place =
        ours.and_then(|finding| finding.place.as_ref()?.line).map_or_else(|| "-".to_owned(), |line| line.to_string());
    let agrees = match ours {
        None => verdict == "accept",
        Some(ours) => verdict == "reject" && (line == "-" || line == place) && message.starts_with(&ours.message),
    };
    let ours = ours.map(|finding| &finding.message);
    let excepted = DIFFERENCES.iter().any(|(except, since, _)| *except == path && options.version >= *since);
    (agrees == excepted).then(|| format!("{path} {version}: {verdict} {line} {message}\n  ours: {ours:?} {place}"))
}

#[test]
fn each_case_has_nginx_s_verdict() {
    let expected = fs::read_to_string(root().join("expected.tsv")).expect("the table is there");
    let differences: Vec<_> = expected.lines().skip(1).filter_map(differences).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
