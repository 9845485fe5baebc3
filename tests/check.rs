//! `check` in CI: files, directories and rendered manifests.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{gate_command, needs};

/// Every format of the report.
pub(crate) const FORMATS: [&str; 6] = ["human", "json", "sarif", "junit", "github", "markdown"];

/// Rendering of a small chart without errors.
pub(crate) const CHART: &str = include_str!("../fixtures/manifests/web.yaml");

/// Output and exit code of `check`.
pub(crate) struct Output {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

pub(crate) fn check(arguments: &[&str], input: &str) -> Output {
    let mut check = gate_command();
    check.arg("check").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = check.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it was written, or not wanted");
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    Output {
        out: text(output.stdout),
        err: text(output.stderr),
        code: output.status.code().expect("it ends by itself"),
    }
}

/// The report as JSON, of what is given on standard input.
#[track_caller]
pub(crate) fn report(arguments: &[&str], input: &str, code: i32) -> Value {
    let output = check(&[&["--format", "json"], arguments, &["-"]].concat(), input);
    assert_eq!(output.code, code, "{}{}", output.out, output.err);
    serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {}{}", output.out, output.err))
}

/// `severity code place: message` of every finding.
pub(crate) fn findings(report: &Value) -> Vec<String> {
    let inputs = report["inputs"].as_array().expect("there are inputs");
    let all = inputs.iter().flat_map(|input| input["findings"].as_array().expect("there are findings"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|finding| {
        let place = [&finding["line"], &finding["column"]].map(ToString::to_string).join(":");
        format!("{} {} {place}: {}", text(&finding["severity"]), text(&finding["code"]), text(&finding["message"]))
    })
    .collect()
}

/// `verdict object key validator` of every validation.
pub(crate) fn checked(report: &Value) -> Vec<String> {
    let inputs = report["inputs"].as_array().expect("there are inputs");
    let parts = |input: &Value| {
        ["verdict", "object", "key", "validator"].map(|part| input[part].as_str().unwrap_or("-").to_owned()).join(" ")
    };
    inputs.iter().map(parts).collect()
}

pub(crate) fn file(directory: &Path, name: &str, content: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
    std::fs::write(path, content).expect("there is room");
}

/// A ConfigMap with one entry.
pub(crate) fn config_map(key: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n  {key}: {value}\n")
}

/// The line of the chart that contains `what`, from 1.
pub(crate) fn line_of(chart: &str, what: &str) -> usize {
    chart.lines().position(|line| line.contains(what)).expect("it is there") + 1
}

#[test]
fn a_rendered_chart_is_checked_as_the_pod_would_see_it() {
    let report = report(&[], CHART, 0);
    assert_eq!(checked(&report), ["accepted ConfigMap web-nginx nginx.conf builtin nginx"]);
    assert_eq!((&report["version"], &report["verdict"]), (&json!(1), &json!("accepted")));
}

#[test]
fn an_error_in_an_included_key_is_at_its_line_and_column_of_the_yaml() {
    let block = CHART.replace("        listen 18080;\n", "        lisen 18080;\n");
    let place = |line| format!("error unknown-directive {line}:9: unknown directive \"lisen\"");
    assert_eq!(findings(&report(&[], &block, 1)), [place(line_of(&block, "lisen"))]);

    let quoted = CHART.replace("    root /srv", "    rot /srv");
    let line = line_of(&quoted, "pages.conf");
    let column =
        quoted.lines().nth(line - 1).expect("it is there").chars().count() - r#"rot /srv/pages;\n}\n""#.len() + 1;
    let expected = format!("error unknown-directive {line}:{column}: unknown directive \"rot\"");
    assert_eq!(findings(&report(&[], &quoted, 1)), [expected]);
}

#[test]
fn every_format_names_the_same_place() {
    let chart = CHART.replace("        listen 18080;\n", "        lisen 18080;\n");
    let line = line_of(&chart, "lisen");
    let in_format = |format: &str| {
        let output = check(&["--format", format, "--color", "never", "-"], &chart);
        assert_eq!(output.code, 1, "{}", output.err);
        output.out
    };
    assert!(in_format("human").contains(&format!("--> -:{line}:9")), "{}", in_format("human"));
    let sarif: Value = serde_json::from_str(&in_format("sarif")).expect("it is JSON");
    let region = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&json!(line), &json!(9)), "{sarif}");
    let schema = include_str!("../fixtures/schemas/sarif-2.1.0.json");
    let schema = serde_json::from_str(schema).expect("it is JSON");
    assert!(jsonschema::is_valid(&schema, &sarif), "{sarif}");
    assert!(in_format("junit").contains(&format!(":{line}:9")), "{}", in_format("junit"));
    assert!(in_format("github").contains("unknown directive"), "{}", in_format("github"));
}

