//! `check` and the program here: its version, its product, the machine it is on, and the content that chose it.

use crate::check::{check, config_map, file, report};
use crate::check_field::pod;
use crate::support::needs;

/// Configurations that another version or product than the checker here reads, and those that are wrong for every version.
#[test]
fn names_of_other_versions_are_obstacles() {
    for (program, name, image, text, code) in [
        ("caddy", "Caddyfile", "dunglas/frankenphp", "{\n  frankenphp\n}\n:80 {\n}\n", 3),
        ("caddy", "Caddyfile", "caddy:2.10", ":80 {\n  tls {\n    issuer acme {\n      nosuch x\n    }\n  }\n}\n", 3),
        ("redis-server", "redis.conf", "redis:8.4", "port 6379\nlookahead 16\n", 3),
        ("redis-server", "redis.conf", "redis:8.6", "maxmemory-policy allkeys-lrm\n", 3),
        ("redis-server", "redis.conf", "redis:8.6", "maxmemorry 1gb\n", 1),
        ("redis-server", "redis.conf", "redis:8.6", "port 1 2 3\n", 1),
        (
            "haproxy",
            "haproxy.cfg",
            "haproxy:3.2",
            "defaults\n  mode http\n  timeout client 5s\nfrontend a\n  bind :80\n  http-request pause 1s\n",
            3,
        ),
        (
            "haproxy",
            "haproxy.cfg",
            "haproxy:3.2",
            "defaults\n  mode http\n  timeout client 5s\nfrontend a\n  bind :99999999\n",
            1,
        ),
        ("mariadbd", "my.cnf", "mysql:8.4", "[mysqld]\ncollation-server=utf8mb4_0900_ai_ci\n", 3),
        ("mariadbd", "my.cnf", "mariadb:11", "[mysqld]\nnosuchvariable=1\n", 3),
        ("doveconf", "dovecot.conf", "dovecot/dovecot:2.4.0", "dovecot_config_version = 2.4.0\n", 3),
        ("unbound-checkconf", "unbound.conf", "klutchell/unbound:1.23.0", "server:\n  log-thread-id: yes\n", 3),
        (
            "amtool",
            "alertmanager.yml",
            "prom/alertmanager:v0.30.0",
            "route: {receiver: x}\nreceivers: [{name: a}]\n",
            1,
        ),
    ] {
        if !crate::support::installed(program) {
            continue;
        }
        let indented = text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let output = check(&["-"], &(config_map(name, &format!("|\n{indented}")) + &pod(image, "")));
        assert_eq!(output.code, code, "{name}: {text}\n{}", output.out);
    }
}

#[test]
fn a_variable_with_an_unknown_value_is_an_obstacle_that_names_it() {
    needs!("haproxy");
    let text =
        "|\n    defaults\n      mode http\n      timeout client 5s\n    frontend a\n      bind \"*:${WEB_PORT}\"";
    let env = "env: [{name: WEB_PORT, valueFrom: {configMapKeyRef: {name: ports, key: web}}}]";
    let open = report(&[], &(config_map("haproxy.cfg", text) + &pod("haproxy", env)), 3);
    assert!(open.to_string().contains("the value of the variable `WEB_PORT` is unknown"), "{open:#}");
    let known = pod("haproxy", "env: [{name: WEB_PORT, value: '99999999'}]");
    report(&[], &(config_map("haproxy.cfg", text) + &known), 1);
}

#[test]
fn directories_of_volumes_exist() {
    needs!("redis-server");
    let volume = |text: &str| {
        let pod =
            pod("redis:7.0", "").replace("volumeMounts: [", "volumeMounts: [{name: d, mountPath: /data-of-a-volume}, ");
        config_map("redis.conf", text) + &pod.replace("volumes: [", "volumes: [{name: d, emptyDir: {}}, ")
    };
    report(&[], &volume("|\n    dir \"/data-of-a-volume\""), 0);
    report(&[], &volume("|\n    dir \"/nowhere-else\""), 3);
}

#[test]
fn a_validator_that_the_content_chose_hinders_nothing() {
    needs!("promtool");
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().to_str().expect("it is UTF-8").to_owned();
    let rules = "groups:\n- name: a\n  partial_response_strategy: warn\n  rules:\n  - {alert: A, expr: up == 0}\n";
    file(directory.path(), "rules.yaml", rules);
    let output = check(&["--verbose", &path], "");
    assert_eq!(output.code, 0, "{}", output.out);
    assert!(output.out.contains("field partial_response_strategy not found"), "{}", output.out);
    // Rules of Loki are no rules of Prometheus, in any place.
    let logs = "groups:\n- name: a\n  rules:\n  - {alert: A, expr: 1 > 0}\n  - {alert: B, expr: 'rate({a=\"b\"} |= \"c\" [5m]) > 0'}\n";
    file(directory.path(), "rules.yaml", logs);
    let output = check(&["--verbose", &path], "");
    assert_eq!(output.code, 0, "{}", output.out);
    assert!(output.out.contains("builtin yaml"), "{}", output.out);
}

#[test]
fn shells_read_their_own_scripts() {
    needs!("bash");
    let script = |shell: &str, body: &str| config_map("entrypoint", &format!("|\n    #!/bin/{shell}\n    {body}"));
    report(&[], &script("bash", "rm -- !(a|b)"), 0);
    report(&[], &script("bash", "if true; then"), 1);
    if crate::support::installed("dash") {
        report(&[], &script("dash", "a=(1 2)"), 1);
        report(&[], &script("dash", "echo a"), 0);
    }
}

#[test]
fn values_of_a_chart_are_no_configuration() {
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "chart/Chart.yaml", "name: a\n");
    let receivers = "receivers: {otlp: {}}\nexporters: {otlp: {}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n";
    file(directory.path(), "chart/values.yaml", &format!("{receivers}a: 1\na: 2\n"));
    let output = check(&["--verbose", directory.path().to_str().expect("it is UTF-8")], "");
    assert_eq!(output.code, 0, "{}", output.out);
    assert!(!output.out.contains("builtin schema"), "{}", output.out);
    assert!(output.out.contains("warning[duplicate-key]"), "{}", output.out);
}
