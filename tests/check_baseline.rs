//! Findings that do not count: those of a baseline, ignored ones, and warnings.

use serde_json::Value;

use crate::check::{FORMATS, check, config_map, file, findings, report};
use crate::support::gate_command;

/// Runs `check` on a directory, and returns its report.
#[track_caller]
fn checked(arguments: &[&str], directory: &std::path::Path, code: i32) -> Value {
    let directory = directory.to_str().expect("it is UTF-8");
    let output = check(&[&["--format", "json"], arguments, &[directory]].concat(), "");
    assert_eq!(output.code, code, "{}{}", output.out, output.err);
    serde_json::from_str(&output.out).expect("it is JSON")
}

#[test]
fn only_findings_that_are_not_in_the_baseline_reject() {
    let directory = tempfile::tempdir().expect("there is room");
    let (root, baseline) = (directory.path().join("conf"), directory.path().join("baseline.json"));
    let baseline = baseline.to_str().expect("it is UTF-8");
    let site = "events {}\nhttp {\n  lisen 80;\n}\n";
    file(&root, "nginx.conf", site);
    file(&root, "a.json", "{\"a\": 1,}\n");
    assert_eq!(findings(&checked(&[], &root, 1)).len(), 2);
    let written = checked(&["--write-baseline", baseline], &root, 0);
    assert_eq!((findings(&written).len(), &written["baseline"]["known"]), (0, &Value::from(2)));
    file(&root, "nginx.conf", &site.replace("http {\n", "http {\n  # a line\n  server_tokens off;\n"));
    checked(&["--baseline", baseline], &root, 0);
    file(&root, "nginx.conf", &site.replace("lisen 80;", "lisen 80;\n  sendfil on;"));
    let new = findings(&checked(&["--baseline", baseline], &root, 1));
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(new[0].contains("sendfil"), "{new:?}");
}

#[test]
fn a_new_finding_is_seen_behind_a_hundred_known_ones() {
    let directory = tempfile::tempdir().expect("there is room");
    let (root, baseline) = (directory.path().join("conf"), directory.path().join("baseline.json"));
    let baseline = baseline.to_str().expect("it is UTF-8");
    let site = |number: u32, more: &str| format!("    lisen {number};{more}\n");
    let sites = |more: &str| -> String {
        (1..=150).map(|number| site(number, if number == 150 { more } else { "" })).collect()
    };
    let conf = |more: &str| format!("events {{}}\nhttp {{\n{}}}\n", sites(more));
    file(&root, "nginx.conf", &conf(""));
    checked(&["--write-baseline", baseline], &root, 0);
    checked(&["--baseline", baseline], &root, 0);
    file(&root, "nginx.conf", &conf(" sendfil on;"));
    let new = findings(&checked(&["--baseline", baseline], &root, 1));
    assert_eq!(new.iter().filter(|found| found.contains("sendfil")).count(), 1, "{new:?}");
}

#[test]
fn a_finding_that_is_gone_is_a_hint() {
    let directory = tempfile::tempdir().expect("there is room");
    let (root, baseline) = (directory.path().join("conf"), directory.path().join("baseline.json"));
    let baseline = baseline.to_str().expect("it is UTF-8");
    file(&root, "a.json", "{\"a\": 1,}\n");
    file(&root, "b.json", "{\"a\": 1,}\n");
    checked(&["--write-baseline", baseline], &root, 0);
    file(&root, "a.json", "{\"a\": 1}\n");
    let gone = checked(&["--baseline", baseline], &root, 0);
    let entries = gone["baseline"]["gone"].as_array().expect("it is a list");
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["code"], "json-trailing-comma");
    let output = check(&["--baseline", baseline, root.to_str().expect("it is UTF-8")], "");
    assert!(output.out.contains("the baseline has findings that are gone"), "{}", output.out);
    // Of the other file alone nothing is known about this one.
    let one = checked(&["--baseline", baseline], &root.join("b.json"), 0);
    assert_eq!(one["baseline"]["gone"], Value::Array(Vec::new()));
}

