//! Corrections: `--fix` and `--diff`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::check::{check, config_map, file};

fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).expect("it is there")
}

#[test]
fn what_is_certain_is_corrected_and_judged_again() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().to_str().expect("it is UTF-8");
    file(
        directory.path(),
        "nginx.conf",
        "events {}\nhttp {\n    server {\n        lisen 80\n        server_name a;\n    }\n}\n",
    );
    file(directory.path(), "a.json", "{\"a\": [1, 2,],}\n");
    file(directory.path(), "a.yaml", "a:\n\tb: 1\n");
    file(directory.path(), "manifest.yaml", &config_map("b.json", "|\n    [1,]"));
    let script = directory.path().join("nginx.conf");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o640)).expect("it is ours");
    let output = check(&["--fix", path], "");
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    let nginx = read(directory.path(), "nginx.conf");
    assert_eq!(nginx, "events {}\nhttp {\n    server {\n        listen 80;\n        server_name a;\n    }\n}\n");
    assert_eq!(read(directory.path(), "a.json"), "{\"a\": [1, 2]}\n");
    assert_eq!(read(directory.path(), "a.yaml"), "a:\n  b: 1\n");
    assert_eq!(read(directory.path(), "manifest.yaml"), config_map("b.json", "|\n    [1]"));
    let mode = std::fs::metadata(script).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 4, "nothing else is left");
}

#[test]
fn tabs_in_a_value_are_corrected_with_all_else() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().to_str().expect("it is UTF-8");
    let both = |yaml: &str, json: &str| config_map("a.yaml", &format!("|\n    {yaml}\n  b.json: |\n    {json}"));
    file(directory.path(), "manifest.yaml", &both("a:\n    \tb: 1\n    \tc:\n    \t\td: 2", "[1,]"));
    let output = check(&["--fix", path], "");
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert_eq!(read(directory.path(), "manifest.yaml"), both("a:\n      b: 1\n      c:\n        d: 2", "[1]"));
}

#[test]
fn a_diff_changes_nothing_and_exits_as_formatters_do() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().to_str().expect("it is UTF-8");
    file(directory.path(), "a.json", "[1,]\n");
    let output = check(&["--diff", path], "");
    assert_eq!(output.code, 1, "{}", output.err);
    assert!(output.out.contains("-[1,]\n+[1]\n"), "{}", output.out);
    assert_eq!(read(directory.path(), "a.json"), "[1,]\n");
    let both = check(&["--fix", "--diff", "--format", "json", path], "");
    assert_eq!(both.code, 2, "a patch in front of JSON is neither: {}", both.out);
    assert_eq!(read(directory.path(), "a.json"), "[1,]\n");
    let both = check(&["--fix", "--diff", path], "");
    assert_eq!(both.code, 0, "{}", both.err);
    assert!(both.out.contains("-[1,]\n+[1]\n") && both.out.contains("1 checked: 1 accepted"), "{}", both.out);
    assert_eq!(read(directory.path(), "a.json"), "[1]\n");
    assert_eq!(check(&["--diff", path], "").code, 0);
    assert_eq!(check(&["--fix", "-"], "[1,]\n").code, 2);
}

#[test]
fn what_is_not_certain_stays() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().to_str().expect("it is UTF-8");
    let secret =
        config_map("a.json", "'[1,]'").replace("kind: ConfigMap", "kind: Secret").replace("\ndata:", "\nstringData:");
    let files = [("nginx.conf", "events {}\nhttp { brotli_foo on; }\n".to_owned()), ("secret.yaml", secret)];
    for (name, text) in &files {
        file(directory.path(), name, text);
    }
    assert_eq!(check(&["--fix", path], "").code, 1);
    assert_eq!(read(directory.path(), "nginx.conf"), files[0].1);
    assert_eq!(read(directory.path(), "secret.yaml"), files[1].1);
}