#[test]
fn a_file_outside_of_the_inputs_may_be_in_the_image_but_not_in_a_volume() {
    let certificate = "        ssl_certificate /etc/ssl/web.pem;\n";
    let with = |more: &str| CHART.replace("        listen 18080;\n", &format!("        listen 18080 ssl;\n{more}"));
    let chart = with(&format!("{certificate}        ssl_certificate_key /etc/ssl/web.pem;\n"));
    for (missing, code, severity) in [("warn", 0, Some("warning")), ("ignore", 0, None), ("reject", 1, Some("error"))] {
        let found = findings(&report(&["--missing", missing], &chart, code));
        let severities: Vec<_> = found.iter().filter_map(|finding| finding.split(' ').next()).collect();
        assert_eq!(severities.first().copied(), severity, "{found:?}");
    }
    // All of `/etc/nginx/conf.d` is one ConfigMap, so what that does not hold does not exist.
    let chart = with("").replace("listen 18080 ssl", "listen 18080; include /etc/nginx/conf.d/more");
    let found = findings(&report(&["--missing", "ignore"], &chart, 1));
    assert!(found[0].starts_with("error missing-include "), "{found:?}");
    // Of a Secret that is not among the inputs nothing is known.
    let chart = CHART.replacen("kind: Secret", "kind: Other", 1);
    report(&["--missing", "warn"], &chart, 0);
}

#[test]
fn a_sidecar_in_the_pod_brings_its_settings() {
    let sidecar = "        - name: gate\n          image: registry.example/reload-gate:1\n          args: [run, --app, $(APP), --watch, \
                   /etc/nginx, --require, gone.conf]\n          env: [{name: APP, value: nginx}]\n          volumeMounts: [{name: main, \
                   mountPath: /etc/nginx}]\n      volumes:\n";
    let chart = CHART.replace("      volumes:\n", sidecar);
    let report = report(&[], &chart, 1);
    let rejected = "rejected ConfigMap web-nginx nginx.conf builtin nginx".to_owned();
    assert!(checked(&report).contains(&rejected), "{report:#}");
    assert!(findings(&report).iter().any(|finding| finding.contains("missing-required-file")), "{report:#}");
    let output = check(&["-"], &chart.replace("--require", "--requier"));
    assert!(
        output.code == 1 && output.out.contains("sidecar-settings") && output.out.contains("--requier"),
        "{}",
        output.out
    );
}

#[test]
fn an_annotation_names_the_validator() {
    let annotated = |value: &str, text: &str| {
        let map = config_map("site", text);
        map.replace("{name: x}", &format!("{{name: x, annotations: {{reload-gate.dev/validator: {value}}}}}"))
    };
    let site = "'server { lisen 80; }'";
    let found = findings(&report(&[], &annotated("nginx", site), 1));
    assert_eq!(found, ["error unknown-directive 5:19: unknown directive \"lisen\""]);
    assert_eq!(report(&[], &annotated("none", site), 0)["verdict"], "nothing");
    let unknown = report(&[], &annotated("ngnix", site), 1);
    assert_eq!(findings(&unknown), ["error unknown-validator 3:62: unknown validator `ngnix`; did you mean `nginx`?"]);
}

#[test]
fn the_rules_of_a_configuration_file_name_validators() {
    let directory = tempfile::tempdir().expect("there is room");
    file(
        directory.path(),
        "gates.yaml",
        "rules:\n  - files: ['*.site']\n    app: nginx\n  - files: '*.rules'\n    validate: 'grep -q good {config}'\n",
    );
    let config = directory.path().join("gates.yaml");
    let arguments = ["--config", config.to_str().expect("it is UTF-8")];
    let found = report(&arguments, &config_map("a.site", "'lisen 80;'"), 1);
    assert_eq!(checked(&found), ["rejected ConfigMap x a.site builtin nginx"]);
    let accepted = report(&arguments, &config_map("b.rules", "good"), 0);
    assert_eq!(checked(&accepted), ["accepted ConfigMap x b.rules grep -q good {config}"]);
    let wrong = "rules:\n  - files: ['[']\n    app: ngnix\n  - app: nginx\n  - files: x\n";
    file(directory.path(), "gates.yaml", wrong);
    let output = check(&["--config", arguments[1], "-"], "");
    assert_eq!(output.code, 2);
    for part in [
        ":2:13: ",
        ":3:10: unknown preset `ngnix`",
        ":4:5: this rule has no `files`",
        ":5:5: this rule names no validator",
    ] {
        assert!(output.err.contains(part), "`{part}` is not in:\n{}", output.err);
    }
}

