//! The bundled schemas of programs: an example that each accepts, one with its faults, and the files to which `check` applies them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::check::{check, checked, file, findings, report};
use crate::documents::agrees;
use crate::support::gate_command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Names in a directory of the repository.
fn names(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(directory)).expect("it is there").flatten();
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().trim_end_matches(".yaml").to_owned();
    entries.map(name).collect()
}

/// Report of a file as JSON, with the exit code.
fn of_file(path: &Path) -> (Value, Option<i32>) {
    let output = gate_command().args(["check", "--format", "json"]).arg(path).output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("it is UTF-8");
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), output.status.code())
}

/// Findings that an example names: `# error: code` and `# warning: code` behind their lines.
fn expected(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).expect("it is there");
    let lines = (1..).zip(text.lines());
    let marks = lines.flat_map(|(number, line)| {
        let marks: Vec<_> = line.split(" # ").skip(1).filter_map(|mark| mark.split_once(": ")).collect();
        marks.into_iter().map(|(severity, code)| format!("{severity} {code} {number}")).collect::<Vec<_>>()
    });
    marks.collect()
}

#[test]
fn each_schema_accepts_a_good_example_and_finds_the_faults_of_a_bad_one() {
    assert_eq!(names("validators/schemas"), names("fixtures/programs"));
    for name in names("fixtures/programs") {
        let directory = root().join("fixtures/programs").join(&name);
        let good = ["good.yaml", "good.json"].map(|file| directory.join(file)).into_iter().find(|path| path.is_file());
        let (accepted, code) = of_file(&good.expect("there is one"));
        assert_eq!((findings(&accepted), code), (Vec::new(), Some(0)), "{name}");
        let bad = directory.join("bad.yaml");
        let (rejected, code) = of_file(&bad);
        assert_eq!(code, Some(1), "{name}");
        let place = |finding: String| {
            let (place, _) = finding.split_once(": ").expect("it has a place");
            place.rsplit_once(':').expect("it has a column").0.to_owned()
        };
        let found: BTreeSet<String> = findings(&rejected).into_iter().map(place).collect();
        assert_eq!(found, expected(&bad), "{name}: {rejected:#}");
        for report in [&accepted, &rejected] {
            let validators = checked(report);
            assert!(validators[0].contains(" builtin schema of "), "{name}: {validators:?}");
        }
    }
}

/// A pod with a program of that image and these words, and the file at a path.
fn pod(image: &str, arguments: &str, path: &str, key: &str, text: &str) -> String {
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "\
apiVersion: v1
kind: ConfigMap
metadata: {{name: config}}
data:
  {key}: |
{indented}---
apiVersion: v1
kind: Pod
metadata: {{name: app}}
spec:
  containers:
    - name: app
      image: {image}
      args: [{arguments}]
      volumeMounts: [{{name: config, mountPath: {path}}}]
  volumes: [{{name: config, configMap: {{name: config}}}}]
"
    )
}

#[test]
fn the_command_line_of_a_container_names_the_program_and_the_place_is_in_the_manifest() {
    let arguments = "-config.file=/etc/loki/config.yaml, -target=all";
    let manifest =
        pod("grafana/loki:3.5.0", arguments, "/etc/loki", "config.yaml", "server:\n  http_listen_port: http\n");
    let report = report(&[], &manifest, 1);
    assert_eq!(checked(&report), ["rejected ConfigMap config config.yaml builtin schema of Loki 3"]);
    assert_eq!(findings(&report), ["error schema-value 7:25: `/server/http_listen_port`: expected a number"]);
}

#[test]
fn an_unknown_key_of_another_version_is_no_rejection() {
    let arguments = "--config=/conf/relay.yaml";
    let text = "recievers: {}\nservice: {pipelines: {traces: {receivers: [otlp]}}}\nfuture_section: {}\n";
    let manifest = pod("otel/opentelemetry-collector-k8s:9.0.0", arguments, "/conf", "relay.yaml", text);
    let report = report(&[], &manifest, 0);
    assert_eq!(
        findings(&report),
        [
            "warning schema-unknown 6:5: unknown key `recievers`",
            "warning schema-unknown 8:5: unknown key `future_section`",
        ]
    );
    let shown = check(&["--color", "never", "-"], &manifest).out;
    assert!(shown.contains("did you mean `receivers`?"), "{shown}");
    assert!(shown.contains("(builtin schema of OpenTelemetry Collector 0.159: named on the command line"), "{shown}");
}

#[test]
fn the_mount_of_a_file_names_the_program() {
    let path = "/etc/grafana/provisioning/datasources";
    let manifest = pod("grafana/grafana:12.0.0", "", path, "all.yaml", "datasources: {name: a}\n");
    let report = report(&[], &manifest, 1);
    assert_eq!(
        findings(&report),
        ["error schema-type 6:18: `/datasources`: expected one default data source for each organization at most"]
    );
}

#[test]
fn a_classic_file_of_fluent_bit_is_no_yaml() {
    let text = "[SERVICE]\n    Flush 1\n";
    let arguments = "-c, /fluent-bit/etc/fluent-bit.conf";
    let manifest = pod("fluent/fluent-bit:4.0", arguments, "/fluent-bit/etc", "fluent-bit.conf", text);
    let shown = check(&["--color", "never", "-"], &manifest).out;
    assert!(!shown.contains("builtin schema"), "{shown}");
}

#[test]
fn files_that_are_alike_are_of_no_known_program() {
    let directory = tempfile::tempdir().expect("there is room");
    for (name, text) in [
        ("values.yaml", "mode: daemonset\nconfig: {receivers: {}, service: {pipelines: {}}}\n"),
        ("loki.yaml", "singleBinary: {replicas: 1}\nserver: any\n"),
        ("compose.yaml", "services: {web: {image: nginx}}\n"),
    ] {
        file(directory.path(), name, text);
    }
    let (report, code) = of_file(directory.path());
    assert_eq!(code, Some(0), "{report:#}");
    assert!(!report.to_string().contains("schema of"), "{report:#}");
}

#[test]
fn an_annotation_names_a_schema() {
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {reload-gate.dev/validator: traefik-dynamic}}\ndata:\n  file: |\n    http: []\n";
    let report = report(&[], manifest, 1);
    assert_eq!(findings(&report), ["error schema-type 6:11: `/http`: expected a mapping"]);
}

#[test]
fn the_page_lists_the_schemas() {
    let field = |text: &str, key: &str| {
        let root = reload_gate_structured::yaml::parse(text).expect("it is YAML").expect("it is not empty");
        root.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    let row = |name: String| {
        let text =
            fs::read_to_string(root().join("validators/schemas").join(format!("{name}.yaml"))).expect("it is there");
        let version = field(&text, "x-version");
        format!("| `{name}` | {} | {version} |\n", field(&text, "description"))
    };
    let rows: String = names("validators/schemas").into_iter().map(row).collect();
    let text = format!("\n| schema | describes | version |\n|---|---|---|\n{rows}\n");
    agrees(Path::new("docs/presets.md"), "schemas", &text);
}