#[test]
fn a_baseline_knows_a_file_by_each_of_its_paths_and_keeps_what_was_not_read() {
    let directory = tempfile::tempdir().expect("there is room");
    let root = directory.path();
    for name in ["k8s/a.json", "more/b.json"] {
        file(root, name, "{\"a\": 1,}\n");
    }
    let run = |arguments: &[&str]| {
        let output = gate_command().current_dir(root).arg("check").args(arguments).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let written = run(&["--write-baseline", "known.json", "k8s", "more"]);
    assert_eq!(written, (Some(0), "wrote 2 findings to `known.json`: 2 added, 0 removed\n".to_owned()));
    let absolute = root.canonicalize().expect("it is there").join("k8s");
    for path in ["k8s", "./k8s/", "k8s//", "./k8s/./a.json", absolute.to_str().expect("it is UTF-8")] {
        assert_eq!(run(&["--baseline", "known.json", "--quiet", path]).0, Some(0), "{path}");
    }
    // Of the other file nothing is known in this run, so its entry stays.
    assert!(run(&["--write-baseline", "known.json", "k8s"]).1.contains("wrote 2 findings"));
    std::fs::remove_file(root.join("more/b.json")).expect("it is there");
    assert!(run(&["--write-baseline", "known.json", "k8s"]).1.contains("wrote 1 finding "));
}

#[test]
fn the_report_of_the_last_run_is_no_input_and_an_exclusion_may_begin_as_paths_do() {
    let directory = tempfile::tempdir().expect("there is room");
    for name in ["reports/a b.json", "c/d.json"] {
        file(directory.path(), name, "{\"a\": 1,}\n");
    }
    file(directory.path(), "e.json", "{}\n");
    let run = |arguments: &[&str]| {
        let status = gate_command().current_dir(directory.path()).arg("check").args(arguments).status();
        status.expect("it starts").code()
    };
    let output = ["--output", "reports/a b.json"];
    assert_eq!(run(&[&output[..], &["."]].concat()), Some(1), "`c/d.json` is an input");
    file(directory.path(), "reports/a b.json", "{\"a\": 1,}\n");
    assert_eq!(run(&[&output[..], &["--exclude", "./c", "."]].concat()), Some(0));
}

#[test]
fn a_baseline_that_cannot_be_read_is_an_error_of_usage() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("none.json");
    let path = path.to_str().expect("it is UTF-8");
    let output = check(&["--baseline", path, "-"], "");
    assert!(output.code == 2 && output.err.contains("--write-baseline"), "{}", output.err);
    std::fs::write(path, "[]").expect("there is room");
    assert_eq!(check(&["--baseline", path, "-"], "").code, 2);
}

#[test]
fn a_baseline_has_nothing_of_a_secret() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("baseline.json");
    let secret = config_map("app.json", "'{\"password\": hunter2hunter2}'").replace("ConfigMap", "Secret");
    let secret = secret.replace("\ndata:", "\nstringData:");
    let written = report(&["--write-baseline", path.to_str().expect("it is UTF-8")], &secret, 0);
    assert_eq!(written["baseline"]["known"], 1);
    let text = std::fs::read_to_string(path).expect("it is there");
    assert!(text.contains("Secret x") && !text.contains("hunter2"), "{text}");
}

#[test]
fn an_ignored_finding_of_a_secret_shows_nothing_of_it() {
    let config = "|\n    events {}\n    http {\n      hunter2pw on; # reload-gate: ignore unknown-directive for hunter2pw\n    \
                  # reload-gate: ignore hunter2pw why-hunter2pw\n      sendfile off;\n    }";
    let secret = config_map("nginx.conf", config).replace("ConfigMap", "Secret").replace("\ndata:", "\nstringData:");
    let found = report(&[], &secret, 0);
    assert_eq!(found["inputs"][0]["suppressed"].as_array().map(Vec::len), Some(1), "{found}");
    for format in FORMATS {
        let output = check(&["--verbose", "--format", format, "-"], &secret);
        assert!(!output.out.contains("hunter2") && !output.err.contains("hunter2"), "{format}: {}", output.out);
    }
}

