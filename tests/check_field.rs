//! `check` on inputs as they are in the field: large, encrypted, unrendered, or hostile.

use std::process::Stdio;

use crate::check::{CHART, FORMATS, check, checked, config_map, file, findings, report};
use crate::support::{command, gate_command, needs};

#[test]
fn an_unreadable_input_is_reported_and_does_not_block() {
    let directory = tempfile::tempdir().expect("there is room");
    let fifo = directory.path().join("a.json");
    assert!(command("mkfifo").arg(&fifo).status().expect("it is installed").success());
    let output = check(&[fifo.to_str().expect("it is UTF-8")], "");
    assert!(output.code == 3 && output.out.contains("it is a FIFO"), "{} {}", output.code, output.out);
    std::os::unix::fs::symlink("nowhere", directory.path().join("b.json")).expect("there is room");
    assert_eq!(check(&[directory.path().to_str().expect("it is UTF-8")], "").code, 4, "a link to nowhere is no file");
    let broken = check(
        &["-"],
        &CHART[..CHART.find("  name: web-tls").expect("it is there") - 9].replace("kind: Secret", "kind: [Secret"),
    );
    assert!(broken.code == 1 && broken.out.contains("broken-manifest"), "{} {}", broken.code, broken.out);
    let missing = check(&["--format", "json", "/nowhere"], "");
    assert!(
        missing.code == 2 && missing.out.contains("\"verdict\":\"inconclusive\""),
        "{} {}",
        missing.code,
        missing.out
    );
}

#[test]
fn a_list_of_one_kind_leaves_it_out_of_its_items() {
    let list = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n  data: {nginx.conf: 'events {'}\n";
    assert_eq!(checked(&report(&[], list, 1)), ["rejected ConfigMap a nginx.conf builtin nginx"]);
}

#[test]
fn a_missing_key_of_a_volume_is_reported() {
    let chart = CHART.replace(
        "configMap: { name: web-sites }",
        "configMap: { name: web-sites, items: [{key: gone, path: a.conf}] }",
    );
    let found = report(&["--verbose"], &chart, 1);
    assert!(findings(&found)[0].starts_with("error missing-key "), "{found:#}");
    assert!(found["unjudged"].to_string().contains("api.conf"), "keys without a mount are listed: {found:#}");
    let optional = chart.replace("path: a.conf}]", "path: a.conf}], optional: true");
    assert!(!report(&[], &optional, 0).to_string().contains("missing-key"));
}

#[test]
fn a_key_that_is_no_name_of_a_file_is_written_nowhere() {
    let directory = tempfile::tempdir().expect("there is room");
    let outside = directory.path().join("outside");
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n  '../../../../../..{}': evil\n  app.conf: good\n",
        outside.display()
    );
    let found = report(&["--validate", "grep -q good {config}"], &map, 1);
    assert!(findings(&found)[0].starts_with("error invalid-key "), "{found:#}");
    assert!(checked(&found).iter().any(|one| one.starts_with("accepted ConfigMap x app.conf")), "{found:#}");
    assert!(!outside.exists());
}

#[test]
fn lines_that_are_no_utf8_are_shown() {
    let directory = tempfile::tempdir().expect("there is room");
    let main = directory.path().join("nginx.conf");
    for before in [&b""[..], b"\xe9", b"\xe9\xe9", b"\xe9\xe9\xe9", "\u{1f600}\u{e9}".as_bytes(), b"\xf0\x9f"] {
        std::fs::write(&main, [b"events {}\n# ", before, b"\nlisen 80;\n"].concat()).expect("there is room");
        for format in FORMATS {
            let output = check(&["--format", format, "--color", "never", main.to_str().expect("it is UTF-8")], "");
            assert_eq!(output.code, 1, "{format} {before:?}: {}{}", output.out, output.err);
            assert!(format != "human" || output.out.contains("3 | lisen 80;\n  | ^^^^^"), "{before:?}: {}", output.out);
        }
    }
}

/// A pod of this image with the ConfigMap `x` at `/etc/app`.
pub(crate) fn pod(image: &str, more: &str) -> String {
    format!(
        r"---
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  containers:
    - name: app
      image: {image}
      {more}
      volumeMounts: [{{name: v, mountPath: /etc/app}}]
  volumes: [{{name: v, configMap: {{name: x}}}}]
"
    )
}

