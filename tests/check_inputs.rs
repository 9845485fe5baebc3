//! Inputs of `check` as a whole: several findings about one, its encoding, and keys of objects that no container mounts.

use serde_json::Value;

use crate::check::{check, file, findings, report};
use crate::support::needs;

/// Text in UTF-16 with its byte order mark.
fn wide(text: &str) -> Vec<u8> {
    let units = std::iter::once('\u{feff}').chain(text.chars()).collect::<String>();
    units.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn inputs(report: &Value) -> Vec<(&str, usize)> {
    let all = report["inputs"].as_array().expect("there are inputs");
    let count = |input: &Value| input["findings"].as_array().map_or(0, Vec::len);
    all.iter().map(|input| (input["verdict"].as_str().unwrap_or_default(), count(input))).collect()
}

#[test]
fn all_findings_about_an_input_are_one_validation() {
    let twice = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  name: b\nspec:\n  type: a\n  type: b\n";
    let warned = report(&[], twice, 0);
    assert_eq!(inputs(&warned), [("accepted", 2)], "{warned}");
    let data = "---\napiVersion: v1\nkind: ConfigMap\ndata:\n  a: one\n  a: two\n";
    let rejected = report(&[], &format!("{twice}{data}"), 1);
    assert_eq!(inputs(&rejected), [("rejected", 3)], "{rejected}");
}

#[test]
fn a_key_beside_a_mounted_one_has_its_reason() {
    let manifest = "apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data:
  a.json: '{}'
  other: |
    first
    second
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  volumes: [{name: v, configMap: {name: c}}]
  containers:
  - name: app
    image: app
    volumeMounts: [{name: v, mountPath: /etc/app/a.json, subPath: a.json}]
";
    let report = report(&[], manifest, 0);
    let unchecked = report["unjudged"].as_array().expect("it is a list");
    let reasons: Vec<_> = unchecked.iter().map(|one| (&one["key"], &one["why"])).collect();
    let why = Value::from("no container mounts it: the mounts of its object select other keys");
    assert_eq!(reasons, [(&Value::from("other"), &why)]);
}

#[test]
fn a_file_in_utf16_is_named_as_one() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().to_str().expect("it is UTF-8");
    for (name, text) in [("nginx.conf", "events {}\n"), ("a.json", "{}\n"), ("a.toml", "a = 1\n")] {
        std::fs::write(directory.path().join(name), wide(text)).expect("there is room");
        let output = check(&["--format", "json", &format!("{path}/{name}")], "");
        let report = serde_json::from_str(&output.out).expect("it is JSON");
        assert_eq!(findings(&report), ["error utf-16 null:null: the file is encoded in UTF-16"], "{name}");
        assert!(output.out.contains("iconv -f UTF-16 -t UTF-8"), "{name}: {}", output.out);
    }
    // Readers of YAML accept it.
    std::fs::write(directory.path().join("a.yaml"), wide("a: 1\n")).expect("there is room");
    assert_eq!(check(&[&format!("{path}/a.yaml")], "").code, 0);
    std::fs::write(directory.path().join("part.conf"), wide("server {}\n")).expect("there is room");
    let unknown = check(&[&format!("{path}/part.conf")], "");
    assert_eq!(unknown.code, 3);
    assert!(unknown.out.contains("it is encoded in UTF-16"), "{}", unknown.out);
}

#[test]
fn manifests_in_utf16_are_read() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().to_str().expect("it is UTF-8");
    let manifest = "apiVersion: v1\nkind: ConfigMap\ndata:\n  nginx.conf: |\n    events {}\n    htp {}\n";
    std::fs::write(directory.path().join("c.yaml"), wide(manifest)).expect("there is room");
    let output = check(&["--format", "json", path], "");
    let report = serde_json::from_str(&output.out).expect("it is JSON");
    let found = findings(&report);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("warning utf-16"), "{found:?}");
    assert!(found[1].starts_with("error unknown-directive 6:5"), "{found:?}");
}

