//! A pod template, run by podman as a kubelet would run it: containers in order, security contexts, variables, volumes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::schema;
use super::words;
use crate::support::{
    Container, DEFAULT_CAPABILITIES, Gate, Kubelet, NOBODY_IMAGE, ROOT_IMAGE, Volume, application_image, command,
    eventually, mount, podman, podman_says, programs, unique,
};

/// An application for gunicorn: it answers with what its configuration put into its environment.
const APPLICATION: &str = "import os\ndef app(environ, start_response):\n    start_response('200 OK', [])\n    \
                           return [('GREETING=' + os.environ['GREETING']).encode()]\n";

/// A running pod.
pub(super) struct Pod {
    name: String,
    directory: tempfile::TempDir,
    /// The ConfigMap's volume, the name of its file and what is in it.
    config: (Volume, String, String),
    containers: BTreeMap<String, Container>,
    spec: Value,
}

impl Pod {
    /// Runs the deployment of the base in `directory`.
    pub(super) fn start(base: &Path) -> Self {
        let spec = schema::read(&base.join("deployment.yaml"))["spec"]["template"]["spec"].clone();
        let file = words(&schema::read(&base.join("kustomization.yaml"))["configMapGenerator"][0]["files"])
            .next()
            .map(str::to_owned);
        let file = file.expect("there is one");
        let text = fs::read_to_string(base.join(&file)).expect("it is there");
        let directory = tempfile::tempdir().expect("there is room");
        let volume = Volume::new(directory.path().join("config"), Kubelet::New, &[(&file, &text)]);
        fs::write(directory.path().join("application.py"), APPLICATION).expect("there is room");
        let name = unique("reload-gate-test-");
        let share = if spec["shareProcessNamespace"] == true { "--share=net,pid" } else { "--share=net" };
        podman_says(&["pod", "create", share, "--network=none", "--name", &name]);
        let mut pod = Self { name, directory, config: (volume, file, text), containers: BTreeMap::new(), spec };
        for container in pod.list("initContainers").into_iter().chain(pod.list("containers")) {
            pod.run(&container);
        }
        pod
    }

    fn list(&self, key: &str) -> Vec<Value> {
        self.spec[key].as_array().cloned().unwrap_or_default()
    }

    /// Runs a container: to its end if it is an init container, until its startup probe succeeds if it is a native sidecar.
    fn run(&mut self, container: &Value) {
        let name = container["name"].as_str().expect("it has one");
        let runs_on = container["restartPolicy"] == "Always" || self.list("containers").contains(container);
        let running = Container::run(&self.arguments(container));
        if !runs_on {
            let code = podman_says(&["wait", &running.id]);
            assert_eq!(code, "0", "{name}: {}", running.log());
        }
        let probe = &container["startupProbe"]["httpGet"];
        if let (Some(path), Some(port)) = (probe["path"].as_str(), probe["port"].as_u64()) {
            eventually(&format!("{name} is ready"), || self.get(port, path).is_some());
        }
        self.containers.insert(name.to_owned(), running);
    }

    /// The words of `podman run`.
    fn arguments(&self, container: &Value) -> Vec<String> {
        let mut arguments = vec![format!("--pod={}", self.name)];
        arguments.extend(security(&self.spec["securityContext"], &container["securityContext"]));
        for variable in container["env"].as_array().into_iter().flatten() {
            let text = |key: &str| variable[key].as_str().expect("it is text").to_owned();
            arguments.push(format!("--env={}={}", text("name"), text("value")));
        }
        for wanted in container["volumeMounts"].as_array().into_iter().flatten() {
            let path = wanted["mountPath"].as_str().expect("it is text");
            arguments.push(mount(self.volume(&wanted["name"]), path, wanted["readOnly"] == true));
        }
        let (image, extra, default) = self.image(container["image"].as_str().expect("it has one"));
        arguments.extend(extra);
        let mut command: Vec<&str> = words(&container["args"]).collect();
        if let Some(program) = words(&container["command"]).next() {
            arguments.push(format!("--entrypoint={program}"));
        } else if command.is_empty() {
            command.extend(default);
        }
        arguments.push(image.to_owned());
        arguments.extend(command.into_iter().map(str::to_owned));
        arguments
    }

