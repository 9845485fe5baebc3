//! The bundled validators of formats and certificates: which files they judge, and what comes of it.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Gate, Kubelet, Volume, command, gate_command, needs};

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("there is room");
    for (name, content) in files {
        fs::write(directory.path().join(name), content).expect("there is room");
    }
    directory
}

/// Result of `run --once` for a directory: the exit code, and the findings as `severity code file:line:column`.
fn judge(directory: &Path, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let mut gate = gate_command();
    gate.args(["run", "--once", "--watch"]).arg(directory).args(arguments);
    let Output { status, stderr, .. } = gate.output().expect("it starts");
    let said = String::from_utf8(stderr).expect("it is UTF-8");
    let mut events = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
    let verdict = events.next_back().unwrap_or_else(|| panic!("it said nothing"));
    (status.code(), found(&verdict))
}

fn found(event: &Value) -> Vec<String> {
    let show = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let file = text("file");
        let name = Path::new(&file).file_name().unwrap_or_default().to_string_lossy();
        let number = |key: &str| finding[key].as_u64().map_or_else(String::new, |number| format!(":{number}"));
        format!("{} {} {name}{}{}", text("severity"), text("code"), number("line"), number("column"))
    };
    event["findings"].as_array().map(|findings| findings.iter().map(show).collect()).unwrap_or_default()
}

#[track_caller]
fn check(files: &[(&str, &str)], arguments: &[&str], code: i32, expected: &[&str]) {
    let directory = directory(files);
    let (exit, findings) = judge(directory.path(), arguments);
    assert_eq!((exit, findings), (Some(code), expected.iter().map(|line| (*line).to_owned()).collect()), "{files:?}");
}

#[test]
fn toml_is_judged_by_the_ends_of_names() {
    let toml = ["--builtin", "toml"];
    check(&[("a.toml", "a = 1\n"), ("b.toml", "[t]\n"), ("c.txt", "[")], &toml, 0, &[]);
    let bad = [("a.toml", "a = 1\n"), ("b.toml", "[t]\nx = \n")];
    check(&bad, &toml, 1, &["error toml-syntax b.toml:2:5"]);
    check(&[("only.conf", "a = 1\na = 2\n")], &toml, 1, &["error toml-duplicate-key only.conf:2:1"]);
    let several = [("a.conf", "a = 1\n"), ("b.conf", "x\n")];
    check(&several, &toml, 3, &["error no-main-file "]);
    check(&several, &["--builtin", "toml", "--main", "a.conf"], 0, &[]);
    check(&several, &["--builtin", "toml", "--main", "b.conf"], 1, &["error toml-syntax b.conf:1:2"]);
    // The one that is named is meant, and no other.
    check(&bad, &["--builtin", "toml", "--main", "a.toml"], 0, &[]);
}

#[test]
fn ini_is_judged_and_warned_of() {
    let ini = ["--builtin", "ini"];
    check(&[("a.ini", "[s]\nkey = value\n"), ("b.cfg", "nothing")], &ini, 0, &[]);
    check(&[("a.ini", "[s]\nkey\n")], &ini, 1, &["error ini-syntax a.ini:2:1"]);
    check(&[("a.ini", "[s]\na = 1\na = 2\n")], &ini, 0, &["warning ini-duplicate-key a.ini:3:1"]);
    check(
        &[("a.ini", "[s]\n"), ("b.toml", "x")],
        &["--builtin", "ini", "--builtin", "toml"],
        1,
        &["error toml-syntax b.toml:1:2"],
    );
}

#[test]
fn json_and_yaml_are_judged_by_the_ends_of_names() {
    let json = ["--builtin", "json"];
    check(&[("a.json", "{\"a\": 1}\n"), ("b.txt", "{")], &json, 0, &[]);
    check(&[("a.json", "{\n  \"a\": 1,\n}\n")], &json, 1, &["error json-trailing-comma a.json:2:9"]);
    check(&[("only", "{\"a\": nil}\n")], &json, 1, &["error json-word only:1:7"]);
    let yaml = ["--builtin", "yaml"];
    check(&[("a.yaml", "a: 1\n"), ("b.yml", "- x\n")], &yaml, 0, &[]);
    check(&[("a.yaml", "a: 1\n"), ("b.yml", "a: [\n")], &yaml, 1, &["error yaml-syntax b.yml:1:4"]);
    check(&[("a.txt", "a: 1\n"), ("b.txt", "b: 1\n")], &yaml, 3, &["error no-main-file "]);
}