#[test]
fn sarif_marks_the_findings_of_the_baseline() {
    let directory = tempfile::tempdir().expect("there is room");
    let baseline = directory.path().join("baseline.json");
    let baseline = baseline.to_str().expect("it is UTF-8");
    let old = config_map("a.json", "'{\"a\": 1,}'");
    report(&["--write-baseline", baseline], &old, 0);
    let both = format!("{old}  b.json: '[1,]'\n");
    let output = check(&["--format", "sarif", "--baseline", baseline, "-"], &both);
    assert_eq!(output.code, 1, "{}", output.err);
    let sarif: Value = serde_json::from_str(&output.out).expect("it is JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("it is a list");
    let state = |result: &Value| (result["baselineState"].to_string(), result["suppressions"][0]["kind"].to_string());
    let states: Vec<_> = results.iter().map(state).collect();
    let expected = [("\"unchanged\"", "\"external\""), ("\"new\"", "null")];
    let sorted = |mut states: Vec<(String, String)>| {
        states.sort();
        states
    };
    assert_eq!(sorted(states), sorted(expected.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()));
}

#[test]
fn warnings_reject_or_are_hidden() {
    let manifest = config_map("nginx.conf", "|\n    events {}\n    http { include /etc/nginx/more.conf; }");
    let of = |action: &str, code: i32| findings(&report(&["--warnings", action], &manifest, code));
    let shown = of("show", 0);
    assert!(!shown.is_empty() && shown.iter().all(|finding| finding.starts_with("warning")), "{shown:?}");
    assert!(of("hide", 0).is_empty());
    let rejected = of("reject", 1);
    assert!(rejected.iter().all(|finding| finding.starts_with("error")), "{rejected:?}");
    assert_eq!(rejected.len(), shown.len());
}

/// `code place (reason)` of every finding that does not count.
fn suppressed(report: &Value) -> Vec<String> {
    let inputs = report["inputs"].as_array().expect("there are inputs");
    let all = inputs.iter().flat_map(|input| input["suppressed"].as_array().into_iter().flatten());
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|one| format!("{} {} ({})", word(&one["code"]), one["line"], word(&one["reason"]))).collect()
}

#[test]
fn a_comment_ignores_findings_of_its_line_and_the_next() {
    let manifest = config_map(
        "nginx.conf",
        "|
    events {}
    http {
      brotl on; # reload-gate: ignore unknown-directive our own module
      # reload-gate: ignore unknown-directive another one
      zstdd on;
      lisen 80;
    }
",
    );
    let rejected = report(&[], &manifest, 1);
    let expected = ["unknown-directive 8 (our own module)", "unknown-directive 10 (another one)"];
    assert_eq!(suppressed(&rejected), expected);
    assert_eq!(findings(&rejected).len(), 1, "{rejected}");
    let manifest = manifest.replace("      lisen 80;\n", "");
    let accepted = report(&[], &manifest, 0);
    assert_eq!(suppressed(&accepted), expected);
    let text = check(&["-"], &manifest).out;
    assert!(text.contains("ignored  -:8:7: error[unknown-directive]") && text.contains("(our own module)"), "{text}");
}