    /// The local image in place of another one, with its packages; and its default command.
    fn image(&self, name: &str) -> (&'static str, Vec<String>, &'static [&'static str]) {
        let program = match name.rsplit('/').next().and_then(|name| name.split(':').next()) {
            Some("reload-gate") if name.ends_with("-root") => return (ROOT_IMAGE, vec![], &[]),
            Some("reload-gate") => return (NOBODY_IMAGE, vec![], &[]),
            Some("nginx" | "nginx-unprivileged") => ["nginx", "-g", "daemon off;"].as_slice(),
            _ => &[],
        };
        let application = self.directory.path().join("application.py");
        let mut extra = [programs(), vec![mount(application, "/srv/application.py", true)]].concat();
        if name.starts_with("nginx:") {
            // What it writes there is in the writable layer of the real image.
            extra.push("--tmpfs=/run:mode=1777".to_owned());
        }
        (application_image(), extra, program)
    }

    /// Where a volume of the pod is on this machine.
    fn volume(&self, name: &Value) -> PathBuf {
        let volumes = self.list("volumes");
        let volume = volumes.iter().find(|volume| volume["name"] == *name).expect("it is declared");
        if volume["configMap"].is_object() {
            return self.config.0.path().into();
        }
        assert!(volume["emptyDir"].is_object(), "{volume}");
        let path = self.directory.path().join(name.as_str().expect("it is text"));
        if fs::create_dir(&path).is_ok() {
            // As a kubelet makes it.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("it is ours");
        }
        path
    }

    /// Changes the ConfigMap.
    pub(super) fn replace(&mut self, from: &str, to: &str) {
        let (volume, file, text) = &mut self.config;
        assert!(text.contains(from), "{text}");
        *text = text.replace(from, to);
        volume.write(&[(file, text)]);
    }

    /// Whether the application answers with this, the words around it in its configuration left out.
    pub(super) fn serves(&self, configured: &str) -> bool {
        let expected = configured.trim_start_matches("string ").trim_matches('\'');
        let port = if self.spec["securityContext"]["runAsUser"].is_null() { 80 } else { 8080 };
        self.get(port, "/").is_some_and(|answer| answer.trim() == expected)
    }

    /// What is answered with success inside of the pod's network.
    fn get(&self, port: u64, path: &str) -> Option<String> {
        let infrastructure = podman_says(&["pod", "inspect", "--format={{.InfraContainerID}}", &self.name]);
        let pid = podman_says(&["inspect", "--format={{.State.Pid}}", &infrastructure]);
        let ask = format!(
            "import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}{path}', timeout=5).read().decode())"
        );
        let output =
            command("nsenter").args(["--target", &pid, "--net", "python3", "-c", &ask]).output().expect("it starts");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The container of the gate, and how its binary is called there.
    fn gate_container(&self) -> (&Container, String) {
        let name = ["reload-gate", "reload"].into_iter().find(|name| self.containers.contains_key(*name));
        let name = name.expect("there is one");
        let all = self.list("initContainers").into_iter().chain(self.list("containers"));
        let gate = all.into_iter().find(|container| container["name"] == name).expect("it is there");
        (&self.containers[name], gate["command"][0].as_str().unwrap_or("/reload-gate").to_owned())
    }

    /// What the gate says, from its beginning.
    pub(super) fn gate(&self) -> Gate {
        let mut logs = podman();
        logs.args(["logs", "--follow", &self.gate_container().0.id]);
        Gate::start(logs)
    }

    /// What the doctor says, as by `kubectl exec`.
    pub(super) fn doctor(&self) -> Value {
        let (container, binary) = self.gate_container();
        let output =
            podman().args(["exec", &container.id, &binary, "doctor", "--format", "json"]).output().expect("it starts");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.containers.clear();
        podman_says(&["pod", "rm", "--force", "--time=0", &self.name]);
    }
}

/// A security context in the words of podman; what the container says goes before what the pod says.
fn security(pod: &Value, own: &Value) -> Vec<String> {
    let said = |key: &str| Some(&own[key]).filter(|value| !value.is_null()).unwrap_or(&pod[key]).clone();
    let mut arguments = Vec::new();
    let user = said("runAsUser").as_u64();
    if let Some(user) = user {
        arguments.push(format!("--user={user}:{}", said("runAsGroup").as_u64().unwrap_or(0)));
    }
    arguments.push("--cap-drop=all".to_owned());
    let dropped = words(&own["capabilities"]["drop"]).any(|capability| capability == "ALL");
    let default = DEFAULT_CAPABILITIES.split(',').filter(|_| !dropped);
    let capabilities = default.chain(words(&own["capabilities"]["add"])).filter(|_| user.is_none_or(|user| user == 0));
    arguments.extend(capabilities.map(|capability| format!("--cap-add={capability}")));
    if said("allowPrivilegeEscalation") == false {
        arguments.push("--security-opt=no-new-privileges".into());
    }
    if said("readOnlyRootFilesystem") == true {
        arguments.extend(["--read-only", "--read-only-tmpfs=false"].map(str::to_owned));
    }
    if said("seccompProfile")["type"] != "RuntimeDefault" {
        arguments.push("--security-opt=seccomp=unconfined".into());
    }
    arguments
}
