//! Validators that `check` chooses, or that its inputs do.

use crate::check::{CHART, check, checked, config_map, file, findings, report};
use crate::check_field::pod;
use crate::support::{needs, unique};

#[test]
fn wrong_flags_are_reported_for_every_validator() {
    for arguments in [
        ["--timeout", "5"],
        ["--nginx-version", "foo"],
        ["--tls-warn", "abc"],
        ["--sandbox", "abc"],
        ["--root", "target"],
        ["--missing", "x"],
    ] {
        let output = check(&[arguments[0], arguments[1], "-"], CHART);
        assert!(output.code == 2 && output.err.contains(arguments[0]), "{arguments:?} {} {}", output.code, output.err);
    }
}

#[test]
fn a_gate_checks_the_files_that_it_would_validate() {
    let directory = tempfile::tempdir().expect("there is room");
    for (name, content) in [("my.settings", "{}"), ("nginx.conf", "events {}"), ("a.json", "{}")] {
        file(directory.path(), name, content);
    }
    let root = directory.path().to_str().expect("it is UTF-8");
    let checked = |arguments: &[&str]| {
        let output = check(&[arguments, &[root]].concat(), "");
        assert_eq!(output.code, 0, "{}{}", output.out, output.err);
        output.out
    };
    assert!(checked(&["--builtin", "json", "--main", "my.settings"]).contains("my.settings (builtin json"));
    assert!(checked(&["--builtin", "json"]).contains("a.json (builtin json"));
    let gates = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(gates.path(), "gates: [{watch: /srv, builtin: json}]\n").expect("there is room");
    checked(&["--config", gates.path().to_str().expect("it is UTF-8")]);
}

#[test]
fn a_preset_without_a_validator_checks_nothing() {
    let map = config_map("a.json", "'{]'");
    assert_eq!(report(&["--app", "none"], &map, 0)["verdict"], "nothing");
    let gate = "        - name: gate\n          image: reload-gate\n          args: [run, --watch, /etc/nginx, --signal, none]\n          \
                env: [{name: RELOAD_GATE_APP, valueFrom: {configMapKeyRef: {name: elsewhere, key: app}}}]\n          volumeMounts: \
                [{name: main, mountPath: /etc/nginx}]\n      volumes:\n";
    let output = check(&["-"], &CHART.replace("      volumes:\n", gate));
    assert!(
        output.code == 3 && output.out.contains("`app` of ConfigMap `elsewhere`"),
        "{} {}",
        output.code,
        output.out
    );
}

#[test]
fn a_command_of_the_inputs_runs_only_if_it_is_allowed() {
    let marker = std::path::Path::new("/tmp").join(unique("marker"));
    let sidecar = format!("args: [run, --watch, /etc/app, --signal, none, --validate, 'touch {}']", marker.display());
    let input = config_map("app.conf", "good") + &pod("reload-gate", &sidecar);
    let found = findings(&report(&[], &input, 3));
    assert!(found[0].contains("command-not-allowed") && found[0].contains("was not executed"), "{found:?}");
    let allowed = report(&["--allow-commands"], &input, 0);
    assert!(checked(&allowed)[0].starts_with("accepted ConfigMap x app.conf touch"), "{allowed:#}");
    assert!(!marker.exists(), "nothing that it writes stays");
}

#[test]
fn a_configuration_that_is_a_program_is_not_executed() {
    let (python, hook) = ("'raise SystemExit(1)'", "\"[uwsgi]\\nexec-asap = touch /tmp/executed\\n\"");
    let ruby = "\"<source>\\n  @id \\\"#{exit}\\\"\\n</source>\\n\"";
    for (name, text) in [("gunicorn.conf.py", python), ("uwsgi.ini", hook), ("fluent.conf", ruby)] {
        let report = report(&[], &config_map(name, text), 0);
        assert_eq!(report["verdict"], "nothing", "{name}");
        let skipped = &report["unjudged"][0];
        assert!(skipped["why"].to_string().contains("is a program"), "{report:#}");
        assert!(skipped["help"].to_string().contains("--allow-commands"), "{report:#}");
    }
}

