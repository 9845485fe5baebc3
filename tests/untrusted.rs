//! A hostile pull request in `check`: files laid over the machine, files that programs read where no view is possible, and links.

use std::path::Path;

use crate::hostile::{Place, without_view};
use crate::support::{command, gate_command, installed, needs, skip};

/// A pod with the configuration of haproxy, and with mounts of a ConfigMap at other paths.
fn laid_over(paths: &[&str]) -> String {
    let mounts: String =
        paths.iter().map(|path| format!("    - {{ name: evil, mountPath: {path}, subPath: evil }}\n")).collect();
    format!(
        r"apiVersion: v1
kind: ConfigMap
metadata: {{ name: c }}
data:
  haproxy.cfg: |
    defaults
      timeout client 1s
      timeout connect 1s
      timeout server 1s
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: evil }}
data:
  evil: |
    /etc/evil.so
---
apiVersion: v1
kind: Pod
metadata: {{ name: p }}
spec:
  containers:
  - name: app
    image: haproxy
    volumeMounts:
    - {{ name: c, mountPath: /usr/local/etc/haproxy }}
{mounts}  volumes:
  - {{ name: c, configMap: {{ name: c }} }}
  - {{ name: evil, configMap: {{ name: evil }} }}
"
    )
}

#[test]
fn a_mount_over_programs_or_libraries_is_left_out_and_reported() {
    needs!("haproxy");
    let place = Place::new();
    let paths = ["/etc/ld.so.preload", "/etc/ssl/openssl.cnf", "/usr/sbin/haproxy", "/lib/evil.so", "/etc/passwd"];
    let file = place.write("pr.yaml", &laid_over(&paths));
    for more in [&[][..], &["--allow-commands"]] {
        let mut check = gate_command();
        let output = check.arg("check").args(more).arg(&file).output().expect("it starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        for path in paths {
            assert!(said.contains(&format!("[not-laid-out]: `{path}` is not laid out")), "{more:?} {path}: {said}");
        }
        assert!(said.contains("accepted"), "the program is that of the machine: {more:?} {said}");
        assert!(!said.contains("ld.so: object"), "no library is looked for: {more:?} {said}");
    }
    let file =
        place.write("pr.yaml", &laid_over(&["/usr/share/haproxy/conf/a", "/usr/local/etc/app", "/etc/haproxy/a"]));
    let output = gate_command().arg("check").arg(&file).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !said.contains("not-laid-out"), "{said}");
}

/// Configurations without a construct that executes something, each with a file of the user in the place of `FILE`.
const INCLUSIONS: [(&str, &str, &str); 4] = [
    ("sshd", "sshd_config", "Include FILE\n"),
    ("promtool", "prometheus.yml", "rule_files: [FILE]\n"),
    ("nsd-checkconf", "nsd.conf", "include: \"FILE\"\n"),
    ("keepalived", "keepalived.conf", "include FILE\n"),
];