#[test]
fn files_and_directories_are_checked_in_place() {
    let directory = tempfile::tempdir().expect("there is room");
    let root = directory.path().to_str().expect("it is UTF-8").to_owned();
    file(directory.path(), "nginx.conf", "events {}\nhttp { include conf.d/*.conf; }\n");
    file(directory.path(), "conf.d/a.conf", "server { listen 80; }\n");
    file(directory.path(), "notes.txt", "anything\n");
    file(directory.path(), ".git/nginx.conf", "hidden {\n");
    let output = check(&["--verbose", &root], "");
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(output.out.contains("notes.txt (no validated file includes it)"), "{}", output.out);
    file(directory.path(), "conf.d/a.conf", "server {\n  lisen 80;\n}\n");
    for path in [root.clone(), format!("{root}/nginx.conf"), format!("{root}/conf.d/a.conf")] {
        let output = check(&["--app", "nginx", "--color", "never", &path], "");
        assert_eq!(output.code, 1, "{}{}", output.out, output.err);
        assert!(output.out.contains(&format!("{root}/conf.d/a.conf:2:3")), "{}", output.out);
    }
}

#[test]
fn a_name_that_is_not_utf8_is_named_and_hides_no_other_file() {
    use std::os::unix::ffi::OsStrExt as _;
    let directory = tempfile::tempdir().expect("there is room");
    let write = |name: &[u8]| {
        std::fs::write(directory.path().join(std::ffi::OsStr::from_bytes(name)), "{}").expect("there is room");
    };
    write(b"caf\xe9.json");
    write(b"b.json");
    let output = check(&[directory.path().to_str().expect("it is UTF-8")], "");
    assert_eq!(output.code, 3, "{}{}", output.out, output.err);
    assert!(
        output.out.contains("caf\u{fffd}.json") && output.out.contains("its name is not UTF-8; rename it"),
        "{}",
        output.out
    );
    assert!(output.out.contains("1 accepted"), "{}", output.out);
}

#[test]
fn the_exit_code_is_the_worst_of_all() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = |name: &str| directory.path().join(name).to_str().expect("it is UTF-8").to_owned();
    file(directory.path(), "good/nginx.conf", "events {}\n");
    file(directory.path(), "bad/nginx.conf", "events {\n");
    let code = |arguments: &[&str]| check(arguments, "").code;
    assert_eq!(code(&[&path("good")]), 0);
    assert_eq!(code(&[&path("good"), &path("bad")]), 1);
    assert_eq!(code(&["--validate", "no-such-checker {config}", &path("good")]), 3);
    assert_eq!(code(&[&path("good"), &path("bad"), &path("nowhere")]), 2);
    assert_eq!(code(&["--sginal", &path("good")]), 2);
    file(directory.path(), "none/readme.txt", "hello\n");
    assert_eq!(code(&[&path("none")]), 0, "a directory may hold anything");
    std::fs::create_dir(directory.path().join("empty")).expect("there is room");
    assert_eq!(code(&[&path("empty")]), 4);
    assert_eq!(check(&["-"], "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n").code, 0, "a manifest is an input");
    assert_eq!(check(&["-"], "").code, 4);
}

#[test]
fn broken_manifests_say_where_and_do_not_hide_the_others() {
    let chart = format!("{CHART}---\napiVersion: v1\nkind: ConfigMap\ndata: [\n");
    let report = report(&[], &chart, 1);
    let found = findings(&report);
    let (line, column) = (line_of(&chart, "data: ["), 7);
    assert!(found[0].starts_with(&format!("error broken-manifest {line}:{column}: ")), "{found:?}");
    assert!(checked(&report).contains(&"accepted ConfigMap web-nginx nginx.conf builtin nginx".to_owned()));
    let template = check(&["-"], "apiVersion: v1\nkind: ConfigMap\n{{- if .Values.data }}\ndata: {}\n{{- end }}\n");
    assert!(template.out.contains("helm template"), "{}", template.out);
    let typed = check(&["--app", "nginx", "-"], &config_map("nginx.conf", "80"));
    assert!(typed.code == 1 && typed.out.contains("value-not-text"), "{}", typed.out);
}