#[test]
fn an_annotation_ignores_findings_of_its_object() {
    let manifest = config_map("nginx.conf", "|\n    events {}\n    http { lisen 80; }\n");
    let annotations = "{reload-gate.dev/ignore: unknown-directive a module of ours}";
    let manifest = manifest.replace("{name: x}", &format!("{{name: x, annotations: {annotations}}}"));
    assert_eq!(suppressed(&report(&[], &manifest, 0)), ["unknown-directive 7 (a module of ours)"]);
    let other = manifest.replace("unknown-directive a", "invalid-value a");
    let codes = findings(&report(&[], &other, 1));
    assert!(codes.iter().any(|finding| finding.starts_with("warning unused-ignore 3:")), "{codes:?}");
}

#[test]
fn an_ignore_without_effect_or_reason_is_a_warning() {
    let manifest = config_map("nginx.conf", "|\n    events {} # reload-gate: ignore invalid-value it was wrong once\n");
    let found = findings(&report(&[], &manifest, 0));
    assert!(found.iter().any(|finding| finding.starts_with("warning unused-ignore 6:")), "{found:?}");
    let manifest =
        config_map("nginx.conf", "|\n    events {}\n    lisen 80; # reload-gate: ignore unknown-directive\n");
    let found = findings(&report(&[], &manifest, 0));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("warning ignore-without-reason 7:"), "{found:?}");
}

#[test]
fn a_comment_in_a_manifest_ignores_findings_about_the_manifest() {
    let manifest = config_map("PORT", "80 # reload-gate: ignore value-not-text the chart quotes it");
    assert_eq!(suppressed(&report(&[], &manifest, 0)), ["value-not-text 5 (the chart quotes it)"]);
}

#[test]
fn an_obstacle_is_not_ignored() {
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "a.conf", "x # reload-gate: ignore checker-missing we do not need it\n");
    let arguments = ["--validate", "no-such-checker {config}"];
    checked(&arguments, directory.path(), 3);
}

/// A directory with a baseline of one error in `site.json`, and one in `other.json`.
fn with_baseline() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("there is room");
    for name in ["site.json", "other.json"] {
        file(&directory.path().join("conf"), name, "{\"a\": 1,}\n");
    }
    let baseline = directory.path().join("baseline.json").display().to_string();
    checked(&["--write-baseline", &baseline], &directory.path().join("conf"), 0);
    (directory, baseline)
}

#[test]
fn a_file_that_nothing_validates_any_more_is_said_in_every_format() {
    let (directory, baseline) = with_baseline();
    let root = directory.path().join("conf");
    std::fs::rename(root.join("site.json"), root.join("site.jsn")).expect("it is there");
    let found = checked(&["--baseline", &baseline], &root, 0);
    let lapsed = found["baseline"]["lapsed"].as_array().expect("it is a list");
    assert_eq!(lapsed.len(), 1, "{found}");
    assert!(lapsed[0]["input"].as_str().is_some_and(|input| input.ends_with("site.jsn")), "{found}");
    assert!(lapsed[0]["former"].as_str().is_some_and(|former| former.ends_with("site.json")), "{found}");
    for format in FORMATS {
        let output = check(&["--format", format, "--baseline", &baseline, root.to_str().expect("it is UTF-8")], "");
        let is_said = output.out.contains("not validated any more") || output.out.contains("\"lapsed\"");
        assert!(is_said, "{format}: {}", output.out);
    }
    let quiet = check(&["--quiet", "--baseline", &baseline, root.to_str().expect("it is UTF-8")], "");
    assert!(quiet.out.contains("site.jsn: not validated any more"), "{}", quiet.out);
}

#[test]
fn what_is_gone_is_said_in_every_format() {
    let (directory, baseline) = with_baseline();
    let root = directory.path().join("conf");
    std::fs::remove_file(root.join("site.json")).expect("it is there");
    for format in FORMATS {
        let output = check(&["--format", format, "--baseline", &baseline, root.to_str().expect("it is UTF-8")], "");
        assert_eq!(output.code, 0, "{}", output.err);
        assert!(output.out.contains("gone") && output.out.contains("site.json"), "{format}: {}", output.out);
    }
}