#[test]
fn without_a_view_a_program_reads_no_file_of_the_user() {
    needs!("unshare", "setpriv");
    let place = Place::new();
    let key = place.write("netrc", "hunter2-token hunter2: x\n");
    for (program, name, text) in INCLUSIONS {
        if !installed(program) {
            skip(&format!("{program} is not installed"));
            continue;
        }
        let file = place.write(name, &text.replace("FILE", key.to_str().expect("it is UTF-8")));
        let check = |more: &[&str]| {
            let words = [&without_view()[..], &[env!("CARGO_BIN_EXE_reload-gate"), "check", "-v"], more].concat();
            let output = command(words[0]).args(&words[1..]).arg(&file).output().expect("it starts");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let said = check(&[]);
        if said.contains("unshare failed") {
            return skip("no user namespace can be made");
        }
        assert!(said.contains(name) && !said.contains("hunter2"), "{program}: {said}");
    }
}

#[test]
fn without_a_view_a_program_judges_what_is_laid_out() {
    needs!("nsd-checkconf", "unshare", "setpriv");
    let place = Place::new();
    let check = |text: &str| {
        let file = place.write("nsd.conf", text);
        let words = [&without_view()[..], &[env!("CARGO_BIN_EXE_reload-gate"), "check"]].concat();
        let output = command(words[0]).args(&words[1..]).arg(&file).output().expect("it starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let said = check("server:\n  nonsense: 1\n");
    if said.contains("unshare failed") || said.contains("view-not-possible") {
        return skip("no user namespace can be made, or the kernel has no Landlock");
    }
    assert!(said.contains("rejected") && said.contains("nonsense"), "{said}");
    assert!(check("server:\n").contains("accepted"));
}

/// A pod whose gate hands a variable of its own environment to haproxy.
const PASSING: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: { name: proxy }
data:
  haproxy.cfg: |
    defaults
      mode http
      timeout connect 1s
      timeout client 1s
      timeout server 1s
    frontend web
      bind "${JOB_TOKEN}"
---
apiVersion: v1
kind: Pod
metadata: { name: proxy }
spec:
  shareProcessNamespace: true
  containers:
  - name: haproxy
    image: haproxy
    volumeMounts: [{ name: config, mountPath: /usr/local/etc/haproxy }]
  - name: gate
    image: reload-gate
    args: [run, --app, haproxy, --watch, /usr/local/etc/haproxy, --pass-env, JOB_TOKEN]
    volumeMounts: [{ name: config, mountPath: /usr/local/etc/haproxy }]
  volumes: [{ name: config, configMap: { name: proxy } }]
"#;

#[test]
fn a_sidecar_in_a_manifest_gets_no_variable_of_the_job() {
    needs!("haproxy");
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("pod.yaml"), PASSING).expect("there is room");
    let mut check = gate_command();
    check.arg("check").arg(directory.path()).env("JOB_TOKEN", "hunter2");
    let output = check.output().expect("it starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("haproxy -c") && !said.contains("hunter2"), "{said}");
}

#[test]
fn nothing_is_written_through_a_link_out_of_a_repository() {
    let place = Place::new();
    let outside = place.write("profile", "mine\n");
    let repository = place.path("pr");
    std::fs::create_dir_all(repository.join(".git")).expect("there is room");
    std::fs::write(repository.join("a.yaml"), "a: [\n").expect("there is room");
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, repository.join(name)).expect("there is room");
    link(&outside, "baseline.json");
    link(outside.parent().expect("it has one"), "reports");
    link(Path::new("inside.json"), "known.json");
    let check = |option: &str, name: &str| {
        let mut check = gate_command();
        check.args(["check", option, name, "a.yaml"]).current_dir(&repository);
        let output = check.output().expect("it starts");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (option, name) in [
        ("--write-baseline", "baseline.json"),
        ("--output", "baseline.json"),
        ("--output", "reports/profile"),
        ("--write-baseline", "reports/profile"),
    ] {
        let said = check(option, name);
        assert!(said.contains("is a link out of the repository, which is not followed"), "{option} {name}: {said}");
        assert_eq!(std::fs::read_to_string(&outside).expect("it is there"), "mine\n", "{option} {name}");
    }
    // One that stays inside is followed.
    check("--write-baseline", "known.json");
    assert!(repository.join("inside.json").is_file());
}

#[test]
fn links_out_of_a_repository_are_not_followed() {
    let place = Place::new();
    let secret = place.write("key", "- [hunter2\n");
    let repository = place.path("pr");
    std::fs::create_dir_all(repository.join(".git")).expect("there is room");
    std::fs::create_dir_all(repository.join("parts")).expect("there is room");
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, repository.join(name)).expect("there is room");
    link(&secret, "a.yaml");
    link(Path::new("/proc/self/environ"), "b.yaml");
    link(Path::new("/"), "d");
    link(&secret, "parts/k.conf");
    // One that stays inside is read.
    std::fs::write(repository.join("c.json"), "{").expect("there is room");
    link(Path::new("../c.json"), "parts/c.json");
    std::fs::write(repository.join("parts/nginx.conf"), "events {}\ninclude k.conf;\n").expect("there is room");
    let mut check = gate_command();
    let output =
        check.args(["check", "--verbose"]).arg(&repository).env("TOKEN", "x: [hunter2").output().expect("it starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(said.matches("a link out of the repository").count(), 4, "{said}");
    assert_eq!(said.matches("rejected  ").count(), 2, "{said}");
    // So it is with a link that a hook names.
    std::fs::write(repository.join(".git/config"), "- [hunter2\n").expect("there is room");
    link(Path::new(".git/config"), "e.yaml");
    // And with a directory on the way to an input.
    place.write("key.yaml", "- [hunter2\n");
    link(&place.path("."), "outside");
    for name in ["a.yaml", "e.yaml", "outside/key.yaml"] {
        let output =
            gate_command().args(["check", "--verbose"]).arg(repository.join(name)).output().expect("it starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains("hunter2") && said.contains("a link out of the repository"), "{name}: {said}");
    }
}
