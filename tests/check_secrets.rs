//! Secrets in the reports of `check`.

use crate::check::{CHART, FORMATS, check, findings, report};

#[test]
fn lines_of_a_secret_are_shown_beside_nothing() {
    let secret = "SuperS3cretPassw0rd";
    let map = "\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\"},\"data\":{\"nginx.conf\":\"events {\"}";
    let hidden = format!(
        "\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"b\"}},\"stringData\":{{\"a\":\"{secret}\"}}"
    );
    let inputs = [
        format!("{{{map}}}\n{{{hidden}}}\n"),
        format!("{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[{{{map}}},{{{hidden}}}]}}\n"),
        format!("apiVersion: v1\nkind: List\nitems:\n- {{{map}}}\n- {{{hidden}}}\n"),
        // A broken text may be anything.
        format!("{{{map}}}\n{{{}\n", &hidden[..hidden.len() - 3]),
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\nstringData:\n  a: *{secret}\n"),
        format!("{{{}", &hidden[..hidden.len() - 4]),
    ];
    for input in inputs {
        for format in FORMATS {
            let output = check(&["--format", format, "--verbose", "-"], &input);
            assert_eq!(output.code, 1, "{input}\n{}", output.out);
            assert!(!output.out.contains(&secret[..12]), "{format} of {input}\n{}", output.out);
        }
    }
}

#[test]
fn a_quotation_of_a_config_map_stays_readable() {
    let key = "  tls.key: |\n    -----BEGIN PRIVATE KEY-----\n    c3NsX2NlcnRpZmljYXRlX2tleQ==\n    -----END PRIVATE KEY-----\n  ssl: ssl_certificate_keyy\n";
    let chart = CHART.replace("stringData:\n", &format!("stringData:\n{key}"));
    let chart = chart.replace("        listen 18080;\n", "        ssl_certificate_keyy x;\n");
    let found = findings(&report(&[], &chart, 1));
    assert!(found[0].ends_with("unknown directive \"ssl_certificate_keyy\""), "{found:?}");
}

#[test]
fn a_certificate_beside_a_password_hides_nothing_of_it() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  nginx.conf: |\n    events {}\n    hunter2 \
                  correct-horse;\n    # -----BEGIN CERTIFICATE-----\n    -----BEGIN CERTIFICATE-----\n    -----END CERTIFICATE-----\n";
    for format in FORMATS {
        let output = check(&["--format", format, "--verbose", "-"], secret);
        assert_eq!(output.code, 1, "{}", output.out);
        assert!(!output.out.contains("hunter2") && !output.out.contains("correct-horse"), "{format}: {}", output.out);
    }
}

/// Values of a Secret in a template, in a flag, and in a configuration file of a gate, each in a setting that is wrong.
const SECRETS_IN_USE: &str = r"apiVersion: v1
kind: Secret
metadata: { name: s }
stringData:
  pass: @s3cret-Passw0rd@
  hook: @hooks.example/services/T01/B02/t0ken-hunter2@
  gate.yaml: @watch: /etc/app\nsignal: HUP\nprocess: app\nalert-webhook: hooks.example/services/T01/t0ken-infile\nreload-header: 'Authorization Bearer t0ken-header'\n@
---
apiVersion: v1
kind: ConfigMap
metadata: { name: c }
data:
  default.conf.template: @upstream w { server ${PASS}:x; }@
---
apiVersion: v1
kind: Pod
metadata: { name: p }
spec:
  containers:
  - { name: web, image: nginx, env: [{ name: PASS, valueFrom: { secretKeyRef: { name: s, key: pass } } }], volumeMounts: [{ name: c, mountPath: /etc/nginx/templates }] }
  volumes: [{ name: c, configMap: { name: c } }]
---
apiVersion: v1
kind: Pod
metadata: { name: q }
spec:
  containers:
  - { name: gate, image: reload-gate, args: [run, --watch, /etc/app, --process, app, --signal, HUP, --alert-webhook, $(HOOK)], env: [{ name: HOOK, valueFrom: { secretKeyRef: { name: s, key: hook } } }] }
---
apiVersion: v1
kind: Pod
metadata: { name: r }
spec:
  containers:
  - { name: gate, image: reload-gate, args: [run, --config, /c/gate.yaml], volumeMounts: [{ name: s, mountPath: /c }] }
  volumes: [{ name: s, secret: { secretName: s } }]";

#[test]
fn values_of_secrets_are_shown_from_no_variable_flag_or_file() {
    let input = SECRETS_IN_USE.replace('@', "\"");
    for format in FORMATS {
        let output = check(&["--format", format, "--verbose", "-"], &input);
        assert_eq!(output.code, 1, "{}", output.out);
        for secret in ["s3cret", "hunter2", "t0ken"] {
            let shown = [&output.out, &output.err].iter().any(|text| text.contains(secret));
            assert!(!shown, "{format} {secret}: {}{}", output.out, output.err);
        }
        assert!(output.out.contains("invalid port in upstream"), "{format}: {}", output.out);
    }
}

#[test]
fn a_construct_in_a_secret_is_named_without_its_text() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  haproxy.cfg: |\n    global\n      hunter2$x\n";
    for format in FORMATS {
        let output = check(&["--format", format, "--verbose", "-"], secret);
        assert!(!output.out.contains("hunter2"), "{format}: {}", output.out);
    }
    let output = check(&["--verbose", "-"], secret);
    assert!(output.out.contains("what the inputs name: a construct in"), "{}{}", output.out, output.err);
}