#[test]
fn values_of_secrets_are_shown_in_no_format() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  nginx.conf: |\n    events {}\n    hunter2 \
                  correct-horse;\n";
    for format in FORMATS {
        let output = check(&["--format", format, "--verbose", "-"], secret);
        assert_eq!(output.code, 1, "{}", output.out);
        assert!(!output.out.contains("hunter2") && !output.out.contains("correct-horse"), "{format}: {}", output.out);
        assert!(output.out.contains("[redacted]") && output.out.contains('7'), "{format}: {}", output.out);
    }
}

#[test]
fn standard_input_may_be_a_configuration() {
    let output = check(&["--app", "nginx", "--color", "never", "-"], "events {}\nlisen 80;\n");
    assert_eq!(output.code, 1, "{}{}", output.out, output.err);
    assert!(output.out.contains("--> -:2:1"), "{}", output.out);
}

#[test]
fn the_same_configuration_in_several_pods_is_checked_once() {
    let (_, deployment) = CHART.split_once("# Source: web/templates/deployment.yaml").expect("it is there");
    let chart = format!("{CHART}---\n{}", deployment.replace("name: web\n", "name: other\n"));
    assert_eq!(checked(&report(&[], &chart, 0)).len(), 1);
}

#[test]
fn files_with_known_extensions_are_checked_by_the_bundled_validators() {
    let directory = tempfile::tempdir().expect("there is room");
    for (name, content) in [
        ("a.json", "{\"a\": 1,}\n"),
        ("b.yaml", "a: [\n"),
        ("c.toml", "a = \n"),
        ("d.ini", "[a]\nb\n"),
        ("e.yml", "a: 1\n"),
    ] {
        file(directory.path(), name, content);
    }
    let output = check(&["--format", "json", directory.path().to_str().expect("it is UTF-8")], "");
    assert_eq!(output.code, 1, "{}{}", output.out, output.err);
    let report: Value = serde_json::from_str(&output.out).expect("it is JSON");
    let verdicts: Vec<_> = checked(&report);
    let expected = ["rejected - - builtin json", "rejected - - builtin yaml", "rejected - - builtin toml"];
    assert!(expected.iter().all(|one| verdicts.contains(&(*one).to_owned())), "{verdicts:?}");
    assert!(verdicts.contains(&"accepted - - builtin yaml".to_owned()), "{verdicts:?}");
}

#[test]
fn a_certificate_is_checked_with_its_key_at_every_mount_path() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: web-tls}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    \
                  -----BEGIN CERTIFICATE-----\n    bm8=\n    -----END CERTIFICATE-----\n  tls.key: hunter2-hunter2\n";
    let chart =
        CHART.replace("          secret: { secretName: web-tls }", "          secret: { secretName: web-pair }");
    let chart = format!("{chart}---\n{}", secret.replace("web-tls", "web-pair"));
    for input in [secret.to_owned(), chart] {
        let report = report(&[], &input, 1);
        let tls = checked(&report).into_iter().find(|one| one.ends_with(" builtin tls")).expect("it is checked");
        assert!(tls.starts_with("rejected Secret web-"), "{tls}");
        assert!(!report.to_string().contains("hunter2"), "{report}");
    }
}

#[test]
fn a_schema_applies_to_keys_of_config_maps() {
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "schema.json", "{\"properties\": {\"port\": {\"type\": \"integer\"}}}");
    let schema = directory.path().join("schema.json");
    let arguments = ["--builtin", "json-schema", "--schema", schema.to_str().expect("it is UTF-8")];
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  app.json: |\n    {\n      \"port\": \"80\"\n    }\n";
    let found = findings(&report(&arguments, map, 1));
    assert!(found[0].contains(" 7:15: "), "{found:?}");
    report(&arguments, &map.replace("\"80\"", "80"), 0);
    assert_eq!(check(&["--builtin", "json-schema", "-"], map).code, 2, "it needs a schema");
}

#[test]
fn the_real_nginx_and_the_bundled_checker_name_the_same_place() {
    needs!("nginx");
    let chart = CHART.replace("        listen 18080;\n", "        lisen 18080;\n");
    let places = |arguments: &[&str]| {
        let report = report(arguments, &chart, 1);
        let finding = &report["inputs"][0]["findings"][0];
        assert_eq!(finding["message"], "unknown directive \"lisen\"", "{report:#}");
        (finding["line"].clone(), finding["column"].clone(), report["inputs"][0]["validator"].clone())
    };
    let (line, column, validator) = places(&["--root", "local"]);
    assert_eq!(validator, "nginx -t");
    assert_eq!((line, column, json!("builtin nginx")), places(&[]));
    report(&["--root", "local"], CHART, 0);
}

