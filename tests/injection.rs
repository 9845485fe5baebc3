//! The sidecar that `inject` adds: it is valid, `check` validates by it, and it protects real programs in containers.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::deploy::{flows_at, schema};
use crate::support::{gate_command, needs, needs_containers};

const NGINX: &str = "fixtures/inject/nginx.yaml";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there")
}

/// Runs `reload-gate` with a text on its standard input; returns both outputs and the exit code.
fn said(arguments: &[&str], input: &str) -> (String, String, i32) {
    let mut gate = gate_command();
    gate.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = gate.spawn().expect("it starts");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("it ends by itself"))
}

/// The manifest with its sidecar.
#[track_caller]
fn injected(text: &str) -> String {
    let (out, err, code) = said(&["inject", "-"], text);
    assert_eq!(code, 0, "{err}");
    out
}

/// The deployment in a stream.
fn deployment(text: &str) -> Value {
    let document = text.split("\n---\n").find(|document| document.contains("kind: Deployment")).expect("there is one");
    schema::parse(document)
}

/// With another way to get the configuration.
fn publishing(text: &str) -> String {
    let annotation = "reload-gate.dev/inject: nginx\n";
    text.replace(annotation, &format!("{annotation}        reload-gate.dev/inject-mode: publish\n"))
}

#[test]
fn what_is_printed_is_valid_by_the_published_schema() {
    for text in [read(NGINX), publishing(&read(NGINX))] {
        let wrong = schema::violations(&deployment(&injected(&text)));
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn check_validates_by_the_injected_sidecar_and_has_nothing_against_the_pod() {
    for text in [read(NGINX), publishing(&read(NGINX))] {
        let manifest = injected(&text);
        let (out, err, code) = said(&["check", "--verbose", "-"], &manifest);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("the settings of container `reload-gate` of Deployment web"), "{out}{err}");
        assert!(!out.contains("warning"), "{out}");
        let (out, err, code) = said(&["check", "-"], &manifest.replace("listen 80", "lisen 80"));
        assert_eq!(code, 1, "{out}{err}");
        assert!(out.contains("unknown directive \"lisen\""), "{out}");
    }
}

/// A pod that asks for a gate of a preset, with an empty configuration.
fn pod_of(preset: &reload_gate::Preset, mode: &str) -> String {
    let directory = preset.directory.as_deref().unwrap_or("/etc/app");
    let (name, file) = (preset.name, preset.files.first().map_or("app.conf", String::as_str));
    let needs_own = preset.text.contains("{argv}");
    let args = if needs_own { "--validate 'check {config}'" } else { "" };
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}-{mode} }}\ndata: {{ {file}: '' }}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}-{mode}\n  annotations:\n    reload-gate.dev/inject: {name}\n    \
         reload-gate.dev/inject-mode: {mode}\n    reload-gate.dev/inject-args: \"{args}\"\nspec:\n  containers:\n  - name: app\n    \
         image: example.com/app\n    volumeMounts: [{{ name: c, mountPath: {directory} }}]\n  volumes: [{{ name: c, configMap: {{ name: \
         {name}-{mode} }} }}]\n"
    )
}

#[test]
fn the_settings_of_an_injected_gate_are_right_for_every_preset() {
    let all = || reload_gate::presets().iter().flat_map(|preset| ["direct", "publish"].map(|mode| (preset, mode)));
    let manifest = injected(&all().map(|(preset, mode)| pod_of(preset, mode)).collect::<String>());
    let (out, err, _) = said(&["check", "--format", "json", "-"], &manifest);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let inputs = report["inputs"].as_array().expect("it is a list");
    for (preset, mode) in all() {
        let sidecar = format!("the settings of container `reload-gate` of Pod {}-{mode}", preset.name);
        let is_its = |input: &Value| input["reason"].as_str().is_some_and(|reason| reason.contains(&sidecar));
        assert!(inputs.iter().any(is_its), "{}: {out}{err}", preset.name);
    }
    for finding in ["sidecar-settings", "unshared-processes", "other-user", "never-updated"] {
        assert!(!out.contains(finding), "{finding}: {out}");
    }
}