#[test]
fn an_error_beside_a_placeholder_counts() {
    let directory = tempfile::tempdir().expect("there is room");
    for (name, text, code) in [
        ("a.json", "{\"panels\": [{\"legendFormat\": \"{{instance}}\"},]}", 1),
        ("b.json", "{{\"a\": 1}", 1),
        ("nginx.conf", "events {} http { server { lisen 80; return 200 \"{{ x }}\"; } }", 1),
        (
            "rules.yaml",
            "groups:\n- name: a\n  rules: [{alert: A,\texpr: up, annotations: {a: \"{{ $labels.b }}\"}]\n",
            1,
        ),
        ("manifest.yaml", "apiVersion: v1\nkind: ConfigMap\n\tmetadata: {name: \"{{ x }}\"}\n", 1),
        ("c.json", "{\"port\": {{ port }}}", 3),
        ("d.json", "{\"port\": \"{{ default \"a\" }}\"}", 3),
        ("e.json", "{\"port\": \"{{ port }}\"}", 0),
        // A placeholder in quotation marks does not make those without any into errors.
        ("f.yaml", "a: \"{{ .x }}\"\nb: {{ .y }}:8500\n", 3),
        ("g.json", "{\"a\": \"{{ a }}\",\n\"b\": {{ b }}}", 3),
        ("h.yaml", "{{ if .x }}\na: \"{{ .x }}\"\n{{ end }}\n", 3),
        ("i.json", "[\n{% if a %}\n{\"b\": \"{{ c }}\"}\n{% endif %}\n]", 3),
        ("nginx.conf", "worker_processes {{ n }};\nevents {}\nhttp { server { return 200 \"{{ x }}\"; } }\n", 3),
        // Other tools have other placeholders.
        ("k.json", "{\"mtu\": __CNI_MTU__, \"name\": \"__NODE__\"}", 3),
        ("l.json", "{\"mtu\": ${MTU}}", 3),
        ("m.yaml", "a:\n  b: ${B}\n  ${MORE}\nc: d\n", 3),
        ("n.yaml", "a: ${B}\nc: [d\n", 1),
        ("nginx.conf", "events {}\nhttp { server { return 301 https://$DOMAIN$request_uri; } }\n", 3),
        ("nginx.conf", "events {}\nhttp { upstream a { server ${PHP_HOST}:9000; } }\n", 3),
        ("nginx.conf", "events {}\nhttp { server { listen %%PORT%%; } }\n", 3),
        ("nginx.conf", "events {}\nhttp { server { lisen 80; server_name __NAME__; } }\n", 1),
    ] {
        file(directory.path(), name, text);
        let path = directory.path().join(name);
        let output = check(&[path.to_str().expect("it is UTF-8")], "");
        assert_eq!(output.code, code, "{name}: {}{}", output.out, output.err);
        assert_eq!(output.out.contains("placeholders"), code == 3, "{name}: {}", output.out);
        std::fs::remove_file(path).expect("it is there");
    }
}

#[test]
fn manifests_with_placeholders_are_not_broken() {
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: bind\nspec:\n  PART\n  type: ClusterIP\n";
    for (part, why) in [
        ("{{- toYaml .x | nindent 2 }}", Some("it is a template")),
        ("name: {{.Name}}-x", Some("it is a template")),
        ("{{#if x}}", Some("it is a template")),
        ("clusterIP: {SERVICE_IP_PREFIX}.16", Some("it has placeholders that another tool replaces")),
        ("${MORE}", Some("it has placeholders that another tool replaces")),
        ("a: [{{ x }}", Some("it is a template")),
        ("a: \"{{ x }}\"\n\tb: c", None),
        ("a: ${X}\n  b: [c", None),
    ] {
        // A named input of which nothing can be validated is an obstacle.
        let found = report(&["--verbose"], &service.replace("PART", part), if why.is_some() { 3 } else { 1 });
        match why {
            Some(why) => assert_eq!(found["inputs"][0]["findings"][0]["message"], why, "{part}"),
            None => assert!(findings(&found)[0].starts_with("error broken-manifest "), "{part}: {found:#}"),
        }
    }
}

#[test]
fn a_path_that_does_not_exist_has_one_message_and_its_exit_code() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("nosuch");
    let output = check(&[path.to_str().expect("it is UTF-8")], "");
    assert_eq!(output.code, 2, "{}{}", output.out, output.err);
    assert_eq!(format!("{}{}", output.out, output.err).matches("does not exist").count(), 1);
}