#[test]
fn a_program_that_is_not_installed_names_its_package_or_is_replaced() {
    let without_programs = |arguments: &[&str]| {
        let mut check = gate_command();
        check.env("PATH", "/nowhere").arg("check").args(arguments).arg("-");
        let mut child = check.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(CHART.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        (String::from_utf8(output.stdout).expect("it is UTF-8"), output.status.code())
    };
    let (output, code) = without_programs(&["--root", "local"]);
    assert!(code == Some(3) && output.contains("the Debian package is `nginx`"), "{code:?} {output}");
    let (output, code) = without_programs(&["--root", "local", "--fallback", "builtin"]);
    assert!(code == Some(0) && output.contains("validated by the bundled nginx checker:"), "{code:?} {output}");
}

#[test]
fn ten_thousand_documents_are_checked_one_after_another() {
    let one = |number: usize| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\ndata: {{nginx.conf: 'events {{}}'}}\n---\n"
        )
    };
    let stream: String = (0..10_000).map(one).collect::<String>() + &config_map("nginx.conf", "'events {'");
    let report = report(&[], &stream, 1);
    assert_eq!(report["inputs"].as_array().expect("there are inputs").len(), 10_001);
    assert!(findings(&report)[0].contains(" 50005:"), "{:?}", findings(&report));
}

#[test]
fn a_module_of_the_image_is_no_error_of_the_configuration() {
    needs!("gunicorn");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  gunicorn.conf.py: |\n    wsgi_app = 'no_such_app:app'\n";
    let allowed = ["--allow-commands"];
    let report = report(&allowed, map, 3);
    assert!(findings(&report)[0].contains("No module named 'no_such_app'"), "{report:#}");
    self::report(&allowed, &map.replace("wsgi_app =", "wsgi_app = ="), 1);
}

#[test]
fn the_page_on_ci_shows_what_is_printed() {
    let page = include_str!("../docs/ci.md");
    let command = "$ sed 's/listen 18080/lisen 18080/' fixtures/manifests/web.yaml | reload-gate check -\n";
    let (_, shown) = page.split_once(command).expect("it is shown");
    let (shown, _) = shown.split_once("```").expect("it ends");
    let output = check(&["--color", "never", "-"], &CHART.replace("listen 18080", "lisen 18080"));
    assert_eq!(output.out, shown);
}

/// The lines of the `env:` blocks of a page, one element each.
fn env_blocks(page: &str) -> Vec<&str> {
    let blocks = page.split("```yaml\nenv:\n").skip(1);
    blocks.map(|rest| rest.split("```").next().expect("split gives one")).collect()
}

#[test]
fn the_variables_of_the_page_on_alerts_are_accepted_in_a_sidecar() {
    let blocks = env_blocks(include_str!("../docs/alerts.md"));
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    for block in blocks {
        let env = block.lines().map(|line| format!("      {line}\n")).collect::<String>();
        let pod = format!(
            r"---
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  containers:
    - name: reload-gate
      image: reload-gate
      args: [run, --app, nginx, --watch, /etc/nginx, --kubernetes-events, --alert-command, 'true']
      env:
{env}      volumeMounts: [{{name: config, mountPath: /etc/nginx}}]
  volumes: [{{name: config, configMap: {{name: nginx}}}}]
"
        );
        let input = config_map("nginx.conf", "'events {}'").replace("name: x", "name: nginx") + &pod;
        let report = report(&[], &input, 0);
        assert_eq!(findings(&report), Vec::<String>::new());
        assert_eq!(checked(&report), ["accepted ConfigMap nginx nginx.conf builtin nginx"]);
    }
}

#[test]
fn a_config_map_of_two_pods_is_checked_in_both() {
    let (_, deployment) = CHART.split_once("# Source: web/templates/deployment.yaml").expect("it is there");
    // The other one has its own sites, beside the same main file.
    let other = deployment.replace("name: web\n", "name: other\n").replace("name: web-sites", "name: other-sites");
    let sites = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other-sites}\ndata: {a.conf: 'lisen 80;'}\n";
    let report = report(&[], &format!("{CHART}---\n{sites}---\n{other}"), 1);
    let main = "ConfigMap web-nginx nginx.conf builtin nginx";
    assert_eq!(checked(&report), [format!("accepted {main}"), format!("rejected {main}")]);
}