#[test]
fn a_program_that_was_chosen_for_a_configuration_does_not_execute_it() {
    needs!("gunicorn");
    let python = "'raise SystemExit(\"EXECUTED\")'";
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "gunicorn.conf.py", "raise SystemExit('EXECUTED')\n");
    file(directory.path(), "gate.yaml", "rules:\n  - {files: ['*.py'], app: gunicorn}\n");
    file(directory.path(), "gates.yaml", "gates: [{watch: /etc/app, app: gunicorn, signal: none}]\n");
    let path = |name: &str| directory.path().join(name).to_str().expect("it is UTF-8").to_owned();
    let sidecar = pod("reload-gate", "args: [run, --watch, /etc/app, --signal, none, --app, gunicorn]");
    let map = config_map("gunicorn.conf.py", python);
    for (words, input) in [
        (vec!["--app".to_owned(), "gunicorn".to_owned(), path("gunicorn.conf.py")], String::new()),
        (vec!["--app".to_owned(), "gunicorn".to_owned(), path("")], String::new()),
        (vec!["--config".to_owned(), path("gate.yaml"), path("gunicorn.conf.py")], String::new()),
        (vec!["--config".to_owned(), path("gates.yaml"), "-".to_owned()], map.clone()),
        (vec!["--app".to_owned(), "gunicorn".to_owned(), "-".to_owned()], map.clone()),
        (vec!["-".to_owned()], map + &sidecar),
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = check(&words, &input);
        assert_eq!(output.code, 3, "{words:?}: {}{}", output.out, output.err);
        assert!(output.out.contains("command-not-allowed"), "{words:?}: {}", output.out);
        assert!(!output.out.contains("EXECUTED"), "{words:?}: {}", output.out);
    }
    file(directory.path(), "gunicorn.conf.py", "bind = '127.0.0.1:8000'\n");
    let output = check(&["--allow-commands", "--app", "gunicorn", &path("gunicorn.conf.py")], "");
    assert_eq!(output.code, 3, "its application is named on a command line: {}", output.out);
}

#[test]
fn parts_of_nginx_alone_have_advice() {
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "conf.d/a.conf", "server { listen 80; }\n");
    let path = directory.path().join("conf.d");
    for (path, code) in [(path.clone(), 0), (path.join("a.conf"), 3)] {
        let output = check(&[path.to_str().expect("it is UTF-8")], "");
        assert_eq!(output.code, code, "{}", output.out);
        assert!(output.out.contains("`--context http`"), "{}", output.out);
    }
}

#[test]
fn an_unknown_field_rejects_only_if_the_checker_is_that_of_the_image() {
    needs!("promtool");
    let config = "|\n    scrape_configs:\n    - job_name: a\n      some_new_field: 1\n    - job_name: b\n      other_new_field: 2";
    let map = config_map("prometheus.yml", config);
    let open = report(&[], &(map.clone() + &pod("prom/prometheus:v9.9.9", "")), 3);
    let found = findings(&open);
    assert!(found[0].contains(" 8:7: field some_new_field not found"), "{open:#}");
    assert!(found[1].contains(" 10:7: field other_new_field not found"), "each line has its own finding: {open:#}");
    assert!(open.to_string().contains("is not known to be the build in `prom/prometheus:v9.9.9`"), "{open:#}");
    let typo = report(&[], &map.replace("some_new_field", "scrape_intervall"), 1);
    assert!(typo.to_string().contains("did you mean `scrape_interval`?"), "{typo:#}");
}

