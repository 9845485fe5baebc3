//! Manifests of the field, each with its exit code and a part of its report.

use std::path::Path;

use crate::support::{gate_command, installed, report_skipped};

/// One input below `fixtures/manifests/cases`.
struct Case {
    input: &'static str,
    /// Program that validates it, if it is none of the bundled validators.
    program: Option<&'static str>,
    code: i32,
    /// Texts that the report has.
    has: &'static [&'static str],
    /// Texts that the report does not have.
    lacks: &'static [&'static str],
}

const fn case(input: &'static str, code: i32, has: &'static [&'static str], lacks: &'static [&'static str]) -> Case {
    Case { input, program: None, code, has, lacks }
}

const CASES: [Case; 21] = [
    case("sub-path-in-an-included-directory.yaml", 1, &["unknown directive \"lisen\"", ":10:"], &["not checked"]),
    case("same-name-in-two-files", 1, &["alpha.yaml:6:14", "accepted  "], &["prod.yaml:6"]),
    case("same-name-with-other-keys", 0, &["accepted"], &["missing-key"]),
    Case { program: Some("nats-server"), ..case("nats-variable.yaml", 0, &["accepted"], &[]) },
    case("log-format-of-the-image.yaml", 0, &["accepted"], &["warning"]),
    case("duplicate-of-the-image.yaml", 1, &["\"keepalive_timeout\" directive is duplicate"], &[]),
    case("alias-as-key.yaml", 0, &[], &["error"]),
    case("values-called-prometheus", 0, &["builtin yaml"], &["promtool"]),
    case("nginx-conf-is-a-server", 0, &["accepted"], &["not-allowed-here"]),
    case("key-nginx-conf-is-a-server.yaml", 0, &["accepted"], &["not-allowed-here"]),
    case("openresty-lua.yaml", 0, &["accepted  openresty-lua.yaml"], &["error", "unknown-directive"]),
    case("number-in-data.yaml", 1, &["value-not-text", ":5:17", ":6:17"], &[":7:"]),
    Case {
        program: Some("envoy"),
        ..case("envoy-command-line.yaml", 1, &["listners", "did you mean `listeners`?"], &[])
    },
    case("init-container-copies.yaml", 1, &["unknown directive \"lisen\"", ":6:14"], &[]),
    case("nginx-template.yaml", 1, &["unknown directive \"lisen\"", ":6:14"], &[]),
    case("bitnami-server-block.yaml", 1, &["unknown directive \"lisen\"", ":6:14"], &[]),
    case("tsconfig", 0, &["JSON with comments"], &["json-comment"]),
    case("json-lines.yaml", 0, &["warning", "JSON Lines"], &["error"]),
    Case {
        program: Some("amtool"),
        ..case("field-of-a-secret.yaml", 1, &["field globall not found"], &["[redacted]"])
    },
    case("chart", 0, &["it is a chart of templates; render it first: `helm template"], &["error", "cm.yaml"]),
    case("yaml-called-json.yaml", 0, &["warning", "it is YAML"], &["error"]),
];

#[test]
fn each_is_reported_as_the_field_would_expect_it() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/manifests/cases");
    for Case { input, program, code, has, lacks } in CASES {
        if let Some(program) = program.filter(|program| !installed(program)) {
            // `make test-presets` installs it, and this is a part of the test.
            report_skipped(&format!("{input} needs {program}"));
            continue;
        }
        let mut check = gate_command();
        check.current_dir(&cases).args(["check", "--color", "never", "--verbose", input]);
        let output = check.output().expect("it starts");
        let report = String::from_utf8(output.stdout).expect("it is UTF-8");
        assert_eq!(output.status.code(), Some(code), "{input}\n{report}");
        for part in has {
            assert!(report.contains(part), "{input} has no {part}\n{report}");
        }
        for part in lacks {
            assert!(!report.contains(part), "{input} has {part}\n{report}");
        }
    }
}
