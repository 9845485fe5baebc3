//! Inputs of `check` as a whole: several findings about one, its encoding, and keys of objects that no container mounts.

use serde_json::Value;

use crate::check::{check, file, findings, report};
use crate::support::{gate_command, needs};

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

#[test]
fn a_file_is_checked_once_in_whatever_ways_it_is_named() {
    let directory = tempfile::tempdir().expect("there is room");
    let root = directory.path().canonicalize().expect("it is there").join("repository");
    file(&root, "conf/nginx.conf", "events {}\nhttp { include sites/*.conf; }\n");
    file(&root, "conf/sites/a.conf", "lisen 80;\n");
    file(&root, "chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n");
    file(&root, "chart/templates/a.yaml", "a: {{ .Values.b }}\n");
    let report = |paths: &[&str]| {
        let mut check = gate_command();
        check.current_dir(&root).args(["check", "--format", "json"]).args(paths);
        let output = check.output().expect("it starts");
        serde_json::from_slice::<Value>(&output.stdout).expect("it is JSON")
    };
    let inputs = |report: &Value| {
        let named = |list: &str| {
            report[list].as_array().into_iter().flatten().map(|one| one["input"].to_string()).collect::<Vec<_>>()
        };
        [named("inputs"), named("unjudged")].concat()
    };
    let alone = inputs(&report(&["."]));
    let absolute = root.display().to_string();
    for paths in [
        &[".", "conf/"][..],
        &[".", "./conf/nginx.conf", "chart"],
        &[".", "../repository/conf"],
        &[".", "conf/../conf/nginx.conf", "."],
    ] {
        assert_eq!(inputs(&report(paths)), alone, "{paths:?}");
    }
    for paths in [&["conf", "."][..], &["conf/nginx.conf", "."], &["conf/sites", ".", &absolute]] {
        assert_eq!(inputs(&report(paths)), alone, "{paths:?}");
    }
    let twice = report(&["conf/nginx.conf", "./conf/nginx.conf", "../repository/conf/nginx.conf"]);
    assert_eq!(inputs(&twice), ["\"conf/nginx.conf\""]);
}

#[test]
fn a_file_that_is_named_and_lies_in_a_named_directory_is_meant_to_be_validated() {
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "a/site.txt", "x\n");
    let named = |paths: &[&str]| {
        let status = gate_command().current_dir(directory.path()).args(["check", "-q"]).args(paths).status();
        status.expect("it starts").code()
    };
    assert_eq!(named(&["a/site.txt"]), Some(3));
    assert_eq!(named(&[".", "a/site.txt"]), Some(3));
    assert_eq!(named(&["."]), Some(0));
}

#[test]
fn a_template_of_a_chart_that_is_named_is_an_obstacle() {
    let directory = tempfile::tempdir().expect("there is room");
    let chart = directory.path().join("chart");
    file(&chart, "Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n");
    for (name, object) in [("broken.yaml", "{{ .Release.Name }}"), ("whole.yaml", "'{{ .Release.Name }}'")] {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {object}}}\ndata:\n  nginx.conf: |\n    {{{{ .Values.x }}}}\n"
        );
        file(&chart, &format!("templates/{name}"), &text);
        let path = chart.join("templates").join(name).display().to_string();
        let output = check(&[&path], "");
        assert_eq!(output.code, 3, "{}", output.out);
        assert!(output.out.contains("obstacle[no-validator]: it is a template"), "{}", output.out);
        assert!(output.out.contains(&format!("helm template {}", chart.display())), "{}", output.out);
    }
    assert_eq!(check(&[chart.to_str().expect("it is UTF-8")], "").code, 0, "a directory may hold anything");
}

#[test]
fn obstacles_of_one_cause_are_one_block() {
    let directory = tempfile::tempdir().expect("there is room");
    for number in 0..15 {
        file(directory.path(), &format!("{number:02}.conf"), "x\n");
    }
    let root = directory.path().to_str().expect("it is UTF-8");
    for (format, mark) in [("human", "obstacle["), ("github", "::error "), ("markdown", "**obstacle**")] {
        let output = check(&["--format", format, "--validate", "no-such-checker {config}", root], "");
        assert_eq!(output.code, 3, "{}", output.err);
        assert_eq!(output.out.matches(mark).count(), 1, "{format}: {}", output.out);
        assert!(output.out.contains("the same in 14 more places"), "{format}: {}", output.out);
        assert!(output.out.contains("10.conf, and 4 more"), "{format}: {}", output.out);
    }
}

