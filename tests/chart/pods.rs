//! The examples of the sidecar as pods of a real cluster, run by its kubelet.
//!
//! `PODS_KUBECONFIG` names the configuration of a cluster that may be used, and `PODS_IMAGES` the beginning of the names of images that its
//! nodes have: `…/reload-gate:1`, `…/reload-gate:1-root` and `…/nginx:1`, whose entry point is nginx in the foreground.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::succeeds;
use super::{Charts, examples, schema};
use crate::support::{command, report_skipped, skip, unique};

/// Time for pods to start, and for a change to reach them: a kubelet looks once a minute.
const DELIVERY: Duration = Duration::from_secs(240);

/// First version whose kubelet runs native sidecars without a feature gate.
const NATIVE: u32 = 29;

/// A namespace of a cluster that runs pods. Dropping it removes the namespace.
struct PodNamespace {
    kubeconfig: PathBuf,
    images: String,
    name: String,
}

impl PodNamespace {
    /// `None`, which is reported, without a cluster.
    fn new() -> Option<Self> {
        let variables = ["PODS_KUBECONFIG", "PODS_IMAGES"].map(std::env::var_os);
        let [Some(kubeconfig), Some(images)] = variables else {
            report_skipped("PODS_KUBECONFIG and PODS_IMAGES name no cluster that runs pods");
            return None;
        };
        let name = unique("reload-gate-test-").to_lowercase();
        let images = images.into_string().expect("it is UTF-8");
        let namespace = Self { kubeconfig: kubeconfig.into(), images, name };
        succeeds(&namespace.kubectl(&["create", "namespace", &namespace.name]));
        Some(namespace)
    }

    fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut kubectl = command("kubectl");
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig).args(["--namespace", &self.name]).args(arguments);
        kubectl.output().expect("it starts")
    }

    fn minor(&self) -> u32 {
        let version: Value =
            serde_json::from_str(&succeeds(&self.kubectl(&["get", "--raw", "/version"]))).expect("it is JSON");
        let digits = version["minor"].as_str().expect("it is text").trim_end_matches('+');
        digits.parse().expect("it is a number")
    }

    /// Waits for as long as a kubelet may need. Each try asks for a synchronisation of the pods, which is otherwise due once a minute.
    #[track_caller]
    fn eventually(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_so() {
            if started.elapsed() > DELIVERY {
                let state = self.kubectl(&["get", "pods,events", "-o", "wide"]);
                panic!("{what}: {}", String::from_utf8_lossy(&state.stdout));
            }
            let poke = format!("poke={:?}", started.elapsed());
            self.kubectl(&["annotate", "pods", "--all", "--overwrite", &poke]);
            std::thread::park_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for PodNamespace {
    fn drop(&mut self) {
        self.kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// A deployed example.
struct Example<'n> {
    namespace: &'n PodNamespace,
    release: &'static str,
    port: u64,
    /// Container of the gate, and its binary.
    gate: (String, String),
}

impl<'n> Example<'n> {
    /// Applies what Helm renders; `None` if this cluster cannot run it, which is reported.
    fn deploy(namespace: &'n PodNamespace, charts: &Charts, values: &str) -> Option<Self> {
        let release = if values.starts_with("rollout") { "nginx-rollout" } else { "web" };
        let (file, images) = (format!("reload-gate-example/ci/{values}"), &namespace.images);
        let nginx = format!("image={images}/nginx:1");
        let tag = if values.starts_with("drop-in") { "1-root" } else { "1" };
        let gate =
            format!("reload-gate-sidecar.image.repository={images}/reload-gate,reload-gate-sidecar.image.tag={tag}");
        let mut arguments = vec!["template", release, "reload-gate-example", "--namespace", &namespace.name];
        arguments.extend(["--values", &file, "--set", &nginx, "--set-string", &gate]);
        let inner = format!("reload-gate-sidecar.restricted.applicationImage={images}/nginx:1");
        if values.starts_with("restricted") {
            arguments.extend(["--set", &inner]);
        }
        let text = succeeds(&charts.helm(&arguments));
        if text.contains("restartPolicy: Always") && namespace.minor() < NATIVE {
            report_skipped(&format!("{values}: native sidecars need Kubernetes 1.{NATIVE}"));
            return None;
        }
        let objects = schema::stream(&text);
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("there is one");
        let pod = &deployment["spec"]["template"]["spec"];
        let containers = ["initContainers", "containers"].into_iter().filter_map(|key| pod[key].as_array()).flatten();
        let is_gate = |container: &&Value| ["reload-gate", "reload"].iter().any(|name| container["name"] == *name);
        let container = containers.into_iter().find(is_gate).expect("there is one");
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let binary = word(&container["command"][0]).unwrap_or_else(|| "/reload-gate".to_owned());
        let gate = (word(&container["name"]).expect("it has one"), binary);
        let port = if values.starts_with("restricted") { 8080 } else { 80 };
        let path = charts.directory.path().join("example.yaml");
        std::fs::write(&path, text).expect("there is room");
        let path = path.to_str().expect("it is UTF-8");
        succeeds(&namespace.kubectl(&["apply", "--server-side", "-f", path]));
        Some(Self { namespace, release, port, gate })
    }

    /// Names of the pods.
    fn pods(&self) -> Vec<String> {
        let selector = format!("app.kubernetes.io/instance={}", self.release);
        let output = self.namespace.kubectl(&[
            "get",
            "pods",
            "--selector",
            &selector,
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ]);
        String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
    }

    /// Returns true if every pod answers with this text.
    fn serves(&self, text: &str) -> bool {
        let answers = |pod: &String| {
            let path = format!("/api/v1/namespaces/{}/pods/{pod}:{}/proxy/", self.namespace.name, self.port);
            let output = self.namespace.kubectl(&["get", "--raw", &path]);
            output.status.success() && String::from_utf8_lossy(&output.stdout).trim() == text
        };
        let pods = self.pods();
        !pods.is_empty() && pods.iter().all(answers)
    }

    /// Events of open incidents of the gates.
    fn incidents(&self) -> Vec<String> {
        let (container, binary) = &self.gate;
        let of_pod = |pod: &String| {
            let words = ["exec", pod, "-c", container, "--", binary, "status", "--format", "json"];
            let status: Value = serde_json::from_slice(&self.namespace.kubectl(&words).stdout).unwrap_or_default();
            status["gates"][0]["standing"]["event"].as_str().map(str::to_owned)
        };
        self.pods().iter().filter_map(of_pod).collect()
    }

    #[track_caller]
    fn write(&self, text: &str) {
        let patch = json!({ "data": { "nginx.conf": text } }).to_string();
        succeeds(&self.namespace.kubectl(&["patch", "configmap", self.release, "--type=merge", "-p", &patch]));
    }

    fn delete(&self) {
        let all = ["delete", "deployment,configmap,role,rolebinding,lease", "--all", "--wait=true", "--timeout=120s"];
        self.namespace.kubectl(&all);
    }
}

#[test]
fn every_sidecar_runs_as_a_pod_and_lets_through_only_what_is_valid() {
    let Some(charts) = Charts::new() else { return skip("helm is not installed: `make test-chart`") };
    let Some(namespace) = PodNamespace::new() else { return };
    for (_, values) in examples().into_iter().filter(|(chart, _)| *chart == "reload-gate-example") {
        let Some(example) = Example::deploy(&namespace, &charts, &values) else { continue };
        namespace.eventually(&format!("{values}: it serves what it is deployed with"), || example.serves("one"));
        let object = namespace.kubectl(&["get", "configmap", example.release, "-o", "jsonpath={.data.nginx\\.conf}"]);
        let good = succeeds(&object).replace("'one'", "'two'");
        example.write(&good);
        namespace.eventually(&format!("{values}: a good change is served"), || example.serves("two"));
        example.write(&good.replace("listen ", "lisen ").replace("'two'", "'three'"));
        namespace.eventually(&format!("{values}: a bad change is an incident"), || {
            example.incidents().iter().any(|event| event == "rejected")
        });
        assert!(example.serves("two"), "{values}: {:?}", example.incidents());
        example.write(&good.replace("'two'", "'three'"));
        namespace.eventually(&format!("{values}: the next good change is served"), || example.serves("three"));
        namespace.eventually(&format!("{values}: the incident is over"), || example.incidents().is_empty());
        example.delete();
    }
}