#[test]
fn rules_of_the_operator_are_checked_by_promtool() {
    let rules = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: r}\nspec:\n  groups:\n  - name: a\n    rules:\n    \
                 - alert: A\n      expr: sum(\n";
    if crate::support::installed("promtool") {
        let rejected = report(&[], rules, 1);
        let found = findings(&rejected);
        assert!(found[0].contains(" 9:") && found[0].contains("unclosed left parenthesis"), "{rejected:#}");
        report(&[], &rules.replace("sum(", "sum(up)"), 0);
    } else {
        let skipped = report(&[], rules, 0);
        assert!(skipped["unjudged"].to_string().contains("promtool"), "{skipped:#}");
    }
}

#[test]
fn shell_scripts_are_known_by_their_first_line() {
    needs!("bash");
    let script = |body: &str| config_map("entrypoint", &format!("|\n    #!/bin/sh\n    {body}"));
    let found = report(&[], &script("if true; then echo"), 1);
    assert!(findings(&found)[0].contains("syntax error"), "{found:#}");
    report(&[], &script("echo \"$${HOME}\""), 0);
    report(&[], &config_map("entrypoint", "'if true; then'"), 0);
}

#[test]
fn hosts_of_the_cluster_are_no_errors() {
    needs!("haproxy");
    let text = "|\n    defaults\n      mode http\n      timeout connect 1s\n      timeout client 1s\n      timeout server 1s\n    resolvers k\n      \
                nameserver dns1 kube-dns:53\n    backend b\n      server s api.svc:80\n    frontend f\n      bind :8080\n      default_backend b";
    report(&[], &config_map("haproxy.cfg", text), 0);
}

#[test]
fn a_file_without_a_known_name_gets_an_advice() {
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "bad.conf", "x\n");
    let path = directory.path().join("bad.conf");
    let output = check(&[path.to_str().expect("it is UTF-8")], "");
    assert_eq!(output.code, 3, "{}", output.out);
    assert!(output.out.contains("obstacle[no-validator]") && output.out.contains("`--app nginx`"), "{}", output.out);
    // A directory may hold anything.
    assert_eq!(check(&[directory.path().to_str().expect("it is UTF-8")], "").code, 0);
}

#[test]
fn a_directive_of_a_known_module_is_a_warning_where_the_build_is_unknown() {
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "nginx.conf", "events {}\nhttp { init_by_lua_block { x = 1 } }\n");
    let path = directory.path().to_str().expect("it is UTF-8");
    let code = |arguments: &[&str]| check(&[arguments, &[path]].concat(), "").code;
    assert_eq!(code(&[]), 0);
    assert_eq!(code(&["--nginx-build", "nginx.org"]), 1);
    assert_eq!(code(&["--nginx-build", "openresty"]), 0);
}

#[test]
fn formats_and_reasons_are_known_by_name_and_content() {
    let manifest = "apiVersion: v1
kind: ConfigMap
metadata: {name: x}
data:
  good.xml: <a><b/></a>
  bad.xml: <a><b></a>
  master.conf: |
    maxmemory 1gb
    save 60 1
  app: {{ .Name }}
";
    let report = report(&[], manifest, 1);
    assert_eq!(
        checked(&report),
        ["rejected ConfigMap x bad.xml builtin xml", "accepted ConfigMap x good.xml builtin xml"]
    );
    let reasons: Vec<_> =
        report["unjudged"].as_array().expect("there are some").iter().map(|one| &one["why"]).collect();
    assert_eq!(
        reasons,
        ["it has placeholders that another tool replaces", "Redis and Valkey check it only as they start"]
    );
}

/// A ConfigMap with a label and annotations of the webhook.
fn labelled(label: &str, annotations: &str, key: &str, text: &str) -> String {
    config_map(key, text).replace(
        "{name: x}",
        &format!("{{name: x, labels: {{reload-gate.dev/validate: {label}}}, annotations: {{{annotations}}}}}"),
    )
}