#[test]
fn files_are_held_against_a_schema() {
    let schema = directory(&[("s.json", r#"{"properties": {"port": {"type": "integer"}}, "required": ["port"]}"#)]);
    let path = schema.path().join("s.json").to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--builtin", "json-schema", "--schema", &path];
    let good = [("a.json", "{\"port\": 80}"), ("b.yaml", "port: 80\n"), ("c.toml", "port = 8_0\n"), ("d.txt", "[")];
    check(&good, &arguments, 0, &[]);
    check(&[("b.yaml", "port: http\n")], &arguments, 1, &["error schema-type b.yaml:1:7"]);
    check(&[("c.toml", "a = 1\n[t]\nport = 1\n")], &arguments, 1, &["error schema-missing c.toml:1:1"]);
    check(&[("c.toml", "a = 1\nport = \"x\"\n")], &arguments, 1, &["error schema-type c.toml:2:8"]);
}

#[test]
fn a_file_of_json_is_rejected_and_recovers() {
    let directory = directory(&[]);
    let mut volume = Volume::new(directory.path().join("json"), Kubelet::New, &[("app.json", "{\"a\": 1}")]);
    let path = volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--builtin", "json", "--signal", "none", "--watch", &path]);
    gate.wait_for("accepted");
    volume.write(&[("app.json", "{\n  \"a\": 1,\n}")]);
    let rejected = gate.wait_for("rejected");
    assert_eq!(found(&rejected), ["error json-trailing-comma app.json:2:9"], "{rejected}");
    // The content of before: there is nothing to do, and the incident ends.
    volume.write(&[("app.json", "{\"a\": 1}")]);
    gate.wait_for("recovered");
    assert_eq!(gate.stop(), 0);
}

fn openssl(directory: &Path, line: &str) {
    let output = command("openssl").args(line.split(' ')).current_dir(directory).output().expect("it is installed");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate for `www.example.org` and its key, for so many days.
fn certificate(days: &str) -> (String, String) {
    let directory = directory(&[("names", "subjectAltName=DNS:www.example.org")]);
    let of_key =
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out csr -subj /CN=www.example.org";
    openssl(directory.path(), of_key);
    openssl(directory.path(), &format!("x509 -req -in csr -signkey key -days {days} -extfile names -out crt"));
    let read = |name| fs::read_to_string(directory.path().join(name)).expect("it was written");
    (read("crt"), read("key"))
}

#[test]
fn certificates_are_judged_with_their_keys() {
    needs!("openssl");
    let ((crt, key), (_, other)) = (certificate("90"), certificate("90"));
    let tls = ["--builtin", "tls"];
    check(&[("tls.crt", &crt), ("tls.key", &key), ("ca.crt", "")], &tls, 0, &[]);
    check(&[("tls.crt", &crt), ("tls.key", &other)], &tls, 1, &["error key-mismatch tls.key:1:1"]);
    check(&[("www.pem", &crt), ("www.key", &other)], &tls, 1, &["error key-mismatch www.key:1:1"]);
    check(&[("tls.crt", &crt)], &tls, 3, &["error missing-key tls.crt"]);
    check(&[("site.pem", &(crt.clone() + &key))], &tls, 0, &[]);
    check(&[("a.txt", &crt), ("b.txt", &key)], &tls, 3, &["error no-main-file "]);
    check(&[("a.txt", &crt), ("b.txt", &key)], &["--builtin", "tls", "--main", "a.txt"], 0, &[]);
    let pair = [("tls.crt", crt.as_str()), ("tls.key", &key)];
    check(&pair, &["--builtin", "tls", "--tls-name", "www.example.org"], 0, &[]);
    let names = ["--builtin", "tls", "--tls-name", "www.example.org", "--tls-name", "example.org"];
    check(&pair, &names, 1, &["error name-not-covered tls.crt:1:1"]);
    check(&pair, &["--builtin", "tls", "--tls-warn", "91d"], 0, &["warning expires-soon tls.crt:1:1"]);
    let (crt, key) = certificate("-1");
    check(&[("tls.crt", &crt), ("tls.key", &key)], &tls, 1, &["error expired tls.crt:1:1"]);
}

#[test]
fn a_renewed_certificate_goes_through_with_its_key_alone() {
    needs!("openssl");
    let ((crt, key), (new_crt, new_key)) = (certificate("90"), certificate("90"));
    let directory = directory(&[]);
    let mut volume = Volume::new(directory.path().join("tls"), Kubelet::New, &[("tls.crt", &crt), ("tls.key", &key)]);
    let path = volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--builtin", "tls", "--signal", "none", "--watch", &path]);
    gate.wait_for("accepted");
    volume.write(&[("tls.crt", &new_crt), ("tls.key", &key)]);
    let rejected = gate.wait_for("rejected");
    assert_eq!(found(&rejected), ["error key-mismatch tls.key:1:1"], "{rejected}");
    assert_eq!(rejected["findings"][0]["source"], "the bundled TLS checker", "{rejected}");
    assert!(!gate.story().contains(key.lines().nth(1).expect("a key has lines")), "{}", gate.story());
    volume.write(&[("tls.crt", &new_crt), ("tls.key", &new_key)]);
    gate.wait_for("accepted");
    assert_eq!(gate.stop(), 0);
}

#[test]
fn an_unknown_validator_gets_the_nearest_name() {
    let refuses = |arguments: &[&str], expected: &str| {
        let output =
            gate_command().args(["run", "--once", "--watch", "/x"]).args(arguments).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    refuses(&["--builtin", "tmol"], "did you mean `toml`?");
    refuses(&["--builtin", "tls", "--tls-name", "https://example.org"], "`https://example.org` is no host name");
    refuses(&["--builtin", "tls", "--tls-warn", "soon"], "`soon` is no duration");
}