#[test]
fn a_file_that_git_tracks_is_read_whatever_is_ignored() {
    needs!("git");
    let directory = tempfile::tempdir().expect("there is room");
    for name in ["web/nginx.conf", "other/nginx.conf", "build/nginx.conf"] {
        file(directory.path(), name, if name.starts_with("other") { "events {}\n" } else { "nonsense;\n" });
    }
    let git = |words: &[&str]| {
        let output = command("git").args(words).current_dir(directory.path()).output().expect("it starts");
        assert!(output.status.success(), "{words:?} {output:?}");
    };
    let rejected = |path: &str| {
        let mut check = gate_command();
        let output = check.current_dir(directory.path()).args(["check", "--format", "json", path]).output();
        let report: serde_json::Value = serde_json::from_slice(&output.expect("it starts").stdout).expect("it is JSON");
        let shown =
            |one: &serde_json::Value| one["input"].as_str().unwrap_or_default().trim_start_matches("./").to_owned();
        let rejected = report["inputs"].as_array().into_iter().flatten().filter(|one| one["verdict"] == "rejected");
        (rejected.map(shown).collect::<Vec<_>>(), report["unjudged"].clone())
    };
    file(directory.path(), ".gitignore", "web\n/build\n");
    let (found, unjudged) = rejected(".");
    assert!(found.is_empty(), "{found:?}");
    let why = "2 files are ignored by a `.gitignore`, and there is no index of git that names the files it tracks";
    assert_eq!(unjudged[0]["why"], why, "{unjudged:#}");
    git(&["init", "--quiet"]);
    git(&["add", "--force", "web/nginx.conf", "other/nginx.conf", ".gitignore"]);
    for version in ["2", "4"] {
        git(&["update-index", "--index-version", version]);
        assert_eq!(rejected(".").0, ["web/nginx.conf"], "version {version}");
        assert_eq!(rejected("web").0, ["web/nginx.conf"], "version {version}");
    }
    let mut check = gate_command();
    let output = check.current_dir(directory.path()).args(["check", "--exclude", "web/", "."]).output();
    assert!(output.expect("it starts").status.success(), "what is excluded is not read");
}

#[test]
fn excluded_and_ignored_files_are_not_read() {
    let directory = tempfile::tempdir().expect("there is room");
    let root = directory.path().to_str().expect("it is UTF-8");
    for name in ["build/a.json", "vendor/b.json", "c.json"] {
        file(directory.path(), name, "{\"a\": 1,}\n");
    }
    file(directory.path(), ".gitignore", "/build\n");
    let places = |arguments: &[&str]| {
        let output = check(&[&["--format", "github"], arguments, &[root]].concat(), "");
        let lines: Vec<_> = output.out.lines().filter(|line| line.starts_with("::error")).map(str::to_owned).collect();
        lines.len()
    };
    assert_eq!(places(&[]), 2, "`build` is in `.gitignore`");
    assert_eq!(places(&["--exclude", "vendor/"]), 1);
    assert_eq!(places(&["--exclude", "*.json"]), 0);
    let wrong = check(&["--exclude", "a[z-b]", root], "");
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("--exclude"), "{}", wrong.err);
}

#[test]
fn encrypted_and_unrendered_texts_are_not_rejected() {
    let encrypted = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  nginx.conf: ENC[AES256_GCM,data:x,type:str]\n\
                     sops: {mac: x, version: 3.9.0}\n";
    let why = |input: &str| report(&["--verbose"], input, 0)["unjudged"].to_string();
    assert!(why(encrypted).contains("encrypted with SOPS"), "{}", why(encrypted));
    let reference = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {token: 'op://vault/item/field'}\n";
    assert!(why(reference).contains("placeholders"), "{}", why(reference));
    let unrendered = config_map("app.json", "'{\"port\": {{ port }}}'");
    assert!(why(&unrendered).contains("placeholders"), "{}", why(&unrendered));
    report(&[], &config_map("app.json", "'{\"port\": }'"), 1);
}

#[test]
fn few_descriptors_are_enough_for_many_files() {
    let directory = tempfile::tempdir().expect("there is room");
    for index in 0..300 {
        file(directory.path(), &format!("{index}.yaml"), &config_map("nginx.conf", "'events {}'"));
    }
    let gate = gate_command();
    let script = format!("ulimit -n 64; exec '{}' check .", gate.get_program().to_string_lossy());
    let mut shell = command("sh");
    let output = shell.args(["-c", &script]).current_dir(directory.path()).output().expect("it starts");
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(report.contains("300 checked: 300 accepted"), "{report}");
}