#[test]
fn the_label_and_the_annotations_of_the_webhook_choose_the_validator() {
    let bad = "|\n    server { lisen 80; }\n";
    let rejected = report(&[], &labelled("nginx", "", "web.site", bad), 1);
    assert!(findings(&rejected)[0].contains("lisen"), "{rejected}");
    assert_eq!(rejected["inputs"][0]["reason"], "named by a label");
    for off in ["none", "'false'"] {
        report(&[], &labelled(off, "", "nginx.conf", bad), 0);
    }
    // `auto` leaves the choice to the annotation, and then to names.
    let annotated = labelled("auto", "reload-gate.dev/validator: json", "web.site", "'{,}'");
    assert!(findings(&report(&[], &annotated, 1))[0].contains("json"));
    report(&[], &labelled("auto", "", "nginx.conf", "|\n    events {}\n    http { lisen 80; }\n"), 1);
    // The label takes precedence, as at the API server.
    report(&[], &labelled("nginx", "reload-gate.dev/validator: none", "web.site", bad), 1);
    let unknown = findings(&report(&[], &labelled("ngnix", "", "web.site", bad), 1));
    assert!(unknown[0].contains("unknown-validator") && unknown[0].contains("did you mean `nginx`"), "{unknown:?}");
}

#[test]
fn the_annotations_of_the_webhook_are_settings_of_the_validator() {
    let snippet = "|\n    proxy_pass http://127.0.0.1;\n";
    let context = "reload-gate.dev/context: 'http,server,location'";
    report(&[], &labelled("nginx", "", "a.part", snippet), 1);
    report(&[], &labelled("nginx", context, "a.part", snippet), 0);
    let newer = "|\n    events {}\n    http { server { http2 on; } }\n";
    let version = "reload-gate.dev/nginx-version: 1.24.0";
    report(&[], &labelled("nginx", "", "nginx.conf", newer), 0);
    report(&[], &labelled("nginx", version, "nginx.conf", newer), 1);
    report(&[], &labelled("auto", version, "nginx.conf", newer), 1);
    let main = "reload-gate.dev/main: b.conf";
    let lacks = findings(&report(&[], &labelled("nginx", main, "a.conf", newer), 1));
    assert!(lacks[0].contains("b.conf"), "{lacks:?}");
    let wrong = labelled("nginx", "reload-gate.dev/nginx-version: newest", "nginx.conf", newer);
    let wrong = findings(&report(&[], &wrong, 1));
    assert!(wrong[0].contains(" 3:") && wrong[0].contains("annotation `reload-gate.dev/nginx-version`"), "{wrong:?}");
    for (annotation, expected) in [("nginx-version: newest", "nginx-version`"), ("context: htp", "context`")] {
        let wrong = labelled("auto", &format!("reload-gate.dev/{annotation}"), "nginx.conf", newer);
        let wrong = findings(&report(&[], &wrong, 1));
        assert!(wrong[0].contains(&format!("annotation `reload-gate.dev/{expected}")), "{wrong:?}");
    }
    // The command line takes precedence over an object.
    report(&["--builtin", "nginx", "--nginx-version", "1.28.0"], &labelled("nginx", version, "nginx.conf", newer), 0);
}

#[test]
fn the_label_counts_in_a_pod_as_well() {
    let site = "|\n    server { lisen 80; }\n";
    let input = labelled("nginx", "", "web.site", site) + &pod("app:1", "");
    let rejected = findings(&report(&[], &input, 1));
    assert!(rejected[0].contains("lisen"), "{rejected:?}");
    let context = "reload-gate.dev/context: 'http,server,location'";
    let snippet = "|\n    proxy_pass http://127.0.0.1;\n";
    report(&[], &(labelled("nginx", context, "a.part", snippet) + &pod("app:1", "")), 0);
}

#[test]
fn a_placeholder_in_angle_brackets_is_no_error_of_a_caddyfile() {
    needs!("caddy");
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "Caddyfile", "n8n.<domain>.<suffix> {\n  reverse_proxy n8n:5678\n}\n");
    let path = directory.path().to_str().expect("it is UTF-8");
    let output = check(&["--verbose", path], "");
    assert!(output.code == 0 && output.out.contains("placeholders"), "{}", output.out);
}