#[test]
fn a_file_and_an_image_are_named_and_errors_are_reported() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(NGINX);
    let path = path.to_str().expect("it is UTF-8");
    let (out, err, code) = said(&["inject", "--image", "registry.example.com/gate:1", path], "");
    assert_eq!((err.as_str(), code), ("", 0));
    assert!(out.contains("image: registry.example.com/gate:1\n"), "{out}");
    let refused = read(NGINX).replace("containers:\n", "hostPID: true\n      containers:\n");
    let (out, err, code) = said(&["inject", "-"], &refused);
    assert_eq!((out, code), (refused, 1));
    assert_eq!(
        err,
        "warning: Deployment web: `hostPID` excludes `shareProcessNamespace`\n  help: write the sidecar by hand\n"
    );
    let (out, err, code) = said(&["inject", "-"], "kind: ConfigMap\n");
    assert_eq!((out.as_str(), code), ("kind: ConfigMap\n", 0));
    assert!(err.starts_with("note: no pod template asks for a gate\n  help: annotate the pod template"), "{err}");
    let (out, err, code) = said(&["inject", "-"], "a: b\n---\nc: [\n");
    assert_eq!((out.as_str(), code), ("", 2));
    assert!(err.starts_with("error: -:4:") || err.starts_with("error: -:3:"), "{err}");
    let (out, err, code) = said(&["inject", "-"], "");
    assert_eq!((out.as_str(), code), ("", 4));
    assert!(err.starts_with("error: `-` has no manifest\n  help: run the command in front of the pipe"), "{err}");
    let (_, err, code) = said(&["inject", "/no/such/file"], "");
    assert_eq!(code, 2);
    assert!(err.starts_with("error: cannot read `/no/such/file`: No such file"), "{err}");
}

/// `deploy/restricted` without its gate, with the annotation instead.
fn restricted_without_gate() -> String {
    let text = read("deploy/restricted/deployment.yaml");
    let between = |text: &str, from: &str, to: &str, with: &str| {
        let (before, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
        let at = rest.find(to).unwrap_or_else(|| panic!("no {to}"));
        format!("{before}{with}{}", &rest[at..])
    };
    let text = between(&text, "      # The gate must see", "      # The gate sends no request", "");
    let text = between(&text, "      initContainers:\n", "      containers:\n", "");
    let text = between(&text, "        - name: reload-gate\n", "      volumes:\n", "");
    let text = text
        .replace("        - { name: gate, emptyDir: {} }\n", "")
        .replace("        - { name: gate-tmp, emptyDir: {} }\n", "");
    text.replace(
        "    metadata:\n      labels:\n",
        "    metadata:\n      annotations: { reload-gate.dev/inject: nginx }\n      labels:\n",
    )
}

#[test]
fn an_injected_gate_is_that_of_the_restricted_manifest() {
    let ours = deployment(&injected(&restricted_without_gate()));
    let theirs = schema::parse(&read("deploy/restricted/deployment.yaml"));
    let gate = |manifest: &Value| manifest["spec"]["template"]["spec"]["containers"][1].clone();
    let (ours, theirs) = (gate(&ours), gate(&theirs));
    for key in ["name", "image", "args", "ports", "livenessProbe"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    assert_eq!(ours["resources"]["requests"], theirs["resources"]["requests"]);
    assert_eq!(ours["securityContext"], theirs["securityContext"]);
    let variables = |gate: &Value| {
        let pairs = gate["env"].as_array().expect("it is a list").iter();
        pairs
            .map(|pair| (pair["name"].to_string(), pair["value"].to_string()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(variables(&ours), variables(&theirs));
    let paths = |gate: &Value| {
        let mounts = gate["volumeMounts"].as_array().expect("it is a list").iter();
        let paths = mounts.map(|mount| (mount["mountPath"].to_string(), mount["readOnly"] == true));
        paths.filter(|(path, _)| !path.contains("gate")).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(paths(&ours), paths(&theirs));
}

/// Runs an injected deployment in containers, as `deploy` runs its bases.
#[track_caller]
fn protects(deployment: &str, configuration: &str) {
    let directory = tempfile::tempdir().expect("there is room");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("there is room");
    write("deployment.yaml", deployment);
    write("nginx.conf", configuration);
    write("kustomization.yaml", "configMapGenerator: [{ name: web, files: [nginx.conf] }]\n");
    flows_at(directory.path(), "local", ("'one'", "'two'", "'two' lisen"));
}

/// The second document: the deployment.
fn second(text: &str) -> &str {
    text.split_once("\n---\n").expect("there are two").1
}

#[test]
fn an_injected_gate_protects_nginx_of_an_unknown_user() {
    needs_containers!();
    needs!("nginx", "python3", "nsenter");
    protects(second(&injected(&read(NGINX))), &read("deploy/drop-in/nginx.conf"));
}

#[test]
fn an_injected_gate_publishes_to_nginx() {
    needs_containers!();
    needs!("nginx", "python3", "nsenter");
    protects(second(&injected(&publishing(&read(NGINX)))), &read("deploy/publish/nginx.conf"));
}

#[test]
fn an_injected_gate_protects_nginx_under_the_restricted_standard() {
    needs_containers!();
    needs!("nginx", "python3", "nsenter");
    protects(&injected(&restricted_without_gate()), &read("deploy/restricted/nginx.conf"));
}
