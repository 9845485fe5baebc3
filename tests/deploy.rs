//! The manifests that ship: valid by the published schemas, and doing in containers what they say.

mod pod;
pub(crate) mod schema;

use std::path::{Path, PathBuf};

use pod::Pod;
use serde_json::Value;

use crate::support::{command, eventually, gate_command, installed, needs, needs_containers, report_skipped};

/// The directory of a base.
fn base(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// The base of the webhook, in which no gate is a sidecar; its variants begin with the same name.
const WEBHOOK: &str = "admission";

/// Every base there is.
fn all_bases() -> Vec<String> {
    let entries = std::fs::read_dir(base("")).expect("it is there").flatten();
    let directories = entries.filter(|entry| entry.path().join("kustomization.yaml").is_file());
    directories.map(|entry| entry.file_name().into_string().expect("it is UTF-8")).collect()
}

/// Every base with a gate beside an application; what else lies there is no part of a pod.
fn bases() -> Vec<String> {
    all_bases().into_iter().filter(|name| !name.starts_with(WEBHOOK)).collect()
}

/// A variant of the webhook as `kubectl kustomize` renders it. `None`, which is reported, without kubectl.
pub(crate) fn variant(name: &str) -> Option<String> {
    if !installed("kubectl") {
        report_skipped("kubectl is not installed");
        return None;
    }
    let output = command("kubectl").arg("kustomize").arg(base(name)).output().expect("it starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("it is UTF-8"))
}

/// The words of a list.
fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[test]
fn every_manifest_is_valid_by_the_published_schemas() {
    let (mut wrong, bases) = (Vec::new(), all_bases());
    assert!(bases.len() >= 6, "{bases:?}");
    for name in bases {
        for entry in std::fs::read_dir(base(&name)).expect("it is there").flatten() {
            let path = entry.path();
            let is_manifest = path.extension().is_some_and(|extension| extension == "yaml");
            // cert-manager's kinds have no schema in those of Kubernetes.
            if is_manifest && !path.ends_with("kustomization.yaml") && !path.ends_with("certificate.yaml") {
                wrong.extend(
                    schema::violations(&schema::read(&path))
                        .into_iter()
                        .map(|wrong| format!("{}: {wrong}", path.display())),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_schema_finds_what_is_wrong() {
    let mut manifest = schema::read(&base("publish").join("deployment.yaml"));
    let pod = manifest.pointer_mut("/spec/template/spec").expect("it is there");
    pod["shareProcessNamespaces"] = true.into();
    pod["containers"][0]["name"].take();
    pod["containers"][0]["securityContext"]["runAsUser"] = "root".into();
    pod["volumes"][0].as_object_mut().expect("it is one").remove("name");
    let found = schema::violations(&manifest).join("\n");
    for expected in [
        "'shareProcessNamespaces' was unexpected",
        "/containers/0/name: null is not of type \"string\"",
        "/securityContext/runAsUser: \"root\" is not of type \"integer\"",
        "/volumes/0: \"name\" is a required property",
    ] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn every_kustomization_names_what_is_there_and_keeps_the_names_of_config_maps() {
    for name in bases() {
        let (directory, kustomization) = (base(&name), schema::read(&base(&name).join("kustomization.yaml")));
        assert_eq!(kustomization["kind"], "Kustomization");
        let manifest = schema::read(&directory.join("deployment.yaml"));
        let resources: Vec<_> = words(&kustomization["resources"]).collect();
        assert_eq!(resources.first(), Some(&"deployment.yaml"), "{name}");
        for file in &resources {
            assert!(directory.join(file).is_file(), "{name}: {file}");
        }
        let generator = &kustomization["configMapGenerator"][0];
        for file in words(&generator["files"]) {
            assert!(directory.join(file).is_file(), "{name}: {file}");
        }
        assert_eq!(generator["options"]["disableNameSuffixHash"], true, "{name}");
        let volumes = manifest["spec"]["template"]["spec"]["volumes"].as_array().expect("there are some");
        assert!(volumes.iter().any(|volume| volume["configMap"]["name"] == generator["name"]), "{name}");
    }
}

#[test]
fn the_webhook_has_no_right_and_two_replicas_and_prevents_no_change_when_it_is_down() {
    let read = |file: &str| schema::read(&base(WEBHOOK).join(file));
    let kustomization = read("kustomization.yaml");
    let files: std::collections::BTreeSet<_> = words(&kustomization["resources"]).map(str::to_owned).collect();
    let there = std::fs::read_dir(base(WEBHOOK)).expect("it is there").flatten();
    let there = there.map(|entry| entry.file_name().into_string().expect("it is UTF-8"));
    assert_eq!(files, there.filter(|name| name != "kustomization.yaml").collect());
    let (deployment, service) = (read("deployment.yaml"), read("service.yaml"));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!((&deployment["spec"]["replicas"], &pod["automountServiceAccountToken"]), (&2.into(), &false.into()));
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &read("disruption-budget.yaml")["spec"]["selector"]["matchLabels"],
    ] {
        let selector = selector.as_object().expect("it selects by labels");
        assert!(selector.iter().all(|(label, value)| labels[label] == *value), "{selector:?}");
    }
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert_eq!(
        (&security["readOnlyRootFilesystem"], &pod["securityContext"]["runAsNonRoot"]),
        (&true.into(), &true.into())
    );
    let webhook = &read("webhook.yaml")["webhooks"][0];
    assert_eq!((&webhook["failurePolicy"], &webhook["sideEffects"]), (&"Ignore".into(), &"None".into()));
    assert_eq!((&webhook["matchPolicy"], &webhook["timeoutSeconds"]), (&"Equivalent".into(), &5.into()));
    assert_eq!(webhook["clientConfig"]["service"]["name"], service["metadata"]["name"]);
    let ports = container["ports"].as_array().expect("it has some");
    assert!(ports.iter().any(|port| port["name"] == service["spec"]["ports"][0]["targetPort"]));
    // The flags are those of the command.
    let arguments: Vec<&str> = words(&container["args"]).chain(["--help"]).collect();
    let output = gate_command().args(arguments).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn each_variant_of_the_webhook_has_the_rights_that_its_page_names_and_no_others() {
    for (name, kinds, forbidden) in [
        ("admission", vec![], vec!["Role", "ClusterRole"]),
        ("admission-self-signed", vec!["ClusterRole", "ClusterRoleBinding"], vec!["Certificate", "Issuer", "Role"]),
        ("admission-together", vec!["Certificate", "Issuer", "Role", "RoleBinding"], vec!["ClusterRole"]),
    ] {
        let Some(text) = variant(name) else { return };
        let objects = schema::stream(&text);
        let one = |kind: &str| objects.iter().find(|object| object["kind"] == kind);
        assert!(kinds.iter().all(|kind| one(kind).is_some()), "{name}: {kinds:?}");
        assert!(forbidden.iter().all(|kind| one(kind).is_none()), "{name}: {forbidden:?}");
        let page = std::fs::read_to_string(base("../docs/admission.md")).expect("it is there");
        for rule in objects.iter().filter_map(|object| object["rules"].as_array()).flatten() {
            let Some(verbs) = rule["verbs"].as_array() else { continue };
            let documented = verbs.iter().chain(rule["resources"].as_array().into_iter().flatten());
            for word in documented.filter_map(Value::as_str) {
                assert!(page.contains(word), "{name}: {word} is not in docs/admission.md");
            }
            assert!(rule["resourceNames"].as_array().is_some_and(|names| !names.is_empty()), "{name}: {rule}");
        }
        let pod = &one("Deployment").expect("there is one")["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], !kinds.is_empty(), "{name}");
        // Every mount has its volume, and the flags are those of the command.
        let names = |list: &Value| {
            let names = list.as_array().into_iter().flatten().map(|item| item["name"].to_string());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        let container = &pod["containers"][0];
        assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]), "{name}");
        let output = gate_command().args(words(&container["args"])).arg("--help").output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let foreign = |object: &&Value| object["apiVersion"] != "cert-manager.io/v1";
        let wrong: Vec<_> = objects.iter().filter(foreign).flat_map(schema::violations).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[test]
fn no_base_takes_the_place_of_another_and_each_says_what_it_needs() {
    let mut names = std::collections::BTreeSet::new();
    for name in bases() {
        let manifest = schema::read(&base(&name).join("deployment.yaml"));
        let called = manifest["metadata"]["name"].as_str().expect("it has one").to_owned();
        let pod = &manifest["spec"]["template"];
        let labels = &pod["metadata"]["labels"];
        for (label, value) in manifest["spec"]["selector"]["matchLabels"].as_object().expect("it selects by labels") {
            assert_eq!(&labels[label], value, "{name}: the selector misses its own pods");
        }
        assert!(names.insert(called), "{name}: {names:?}");
        if name == "drop-in" {
            continue;
        }
        for label in ["app.kubernetes.io/name", "app.kubernetes.io/instance"] {
            assert!(labels[label].is_string(), "{name}: {label}");
            assert_eq!(manifest["metadata"]["labels"][label], labels[label], "{name}");
        }
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false, "{name}");
        let containers = ["initContainers", "containers"].into_iter().flat_map(|key| pod["spec"][key].as_array());
        let gate = containers.flatten().find(|container| container["name"] == "reload-gate").expect("there is one");
        assert!(
            gate["resources"]["limits"]["memory"].is_string() && gate["resources"]["requests"].is_object(),
            "{name}"
        );
        assert_eq!(gate["livenessProbe"]["httpGet"]["path"], "/livez", "{name}");
        // What is published decides whether nginx may start; nothing else of the application's is decided by the gate.
        assert_eq!(
            (&gate["readinessProbe"], gate["startupProbe"].is_null()),
            (&Value::Null, !["publish", "rollout"].contains(&name.as_str()))
        );
        let application = &pod["spec"]["containers"][0];
        assert!(application["readinessProbe"].is_object(), "{name}");
        for container in [gate, application] {
            let resources = &container["resources"];
            let cpu = resources["requests"]["cpu"].as_str().and_then(|cpu| cpu.strip_suffix('m')?.parse::<u32>().ok());
            assert!(cpu.is_some_and(|cpu| cpu >= 100), "{name}: reloads are not verified in time on a busy node");
            assert!(resources["limits"]["cpu"].is_null(), "{name}: throttling delays the verification");
        }
    }
}

#[test]
fn the_pod_monitor_finds_every_gate_and_names_its_job() {
    let monitor = &schema::read(&base("monitoring").join("podmonitor.yaml"))["spec"];
    let (port, job) = (&monitor["podMetricsEndpoints"][0]["port"], monitor["jobLabel"].as_str().expect("it has one"));
    let mut jobs = std::collections::BTreeSet::new();
    for name in bases().iter().filter(|name| *name != "drop-in") {
        let template = &schema::read(&base(name).join("deployment.yaml"))["spec"]["template"];
        let containers =
            ["initContainers", "containers"].into_iter().filter_map(|key| template["spec"][key].as_array());
        let ports = containers.flatten().filter_map(|container| container["ports"].as_array()).flatten();
        let scraped: Vec<_> =
            ports.filter(|named| named["name"] == *port).map(|named| &named["containerPort"]).collect();
        assert_eq!(scraped, [9464], "{name}");
        let instance = template["metadata"]["labels"][job].as_str().expect("it has the label of the job").to_owned();
        assert!(jobs.insert(instance), "{name}: another workload has the same job");
    }
}

#[test]
fn the_drop_in_differs_from_the_shell_sidecar_by_its_image_alone() {
    let spec = |file: &str| schema::read(&base("drop-in").join(file))["spec"]["template"]["spec"].clone();
    let (mut before, after) = (spec("before.yaml"), spec("deployment.yaml"));
    before["containers"][1]["image"] = after["containers"][1]["image"].clone();
    assert_eq!(before, after);
}

/// What `kubectl kustomize` prints of a base: its ConfigMap, and its deployment.
fn rendered(name: &str) -> String {
    let generator = &schema::read(&base(name).join("kustomization.yaml"))["configMapGenerator"][0];
    let file = words(&generator["files"]).next().expect("there is one");
    let text = std::fs::read_to_string(base(name).join(file)).expect("it is there");
    let map = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": generator["name"] }, "data": { file: text },
    });
    let deployment = std::fs::read_to_string(base(name).join("deployment.yaml")).expect("it is there");
    format!("{map}\n---\n{deployment}")
}

#[test]
fn in_ci_each_is_judged_by_the_settings_of_its_sidecar() {
    for (name, container, deployment) in [
        ("drop-in", "reload", "nginx"),
        ("publish", "reload-gate", "nginx-published"),
        ("rollout", "reload-gate", "nginx-rollout"),
        ("restricted", "reload-gate", "nginx-restricted"),
    ] {
        let directory = tempfile::tempdir().expect("there is room");
        let file = directory.path().join("rendered.yaml");
        std::fs::write(&file, rendered(name)).expect("there is room");
        let output = gate_command().arg("check").arg(&file).output().expect("it starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(
            said.contains(&format!("the settings of container `{container}` of Deployment {deployment}")),
            "{said}"
        );
    }
}

/// Runs a base in containers: a good change is served, a bad one is rejected and not served, and the doctor names the validator.
#[track_caller]
fn flows(name: &str, tier: &str, words: (&str, &str, &str)) {
    flows_at(&base(name), tier, words);
}

/// The same of a directory with a deployment and a kustomization.
#[track_caller]
pub(crate) fn flows_at(base: &Path, tier: &str, (before, after, broken): (&str, &str, &str)) {
    let mut pod = Pod::start(base);
    eventually("it serves what it is deployed with", || pod.serves(before));
    let mut gate = pod.gate();
    gate.wait_for("verified");
    let doctor = pod.doctor();
    assert_eq!(doctor["tier"], tier, "{doctor:#}");
    let failed = doctor["checks"].as_array().into_iter().flatten().filter(|check| check["status"] == "fail");
    assert_eq!(failed.count(), 0, "{doctor:#}");
    pod.replace(before, after);
    gate.wait_for("verified");
    eventually("the change is served", || pod.serves(after));
    pod.replace(after, broken);
    let rejected = gate.wait_for("rejected");
    assert!(rejected["findings"][0]["message"].is_string(), "{rejected}");
    assert!(pod.serves(after));
    pod.replace(broken, after);
    gate.wait_for("recovered");
    assert!(pod.serves(after));
}

#[test]
fn the_drop_in_protects_nginx() {
    needs_containers!();
    needs!("nginx", "python3", "nsenter");
    flows("drop-in", "target-root", ("'one'", "'two'", "'two' lisen"));
}

#[test]
fn the_native_sidecar_publishes_to_nginx() {
    needs_containers!();
    needs!("nginx", "python3", "nsenter");
    flows("publish", "target-root", ("'one'", "'two'", "'two' lisen"));
}

#[test]
fn nginx_is_judged_in_its_own_image_under_the_restricted_standard() {
    needs_containers!();
    needs!("nginx", "python3", "nsenter");
    flows("restricted", "local", ("'one'", "'two'", "'two' lisen"));
}

#[test]
fn haproxy_is_judged_in_its_own_image_under_the_restricted_standard() {
    needs_containers!();
    needs!("haproxy", "python3", "nsenter");
    flows("haproxy", "local", ("string one", "string two", "strin two"));
}

#[test]
fn gunicorn_is_judged_in_its_own_image_under_the_restricted_standard() {
    needs_containers!();
    needs!("gunicorn", "python3", "nsenter");
    flows("gunicorn", "local", ("GREETING=one", "GREETING=two", "GREETING=two\" oops"));
}