#[test]
fn a_signal_ends_the_program_and_removes_its_files() {
    let directory = tempfile::tempdir().expect("there is room");
    let (inputs, temporary) = (directory.path().join("in"), directory.path().join("tmp"));
    file(&inputs, "app.conf", "x\n");
    std::fs::create_dir(&temporary).expect("there is room");
    let mut check = gate_command();
    check.env("TMPDIR", &temporary).args(["check", "--validate", "sleep 60"]).arg(&inputs);
    let mut child = check.stdout(Stdio::null()).spawn().expect("it starts");
    let left = || std::fs::read_dir(&temporary).expect("it is there").flatten().collect::<Vec<_>>();
    crate::support::eventually("the files are laid out", || !left().is_empty());
    let mode = std::os::unix::fs::PermissionsExt::mode(&left()[0].metadata().expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o700, "others may not read them");
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("it is a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    assert!(left().is_empty(), "{:?}", left());
}

#[test]
fn a_sub_path_that_names_no_key_is_reported() {
    let pod = pod("app", "").replace("mountPath: /etc/app}", "mountPath: /etc/app/a.json, subPath: gone.json}");
    let found = findings(&report(&[], &(config_map("a.json", "'{}'") + &pod), 1));
    assert!(found[0].contains("missing-key") && found[0].contains("`gone.json`"), "{found:?}");
}

#[test]
fn many_findings_and_long_lines_are_cut() {
    let line = "x ".repeat(50_000) + "1;";
    let map = config_map("nginx.conf", &format!("|\n    events {{}}\n    {line}\n{}", "    lisen 80;\n".repeat(500)));
    let report = report(&[], &map, 1);
    assert!(findings(&report).len() <= 101, "{}", findings(&report).len());
    let output = check(&["--color", "never", "-"], &map);
    assert!(output.out.len() < 200_000, "{}", output.out.len());
}

#[test]
fn an_empty_directory_is_known_to_be_empty() {
    let directory = tempfile::tempdir().expect("there is room");
    file(
        directory.path(),
        "nginx.conf",
        "events {}\nhttp {\n  include conf.d/*.conf;\n  include /etc/nginx/conf.d/*.conf;\n}\n",
    );
    std::fs::create_dir(directory.path().join("conf.d")).expect("there is room");
    let output = check(&["--color", "never", directory.path().to_str().expect("it is UTF-8")], "");
    assert_eq!(output.code, 0, "{}", output.out);
    assert!(!output.out.contains("warning"), "{}", output.out);
}

#[test]
fn the_project_s_own_deployments_are_accepted() {
    needs!("haproxy");
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    let output = check(&["--color", "never", deploy], "");
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
}

#[test]
fn a_duplicate_key_is_an_error_where_the_judgement_depends_on_it() {
    let labels = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels:\n    a: b\n    a: c\ndata: {x: z}\n";
    assert!(findings(&report(&[], labels, 0))[0].starts_with("warning broken-manifest 6:5"));
    let data = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.json: '{}'\n  a.json: '[]'\n";
    assert!(findings(&report(&[], data, 1))[0].starts_with("error broken-manifest 5:3"));
    // Which of two maps counts depends on the reader.
    let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  nginx.conf: events {}\n";
    let found = report(&[], &format!("{good}data:\n  nginx.conf: nonsense\n"), 1);
    assert!(findings(&found)[0].starts_with("error broken-manifest 6:1"), "{found:#}");
    assert!(found.to_string().contains("duplicate key `data`: the first is at 4:1"), "{found:#}");
    let again = report(&[], &format!("{good}data:\n  nginx.conf: events {{}}\n"), 0);
    assert!(findings(&again)[0].starts_with("warning broken-manifest 6:1"), "{again:#}");
}

#[test]
fn a_pod_in_which_a_gate_cannot_work_is_reported() {
    let manifest = "apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  volumes: [{name: v, configMap: {name: c}}]
  containers:
  - {name: web, image: nginx, securityContext: {runAsUser: 101}, volumeMounts: [{name: v, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}]}
  - {name: gate, image: reload-gate, securityContext: {runAsUser: 65532}, args: [run, --app, nginx, --watch, /etc/nginx], volumeMounts: [{name: v, mountPath: /etc/nginx}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {nginx.conf: 'events {}'}
";
    let codes = |manifest: &str| {
        let found = findings(&report(&[], manifest, 0));
        found.iter().map(|one| one.split(' ').nth(1).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes(manifest), ["unshared-processes", "other-user", "never-updated"]);
    let works = manifest.replace("spec:\n", "spec:\n  shareProcessNamespace: true\n").replace("65532", "101");
    let works = works.replace("/nginx.conf, subPath: nginx.conf", "");
    assert!(codes(&works).is_empty(), "{:?}", codes(&works));
}