#[test]
fn a_quiet_report_explains_every_exit_code_but_zero() {
    let directory = tempfile::tempdir().expect("there is room");
    let root = directory.path();
    for (name, text) in [
        ("bad/nginx.conf", "events {}\nhttp { lisen 80; }\n"),
        ("warned/nginx.conf", "events {}\nhttp { include /etc/nginx/more.conf; }\n"),
        ("unknown/site.txt", "x\n"),
        ("chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"),
        ("chart/templates/a.yaml", "a: {{ .Values.b }}\n"),
    ] {
        file(root, name, text);
    }
    std::fs::create_dir(root.join("empty")).expect("there is room");
    for (arguments, code, expected) in [
        (&["bad"][..], 1, "error[unknown-directive]"),
        (&["--warnings", "reject", "warned"], 1, "error[missing-include]"),
        (&["--missing", "reject", "warned"], 1, "error[missing-include]"),
        (&["unknown/site.txt"], 3, "obstacle[no-validator]"),
        (&["chart/templates/a.yaml"], 3, "obstacle[no-validator]"),
        (&["--validate", "no-such-checker {config}", "unknown"], 3, "obstacle[checker-missing]"),
        (&["none"], 2, "it does not exist"),
        (&["empty"], 4, "nothing was checked"),
        (&["--exclude", "*", "bad"], 4, "nothing was checked"),
        (&["bad", "warned"], 1, "rejected  bad/nginx.conf"),
    ] {
        let output =
            gate_command().current_dir(root).args(["check", "-q"]).args(arguments).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

/// A pod with an nginx that mounts a ConfigMap: its parts of the container and of the volume, and the data.
fn pod_of_nginx(container: &str, volume: &str, data: &str) -> String {
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: c}}
data:
  nginx.conf: 'events {{}}'
{data}
---
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  volumes: [{{name: v, configMap: {{name: c{volume}}}}}]
  containers:
  - name: n
    image: nginx:1.27
{container}
"
    )
}

#[test]
fn what_a_pod_multiplies_is_an_obstacle() {
    let mounts = "    volumeMounts: [{name: v, mountPath: /etc/nginx}]\n";
    let with_env = |env: &str, rest: &str| format!("    env: [{env}]\n{rest}{mounts}");
    let value = |name: &str, value: &str| format!("{{name: {name}, value: '{value}'}}, ");
    let doubled = |n: usize| value(&format!("A{n}"), &format!("$(A{0})$(A{0})", n - 1));
    let doubled = value("A0", &"x".repeat(1_000)) + &(1..60).map(doubled).collect::<String>();
    let words = format!("    args: [{}]\n", "$(A), ".repeat(5_000));
    let templates = mounts.replace("/etc/nginx", "/etc/nginx/templates");
    let long = value("A", &"x".repeat(10_000));
    let big = |key: &str, count: usize, text: &str| format!("  {key}: '{}'", text.repeat(count));
    let items: String = (0..200).map(|n| format!("{{key: big, path: b{n}}}, ")).collect();
    let items = format!(", items: [{{key: nginx.conf, path: nginx.conf}}, {items}]");
    let many: String = (0..2_000).map(|n| format!("{{name: v, mountPath: /m/{n}}}, ")).collect();
    for (what, container, volume, data) in [
        ("variables", with_env(&doubled, ""), "", String::new()),
        ("arguments", with_env(&value("A", &"x".repeat(1_000)), &words), "", String::new()),
        ("templates", format!("    env: [{long}]\n{templates}"), "", big("a.conf.template", 10_000, "${A} ")),
        ("items", mounts.to_owned(), items.as_str(), big("big", 300_000, "x")),
        ("mounts", format!("    volumeMounts: [{{name: v, mountPath: /etc/nginx}}, {many}]\n"), "", String::new()),
    ] {
        let report = report(&[], &pod_of_nginx(&container, volume, &data), 3);
        let found = findings(&report);
        assert!(found.iter().any(|finding| finding.starts_with("error too-large ")), "{what}: {found:?}");
    }
    let few = value("A0", "x") + &value("A1", "$(A0)$(A0)");
    report(&["--builtin", "nginx"], &pod_of_nginx(&with_env(&few, ""), "", ""), 0);
}

#[test]
fn a_directory_of_the_search_path_among_the_inputs_is_left_out() {
    let directory = tempfile::tempdir().expect("there is room");
    let root = directory.path();
    file(root, "conf/app.conf", "a\n");
    file(root, "bin/own-checker", "#!/bin/sh\nexit 0\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.join("bin/own-checker"), mode).expect("it is there");
    let path = format!("{}:/usr/bin:/bin", root.join("bin").display());
    let checked = |flags: &[&str]| {
        let arguments = ["check", "--validate", "own-checker {config}", "--main", "conf/app.conf"];
        let output = gate_command().env("PATH", &path).args(arguments).args(flags).arg(root).output();
        let output = output.expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, printed) = checked(&[]);
    assert_eq!(code, Some(3), "{printed}");
    assert!(
        printed.contains("of `PATH` is among the inputs or links to programs there, so its programs are not executed"),
        "{printed}"
    );
    let (code, printed) = checked(&["--allow-commands"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(!printed.contains("`PATH`"), "{printed}");
}
