//! Snippets, builds and directives of further modules: the settings of the bundled nginx checker.

use std::fs;

use crate::check::{check, checked, file, findings, report};
use crate::support::gate_command;

/// The report of `check` on the files of a directory.
#[track_caller]
fn of_files(files: &[(&str, &str)], arguments: &[&str], code: i32) -> serde_json::Value {
    let directory = tempfile::tempdir().expect("there is room");
    for (name, content) in files {
        file(directory.path(), name, content);
    }
    let path = directory.path().to_str().expect("it is UTF-8");
    let output = check(&[&["--format", "json", path], arguments].concat(), "");
    assert_eq!(output.code, code, "{}{}", output.out, output.err);
    serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {}{}", output.out, output.err))
}

#[test]
fn a_snippet_is_validated_in_its_context() {
    let snippet = [("proxy.conf", "proxy_pass http://127.0.0.1:8080;\nproxy_set_header Host $host;\n")];
    let accepted = of_files(&snippet, &["--context", "http,server,location"], 0);
    assert_eq!(checked(&accepted), ["accepted - - builtin nginx"]);
    let rejected = of_files(&snippet, &["--context", "server"], 1);
    assert_eq!(findings(&rejected), ["error not-allowed-here 1:1: \"proxy_pass\" directive is not allowed here"]);
    let misspelt = [("tls.inc", "ssl_protocols TLSv1.3;\nssl_cypers HIGH;\n")];
    let rejected = of_files(&misspelt, &["--context", "http,server"], 1);
    assert_eq!(findings(&rejected), ["error unknown-directive 2:1: unknown directive \"ssl_cypers\""]);
}

#[test]
fn definitions_around_a_snippet_are_unknown() {
    let snippet =
        [("a.conf", "access_log /var/log/a.log elsewhere;\nlimit_req zone=elsewhere;\nreturn 200 $elsewhere;\n")];
    assert_eq!(findings(&of_files(&snippet, &["--context", "location"], 0)), [""; 0]);
}

#[test]
fn a_snippet_includes_the_files_beside_it() {
    let files = [("conf.d/a.conf", "include snippets/b.conf;\n"), ("snippets/b.conf", "listn 80;\n")];
    let rejected = of_files(&files, &["--context", "server", "--main", "conf.d/a.conf"], 1);
    assert_eq!(findings(&rejected), ["error unknown-directive 1:1: unknown directive \"listn\""]);
}

#[test]
fn an_empty_directory_hides_no_unknown_name() {
    let directory = tempfile::tempdir().expect("there is room");
    let text = "include modules-enabled/*.conf;\nevents {}\nhttp {\n  include conf.d/*.conf;\n  access_log /a nosuch;\n  \
                server { frobn; return 200 $nosuch; }\n}\n";
    file(directory.path(), "nginx.conf", text);
    file(directory.path(), "conf.d/.gitkeep", "");
    fs::create_dir(directory.path().join("modules-enabled")).expect("there is room");
    let all = [
        "error unknown-log-format 5:17: unknown log format \"nosuch\"",
        "error unknown-directive 6:12: unknown directive \"frobn\"",
        "error unknown-variable 6:30: unknown \"nosuch\" variable",
    ];
    let report = |path: &str| {
        let output = check(&["--format", "json", path], "");
        findings(&serde_json::from_str(&output.out).expect("it is JSON"))
    };
    let main = directory.path().join("nginx.conf");
    for path in [directory.path(), main.as_path()].map(|path| path.to_str().expect("it is UTF-8")) {
        assert_eq!(report(path), all, "{path}");
        let watched = gate_command()
            .args(["run", "--once", "--builtin", "nginx", "--main", "nginx.conf", "--watch"])
            .arg(directory.path())
            .output();
        let said = String::from_utf8(watched.expect("it starts").stderr).expect("it is UTF-8");
        assert!(said.contains("unknown log format") && said.contains("unknown directive"), "{said}");
    }
    // Files that are not read because of a `.gitignore` may be deployed all the same.
    file(directory.path(), "conf.d/local.conf", "log_format nosuch a;\n");
    file(directory.path(), ".gitignore", "local.conf\n");
    for path in [directory.path(), main.as_path()].map(|path| path.to_str().expect("it is UTF-8")) {
        let found = report(path);
        assert!(!found.iter().any(|finding| finding.contains("unknown-log-format")), "{found:?}");
    }
}

#[test]
fn an_unknown_block_or_build_names_the_nearest() {
    for (arguments, expected) in [
        (
            ["--context", "http,sever"],
            "`sever` is no block; it is one of: events, http, stream, mail, server, upstream, location, if, limit_except; did you mean `server`?",
        ),
        (["--context", "http,location"], "nginx has no `location` within `http`"),
        (
            ["--nginx-build", "openrest"],
            "`openrest` is none of nginx.org, debian, openresty, plus; did you mean `openresty`?",
        ),
        (["--nginx-allow", "a b"], "`a b` is no name of a directive"),
    ] {
        let output = check(&[&arguments[..], &["."]].concat(), "");
        assert_eq!(output.code, 2, "{}{}", output.out, output.err);
        assert!(output.err.contains(expected), "{}", output.err);
        let run = gate_command().args(["run", "--once", "--builtin", "nginx", "--watch", "/"]).args(arguments).output();
        let run = run.expect("it starts");
        assert_eq!(run.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&run.stderr).contains(expected), "{}", String::from_utf8_lossy(&run.stderr));
    }
    let output = check(&["--context", "http", "--app", "haproxy", "."], "");
    assert_eq!(output.code, 2, "{}{}", output.out, output.err);
    assert!(output.err.contains("`--context`: no validator uses the context"), "{}", output.err);
}