#[test]
fn a_note_disappears_with_its_finding() {
    let directory = tempfile::tempdir().expect("there is room");
    let baseline = directory.path().join("baseline.json");
    let (root, baseline) = (directory.path().join("conf"), baseline.to_str().expect("it is UTF-8"));
    let conf = "events {}\nhttp {\n  server {\n    # a comment\n    listen 80\n    server_name a;\n  }\n}\n";
    file(&root, "nginx.conf", conf);
    let path = root.to_str().expect("it is UTF-8");
    let present = check(&[path], "");
    assert!(present.code == 1 && present.out.contains("missing-semicolon"), "{}", present.out);
    check(&["--write-baseline", baseline, path], "");
    let known = check(&["--baseline", baseline, path], "");
    assert!(known.code == 0 && !known.out.contains("missing-semicolon"), "{}", known.out);
    file(&root, "nginx.conf", &conf.replace("80\n", "80\n    # reload-gate: ignore invalid-parameter ours\n"));
    let ignored = check(&[path], "");
    assert!(ignored.code == 0 && !ignored.out.contains("missing-semicolon"), "{}{}", ignored.out, ignored.err);
}

#[test]
fn a_file_without_a_checker_names_its_reader() {
    let manifest = "apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data:
  app.yaml: 'a: 1'
  app.hcl: |
    first
    second
---
apiVersion: v1
kind: ConfigMap
metadata: {name: f}
data:
  fluent-bit.conf: |
    [SERVICE]
        Flush 1
---
apiVersion: v1
kind: ConfigMap
metadata: {name: loose}
data: {b.yaml: 'a: 1'}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  volumes: [{name: v, configMap: {name: c}}, {name: f, configMap: {name: f}}]
  containers:
  - name: app
    image: registry.example.com/team/app:1
    volumeMounts: [{name: v, mountPath: /etc/app}, {name: f, mountPath: /etc/logs}]
";
    let report = report(&[], manifest, 0);
    let reasons = |list: &str, name: &str| -> Vec<String> {
        let all = report[list].as_array().expect("it is a list");
        all.iter().map(|one| format!("{}: {}", one["key"], one[name]).replace('"', "")).collect()
    };
    let of_name = "known by its name; the syntax alone, since";
    assert_eq!(
        reasons("inputs", "reason"),
        [
            format!("app.yaml: {of_name} no checker of `team/app` is known"),
            format!("b.yaml: {of_name} no container of the inputs mounts it"),
        ]
    );
    assert_eq!(
        reasons("unjudged", "why"),
        [
            "app.hcl: no checker of `team/app` is known, whose container mounts it",
            "fluent-bit.conf: `fluent-bit`, which checks it, is not installed",
        ]
    );
}

#[test]
fn a_file_is_judged_for_the_program_that_its_command_line_names() {
    needs!("nats-server");
    let manifest = "apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data:
  nats.conf: |
    server_name: $SERVER_NAME
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  volumes: [{name: v, configMap: {name: c}}]
  containers:
  - name: reloader
    image: natsio/nats-server-config-reloader:0.23.0
    volumeMounts: [{name: v, mountPath: /etc/nats-config}]
  - name: nats
    image: nats:2
    args: [--config, /etc/nats-config/nats.conf]
    env: [{name: SERVER_NAME, value: a}]
    volumeMounts: [{name: v, mountPath: /etc/nats-config}]
";
    let accepted = report(&[], manifest, 0);
    assert_eq!(inputs(&accepted), [("accepted", 0)], "{accepted}");
}

#[test]
fn a_certificate_in_a_secret_of_its_own_needs_no_key() {
    let certificate = include_str!("../fixtures/pairs/new.crt").replace('\n', "\n    ");
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: authority}}\nstringData:\n  tls.crt: |\n    {certificate}\n"
    );
    let output = check(&["--format", "json", "-"], &secret);
    assert!(output.out.contains("builtin tls") && !output.out.contains("missing-key"), "{}", output.out);
}