#[test]
fn a_finding_that_an_old_one_may_have_hidden_has_a_note() {
    let directory = tempfile::tempdir().expect("there is room");
    let (root, baseline) = (directory.path().join("conf"), directory.path().join("baseline.json"));
    let baseline = baseline.to_str().expect("it is UTF-8");
    file(&root, "a.json", "{\"a\": [1 2],\n \"b\": [3 4]}\n");
    checked(&["--write-baseline", baseline], &root, 0);
    file(&root, "a.json", "{\"a\": [1, 2],\n \"b\": [3 4]}\n");
    let found = findings(&checked(&["--baseline", baseline], &root, 1));
    assert!(found.len() == 2 && found[1].starts_with("note perhaps-hidden"), "{found:?}");
    let markdown = check(&["--format", "markdown", "--baseline", baseline, root.to_str().expect("it is UTF-8")], "");
    assert!(markdown.out.contains("it may have hidden this one"), "{}", markdown.out);
}

#[test]
fn a_conflict_in_a_baseline_is_named_and_written_away() {
    let (directory, baseline) = with_baseline();
    let root = directory.path().join("conf");
    let text = std::fs::read_to_string(&baseline).expect("it is there");
    std::fs::write(&baseline, format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> main\n")).expect("there is room");
    let path = root.join("site.json").display().to_string();
    let output = check(&["--baseline", &baseline, &path], "");
    assert_eq!(output.code, 2);
    assert!(
        output.err.contains("conflict of git at line 1") && output.err.contains("--write-baseline"),
        "{}",
        output.err
    );
    // Of the other file nothing is known in this run, and its entry stays.
    let written = check(&["--write-baseline", &baseline, &path], "");
    assert!(written.code == 0 && written.err.contains("wrote 2 findings"), "{}", written.err);
}

#[test]
fn a_fingerprint_stays_when_lines_move_and_is_of_one_finding() {
    let directory = tempfile::tempdir().expect("there is room");
    let prints = |text: &str| {
        file(directory.path(), "nginx.conf", text);
        let report = checked(&[], directory.path(), 1);
        let found = report["inputs"][0]["findings"].as_array().expect("there are some").clone();
        found.iter().map(|finding| finding["fingerprint"].to_string()).collect::<Vec<_>>()
    };
    let before = prints("events {}\nhttp {\n  lisen 80;\n  lisen 80;\n  sendfil on;\n}\n");
    assert_eq!(before.len(), 3);
    assert_eq!(before.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{before:?}");
    let after = prints("events {}\nhttp {\n  # a line\n\n  lisen 80;\n  lisen 80;\n  sendfil on;\n}\n");
    assert_eq!(before, after);
}

#[test]
fn the_filter_of_the_page_makes_a_code_quality_report_with_stable_fingerprints() {
    crate::support::needs!("jq");
    let page = std::fs::read_to_string("docs/ci.md").expect("it is there");
    let filter = page.split("```jq\n").nth(1).and_then(|rest| rest.split("```").next()).expect("there is one");
    let directory = tempfile::tempdir().expect("there is room");
    let quality = |text: &str| {
        file(directory.path(), "nginx.conf", text);
        let report = check(&["--format", "json", directory.path().to_str().expect("it is UTF-8")], "").out;
        file(directory.path(), "report.txt", &report);
        let mut jq = crate::support::command("jq");
        let output = jq.arg(filter).arg(directory.path().join("report.txt")).output().expect("it starts");
        let issues: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let print = |issue: &Value| issue["fingerprint"].as_str().expect("there is one").to_owned();
        issues.as_array().expect("it is a list").iter().map(print).collect::<Vec<_>>()
    };
    let before = quality("events {}\nhttp {\n  lisen 80;\n  lisen 80;\n}\n");
    assert!(before.len() == 2 && before[0] != before[1], "{before:?}");
    assert_eq!(before, quality("events {}\nhttp {\n\n  lisen 80;\n  lisen 80;\n}\n"));
}