#[test]
fn a_build_decides_on_the_modules() {
    let lua = "events {}\nhttp { server { location / { content_by_lua_block { ngx.say(1) } } } }\n";
    let files = [("nginx.conf", lua)];
    // A build that is not known may have the module.
    assert_eq!(findings(&of_files(&files, &[], 0)).len(), 1);
    assert_eq!(findings(&of_files(&files, &["--nginx-build", "nginx.org"], 1)).len(), 1);
    of_files(&files, &["--nginx-build", "openresty"], 0);
    let files = [("nginx.conf", "events {}\nhttp {}\nstream {}\n")];
    of_files(&files, &[], 0);
    let rejected = of_files(&files, &["--nginx-build", "debian"], 1);
    assert_eq!(findings(&rejected), ["error unknown-directive 3:1: unknown directive \"stream\""]);
}

#[test]
fn an_image_names_the_build() {
    let pod = |image: &str, text: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: web}}\ndata:\n  nginx.conf: '{text}'\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n  - name: web\n    image: {image}\n    \
             volumeMounts: [{{name: c, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}}]\n  \
             volumes: [{{name: c, configMap: {{name: web}}}}]\n"
        )
    };
    let text = "events {} http { lua_shared_dict a 1m; init_by_lua_file /a.lua; }";
    assert_eq!(findings(&report(&[], &pod("openresty/openresty:1.25.3.1", text), 0)), [""; 0]);
    // The user knows the build, so that an unknown directive is an error.
    report(&["--nginx-build", "nginx.org"], &pod("example.com/web:1", text), 1);
    report(&[], &pod("example.com/web:1", text), 0);
}

#[test]
fn directives_of_further_modules_are_allowed_by_name() {
    let files = [("nginx.conf", "events {}\nhttp { frobnicate on; server { frobnicate_zone a { b c; } } }\n")];
    assert_eq!(findings(&of_files(&files, &["--nginx-allow", "frobnicate"], 1)).len(), 1);
    of_files(&files, &["--nginx-allow", "frobnicate", "--nginx-allow", "frobnicate_zone"], 0);
}

#[test]
fn the_settings_are_keys_of_the_configuration_file() {
    let directory = tempfile::tempdir().expect("there is room");
    let config = "rules:\n- files: ['snippets/*.conf']\n  app: nginx\n  context: http,server\n  nginx-allow: [frobnicate]\n\
                  - files: [lua.conf]\n  builtin: nginx\n  nginx-build: openresty\n";
    file(directory.path(), "gate.yaml", config);
    file(directory.path(), "snippets/a.conf", "frobnicate on;\nlisten 80;\n");
    file(directory.path(), "lua.conf", "events {}\nhttp { lua_shared_dict a 1m; }\n");
    let path = |name: &str| directory.path().join(name).to_str().expect("it is UTF-8").to_owned();
    let config = path("gate.yaml");
    let output = check(&["--config", &config, &path("snippets"), &path("lua.conf")], "");
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{}", output.out);
    fs::write(path("gate.yaml"), "rules:\n- files: ['*.conf']\n  app: haproxy\n  context: http\n")
        .expect("there is room");
    let output = check(&["--config", &config, &path("lua.conf")], "");
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(output.err.contains("gate.yaml:4:12: no validator uses the context"), "{}", output.err);
}

#[test]
fn a_gate_validates_snippets() {
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "a.conf", "include parts/b.conf;\nlocation / { include parts/c.conf; }\n");
    file(directory.path(), "parts/b.conf", "listen 80;\n");
    file(directory.path(), "parts/c.conf", "proxy_pass http://127.0.0.1;\n");
    for validator in [["--builtin", "nginx"], ["--app", "nginx"]] {
        let run = || {
            let mut gate = gate_command();
            gate.args(["run", "--once", "--context", "server", "--watch"]).arg(directory.path()).args(validator);
            // Another nginx of the machine does not read these files.
            gate.args(["--process", "no-such-program"]);
            let output = gate.output().expect("it starts");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        file(directory.path(), "parts/c.conf", "proxy_pass http://127.0.0.1;\n");
        let (code, said) = run();
        assert_eq!(code, Some(0), "{said}");
        file(directory.path(), "parts/c.conf", "proxy_pas http://127.0.0.1;\n");
        let (code, said) = run();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("unknown directive \\\"proxy_pas\\\""), "{said}");
    }
}

/// Objects of nginx's controllers; `SNIPPET` is replaced.
const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations:
    nginx.ingress.kubernetes.io/configuration-snippet: |
      more_set_headers "X-A: b";
      SNIPPET
    nginx.ingress.kubernetes.io/server-snippet: "location /x { return 204; }"
---
apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata: {name: shop}
spec:
  http-snippets: |
    limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;
  routes:
  - path: /
    location-snippets: |
      limit_req zone=elsewhere;
      SNIPPET
---
apiVersion: gateway.nginx.org/v1alpha1
kind: SnippetsFilter
metadata: {name: filter}
spec:
  snippets:
  - context: http.server.location
    value: SNIPPET
---
apiVersion: v1
kind: ConfigMap
metadata: {name: controller}
data:
  location-snippet: |
    SNIPPET
"#;

#[test]
fn snippets_of_controllers_are_validated_at_their_places() {
    let accepted = report(&[], &INGRESS.replace("SNIPPET", "proxy_buffering off;"), 0);
    assert_eq!(
        checked(&accepted),
        [
            "accepted ConfigMap controller location-snippet builtin nginx",
            "accepted Ingress web nginx.ingress.kubernetes.io/configuration-snippet builtin nginx",
            "accepted Ingress web nginx.ingress.kubernetes.io/server-snippet builtin nginx",
            "accepted VirtualServer shop spec.http-snippets builtin nginx",
            "accepted VirtualServer shop spec.routes[0].location-snippets builtin nginx",
            "accepted SnippetsFilter filter spec.snippets[0].value builtin nginx",
        ]
    );
    let rejected = report(&[], &INGRESS.replace("SNIPPET", "proxy_bufering off;"), 1);
    let errors: Vec<String> = findings(&rejected).into_iter().filter(|finding| finding.starts_with("error")).collect();
    let error = |place: &str| format!("error unknown-directive {place}: unknown directive \"proxy_bufering\"");
    assert_eq!(errors, [error("37:5"), error("9:7"), error("22:7"), error("30:12")]);
}

#[test]
fn a_directive_of_another_nginx_rejects_no_snippet() {
    // It came with nginx 1.31.3, and the version of the controller is unknown.
    let new = INGRESS.replace("SNIPPET", "proxy_socket_rcvbuf 4k;");
    assert!(findings(&report(&[], &new, 0)).iter().any(|finding| finding.starts_with("warning unknown-directive")));
    report(&["--nginx-version", "1.30.4"], &new, 1);
    report(&["--nginx-version", "1.31.3"], &new, 0);
    let excluded = new.replace("  annotations:\n", "  annotations:\n    reload-gate.dev/validator: none\n");
    assert!(!checked(&report(&[], &excluded, 0)).iter().any(|line| line.contains("Ingress")));
}

#[test]
fn hygiene_is_on_in_check_and_off_in_run() {
    let text = "events {}\nhttp { server { location /a { alias /b/; } } }\n";
    let warning =
        ["warning alias-traversal 2:37: \"/a../\" leads out of the directory of \"alias\", since the location ends \
                    without a slash"];
    let files = [("nginx.conf", text)];
    assert_eq!(findings(&of_files(&files, &[], 0)), warning);
    assert_eq!(findings(&of_files(&files, &["--nginx-hygiene", "off"], 0)), [""; 0]);
    let directory = tempfile::tempdir().expect("there is room");
    file(directory.path(), "conf/nginx.conf", text);
    file(directory.path(), "gate.yaml", "gates: [{builtin: nginx, observe: true, watch: conf, nginx-hygiene: off}]\n");
    let config = directory.path().join("gate.yaml").to_str().expect("it is UTF-8").to_owned();
    let path = directory.path().join("conf").to_str().expect("it is UTF-8").to_owned();
    let output = check(&["--format", "json", "--config", &config, &path], "");
    assert_eq!((output.code, output.out.contains("alias-traversal")), (0, false), "{}{}", output.out, output.err);
    for (arguments, is_on) in [(&[][..], false), (&["--nginx-hygiene", "on"][..], true)] {
        let mut gate = gate_command();
        gate.args(["run", "--once", "--log-format", "json", "--builtin", "nginx", "--watch", &path]).args(arguments);
        let output = gate.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.contains("alias-traversal")), (Some(0), is_on), "{said}");
    }
}

#[test]
fn a_vulnerability_is_of_the_version_of_the_image() {
    let pod = |image: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: web}}\ndata:\n  nginx.conf: 'events {{}} http {{ resolver 127.0.0.1; }}'\n\
             ---\napiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n  - name: web\n    image: {image}\n    \
             volumeMounts: [{{name: c, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}}]\n  \
             volumes: [{{name: c, configMap: {{name: web}}}}]\n"
        )
    };
    let found = findings(&report(&[], &pod("nginx:1.20.0"), 0));
    assert!(found.iter().any(|finding| finding.contains("CVE-2021-23017")), "{found:?}");
    assert_eq!(findings(&report(&[], &pod("nginx:1.20.1"), 0)), [""; 0]);
}
