//! Gates of several pods against a real API server: the roll-out, the known-good revision, the nudge, and the loss of the server.

mod deaths;
mod outages;
mod reverts;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::support::{ApiServer, Gate, Kubelet, Volume, eventually, gate_command};

const GROUP: &str = "web";
/// The time that a roll-out may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A pod: a volume that the test swaps as a kubelet does, an application, and its gate.
struct Pod {
    name: String,
    directory: PathBuf,
    volume: Volume,
    gate: Option<Gate>,
    /// The events of earlier gates of this pod.
    before: Vec<Value>,
    /// The time by which the volume showed each content.
    shown: Vec<(f64, String)>,
}

/// The pods of a group, and the API server of their cluster.
struct Cluster {
    server: ApiServer,
    pods: Vec<Pod>,
    directory: tempfile::TempDir,
    more: Vec<String>,
    /// The user as which the gates ask the server.
    user: &'static str,
    /// The directory of the service account with which they ask, in place of a user.
    account: Option<PathBuf>,
}

/// The application: it takes what lies there, except what is called untaken. A named pipe holds it up before it reads.
const RELOAD: &str = "test ! -p \"$2/held\" || cat \"$2/held\"; cp \"$1/app.conf\" \"$2/live.new\" && mv \"$2/live.new\" \"$2/live\" && echo \"$(date +%s.%N) $(cat \"$2/live\")\" >> \"$2/reloads\"";
/// It takes nothing that is called untaken, and the third pod takes nothing that is called fragile. It writes down what it took.
const VERIFY: &str = "! grep -q untaken \"$1/live\" || exit 1
if grep -q fragile \"$1/live\"; then test $(grep -l fragile \"$1\"/../*/live | wc -l) -lt 3 || exit 1; fi
echo \"$(date +%s.%N) $(cat \"$1/live\")\" >> \"$1/proofs\"";

/// The number of pods: that of `ROLLOUT_PODS`, or else `usual`.
fn pod_count(usual: usize) -> usize {
    std::env::var("ROLLOUT_PODS").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

fn name(pod: usize) -> String {
    format!("web-{pod:02}")
}

impl Cluster {
    /// Starts a server without pods. Every gate gets the flags `more`.
    fn start(more: &[&str]) -> Option<Self> {
        let server = ApiServer::start()?;
        let directory = tempfile::tempdir().expect("there is room");
        let more = more.iter().map(|flag| (*flag).to_owned()).collect();
        Some(Self { server, pods: Vec::new(), directory, more, user: "admin", account: None })
    }

    /// Adds a pod with `content` in its volume.
    fn add(&mut self, content: &str) {
        let name = name(self.pods.len());
        let directory = self.directory.path().join(&name);
        fs::create_dir_all(directory.join("published")).expect("there is room");
        fs::write(directory.join("reload.sh"), RELOAD).expect("there is room");
        fs::write(directory.join("verify.sh"), VERIFY).expect("there is room");
        let volume = Volume::new(directory.join("volume"), Kubelet::New, &[("app.conf", content)]);
        self.pods.push(Pod { name, directory, volume, gate: None, before: Vec::new(), shown: Vec::new() });
        self.run(self.pods.len() - 1);
    }

    /// Starts the gate of a pod.
    fn run(&mut self, index: usize) {
        let command = self.command(index);
        self.pods[index].gate = Some(Gate::start(command));
    }

    fn command(&self, index: usize) -> Command {
        let pod = &self.pods[index];
        let path = |name: &str| pod.directory.join(name).display().to_string();
        let read = if self.publishes() { path("published") } else { path("volume") };
        let mut gate = gate_command();
        gate.args(["run", "--name", "web", "--watch", &path("volume"), "--validate", "grep -q valid {config}"]);
        gate.args(["--reload-command", &format!("sh {} {read} {}", path("reload.sh"), pod.directory.display())]);
        gate.args(["--verify-command", &format!("sh {} {}", path("verify.sh"), pod.directory.display())]);
        // Nothing here may depend on the next look.
        gate.args(["--verify-timeout", "1s", "--poll", "1h"]);
        if self.publishes() {
            gate.args(["--publish", &path("published")]);
        }
        gate.args(self.more.iter().filter(|flag| *flag != "--publish"));
        gate.env("POD_NAME", &pod.name).env("POD_NAMESPACE", "default");
        match &self.account {
            None => gate.env("KUBECONFIG", self.server.kubeconfig_of(self.user)),
            Some(account) => gate
                .arg("--kubernetes-service-account")
                .arg(account)
                .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
                .env("KUBERNETES_SERVICE_PORT", self.server.port().to_string())
                // An image may have no authorities of its own.
                .env("SSL_CERT_FILE", "/nowhere"),
        };
        gate
    }

    fn publishes(&self) -> bool {
        self.more.iter().any(|flag| flag == "--publish")
    }

    /// Lets every volume show `content`.
    fn write(&mut self, content: &str) {
        self.pods.iter_mut().for_each(|pod| pod.write(content));
    }

    /// Kills the gate of a pod, and starts another one.
    fn restart(&mut self, index: usize) {
        self.kill(index);
        self.run(index);
    }

    /// Kills the gate of a pod.
    fn kill(&mut self, index: usize) {
        let pod = &mut self.pods[index];
        pod.before.extend(pod.gate.take().into_iter().flat_map(Gate::kill));
    }

    /// Waits until the pods satisfy `is_so`, and takes in their events meanwhile.
    #[track_caller]
    fn wait(&mut self, what: &str, is_so: impl Fn(&[Pod]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for pod in &mut self.pods {
                if let Some(gate) = &mut pod.gate {
                    gate.listen(Duration::from_millis(5));
                }
            }
            if is_so(&self.pods) {
                return;
            }
            assert!(Instant::now() < deadline, "it never came true: {what}\n{}\n{}", self.lease(), self.story());
        }
    }

    /// Lets time pass, and takes in the events meanwhile.
    fn listen(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for gate in self.pods.iter_mut().filter_map(|pod| pod.gate.as_mut()) {
                gate.listen(Duration::from_millis(5));
            }
        }
    }

    /// Waits until the group refuses the newest revision, and every pod reports it.
    #[track_caller]
    fn wait_for_refusal(&mut self) {
        self.wait("the group refuses it", |pods| {
            pods.iter().all(|pod| {
                let digest = |name| pod.last(name).map(|event| event["digest"].clone());
                digest("rollout_refused").is_some() && digest("rollout_refused") == digest("accepted")
            })
        });
    }

    /// Waits until every application runs `content`, except in pods without a gate.
    #[track_caller]
    fn wait_for_all(&mut self, content: &str) {
        self.wait(&format!("all run {content:?}"), |pods| {
            pods.iter().filter(|pod| pod.gate.is_some()).all(|pod| pod.live() == content && pod.is_proven())
        });
    }

    fn lease(&self) -> String {
        let lease = self.server.kubectl(&["get", "lease", GROUP, "-o", "jsonpath={.metadata.annotations}"]);
        String::from_utf8_lossy(&lease.stdout).into_owned()
    }

    fn story(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for pod in &self.pods {
            for event in pod.events() {
                let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                let digest: String = text("digest").chars().take(8).collect();
                let line = format!("{} {} {} {digest} {}", text("timestamp"), pod.name, text("event"), text("message"));
                lines.push(line);
            }
        }
        lines.sort();
        lines.join("\n")
    }

    fn rollout(&self, arguments: &[&str]) -> (String, Option<i32>) {
        self.rollout_in("default", arguments)
    }

    fn rollout_in(&self, namespace: &str, arguments: &[&str]) -> (String, Option<i32>) {
        let mut command = gate_command();
        command.arg("rollout").args(arguments).args(["--namespace", namespace, "--kubeconfig"]);
        let output = command.arg(self.server.kubeconfig()).output().expect("it starts");
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        (text, output.status.code())
    }
}

impl Pod {
    /// Lets the volume show `content`.
    fn write(&mut self, content: &str) {
        self.volume.write(&[("app.conf", content)]);
        self.shown.push((seconds(SystemTime::now()), content.to_owned()));
    }

    fn live(&self) -> String {
        fs::read_to_string(self.directory.join("live")).unwrap_or_default()
    }

    /// The time and the content of each reload so far, as the application saw it.
    fn reloads(&self) -> Vec<(f64, String)> {
        self.lines("reloads")
    }

    /// The time and the content of each verification that succeeded.
    fn proofs(&self) -> Vec<(f64, String)> {
        self.lines("proofs")
    }

    fn lines(&self, name: &str) -> Vec<(f64, String)> {
        let text = fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        let line = |line: &str| {
            let (time, content) = line.split_once(' ')?;
            Some((time.parse().ok()?, content.to_owned()))
        };
        text.lines().filter_map(line).collect()
    }

    fn events(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.before.iter().chain(self.gate.iter().flat_map(|gate| &gate.events))
    }

    /// The decisions of the gates that begin one of `effects`, with the time and the revision (`--log-level`).
    fn decisions(&self, effects: &'static [&str]) -> impl DoubleEndedIterator<Item = (f64, &str)> {
        self.events().filter_map(move |event| {
            let (_, next) = event["message"].as_str().filter(|_| event["event"].is_null())?.split_once(": ")?;
            let begins = next.split(", ").any(|effect| effects.contains(&effect));
            begins.then_some((seconds(time(event)), event["desired"].as_str()?))
        })
    }

    /// The last accepted revision is verified.
    fn is_proven(&self) -> bool {
        let digest = |name| self.last(name).map(|event| event["digest"].clone());
        digest("verified").is_some() && digest("verified") == digest("accepted")
    }

    fn last(&self, name: &str) -> Option<&Value> {
        self.events().rev().find(|event| event["event"] == name)
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn time(event: &Value) -> SystemTime {
    humantime::parse_rfc3339(event["timestamp"].as_str().expect("it has a time")).expect("it is one")
}

/// The times of the reload and the proof of the newest revision in each pod, by the time of the reload.
fn timeline(pods: &[Pod]) -> Vec<(SystemTime, SystemTime, String)> {
    let mut timeline: Vec<_> = pods
        .iter()
        .map(|pod| {
            let verified = pod.last("verified").expect("it is verified");
            let reloaded = pod.last("reloaded").expect("it was reloaded");
            assert_eq!(reloaded["digest"], verified["digest"], "{}", pod.name);
            (time(reloaded), time(verified), pod.name.clone())
        })
        .collect();
    timeline.sort();
    timeline
}

#[test]
fn one_pod_goes_first_and_a_few_at_a_time_follow() {
    let soak = Duration::from_secs(3);
    let flags = ["--rollout", GROUP, "--rollout-soak", "3s", "--rollout-parallel", "2"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    let count = pod_count(5);
    (0..count).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    cluster.write("valid 2");
    cluster.wait_for_all("valid 2");
    let timeline = timeline(&cluster.pods);
    let (begin, first_verified, _) = &timeline[0];
    for (reloaded, verified, pod) in &timeline {
        let since = |at: &SystemTime| at.duration_since(*begin).unwrap_or_default().as_secs_f64();
        eprintln!("{pod}: reloaded {:6.2} s, verified {:6.2} s", since(reloaded), since(verified));
    }
    for (reloaded, _, pod) in &timeline[1..] {
        let waited = reloaded.duration_since(*first_verified).unwrap_or_default();
        assert!(waited >= soak, "{pod} went after {waited:?}\n{}", cluster.story());
        let is_unproven =
            |(began, proven, other): &&(_, _, String)| began <= reloaded && proven > reloaded && other != pod;
        let others = timeline.iter().filter(is_unproven).count();
        assert!(others < 2, "{others} others were unproven when {pod} began\n{}", cluster.story());
    }
    let waiting = cluster.pods.iter().filter(|pod| pod.last("rollout_waiting").is_some()).count();
    assert!(waiting >= count - 1, "{}", cluster.story());
    eventually("the roll-out is complete", || cluster.rollout(&["status", GROUP]).1 == Some(0));
}

#[test]
fn a_revision_that_fails_at_its_reload_meets_one_pod() {
    let flags = ["--rollout", GROUP, "--rollout-soak", "500ms", "--rollout-parallel", "50%"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    (0..pod_count(4)).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    cluster.write("valid untaken");
    cluster.wait("every pod reports the refusal", |pods| pods.iter().all(|pod| pod.last("rollout_refused").is_some()));
    let met: Vec<_> = cluster.pods.iter().filter(|pod| pod.live() == "valid untaken").map(|pod| &pod.name).collect();
    assert_eq!(met.len(), 1, "{}", cluster.story());
    let messages: BTreeSet<_> =
        cluster.pods.iter().map(|pod| pod.last("rollout_refused").expect("it was")["message"].to_string()).collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    let errors =
        cluster.pods.iter().filter(|pod| pod.last("rollout_refused").is_some_and(|event| event["level"] == "error"));
    assert_eq!(errors.count(), 1, "{}", cluster.story());
    let (text, code) = cluster.rollout(&["status", GROUP]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("refused by"), "{text}");
    // A retry meets one pod again, and no other.
    let before: usize = cluster.pods.iter().map(|pod| pod.reloads().len()).sum();
    assert_eq!(cluster.rollout(&["retry", GROUP]).1, Some(0));
    cluster.wait("a pod tries it again", |pods| pods.iter().map(|pod| pod.reloads().len()).sum::<usize>() > before);
    eventually("it is refused again", || cluster.rollout(&["status", GROUP]).1 == Some(1));
    assert!(cluster.pods.iter().filter(|pod| pod.live() == "valid untaken").count() <= 2, "{}", cluster.story());
    cluster.write("valid 2");
    cluster.wait_for_all("valid 2");
    cluster.wait("the report is over", |pods| pods.iter().all(|pod| pod.last("recovered").is_some()));
}

#[test]
fn a_paused_group_waits_and_goes_on() {
    let flags = ["--rollout", GROUP, "--rollout-soak", "0s"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    (0..2).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    assert_eq!(cluster.rollout(&["pause", GROUP]).1, Some(0));
    cluster.write("valid 2");
    cluster.wait("they wait", |pods| pods.iter().all(|pod| pod.last("rollout_waiting").is_some()));
    assert!(cluster.pods.iter().all(|pod| pod.live() == "valid 1"), "{}", cluster.story());
    assert_eq!(cluster.rollout(&["resume", GROUP]).1, Some(0));
    cluster.wait_for_all("valid 2");

    let (text, code) = cluster.rollout_in("missing", &["pause", GROUP]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("namespaces \"missing\" not found"), "{text}");
    let (text, code) = cluster.rollout(&["pause", "Bad_Name"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("`Bad_Name` is no name of an object"), "{text}");
}

#[test]
fn a_new_pod_publishes_the_known_good_while_the_newest_is_rejected() {
    let flags = ["--publish", "--known-good", "configmap/web-good", "--cluster-source", "configmap/web"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    cluster.add("valid 1");
    cluster.wait_for_all("valid 1");
    let stored = |cluster: &Cluster| cluster.server.kubectl(&["get", "configmap", "web-good", "-o", "json"]);
    eventually("it is stored", || stored(&cluster).status.success());
    // A new pod has an empty volume, and sees what is wrong alone.
    cluster.add("wrong");
    cluster.wait("it runs the known-good", |pods| pods[1].live() == "valid 1" && pods[1].last("verified").is_some());
    let degraded = cluster.pods[1].last("degraded").expect("it is reported").clone();
    assert!(
        degraded["message"].as_str().is_some_and(|message| message.starts_with("running the known-good of 2")),
        "{degraded}"
    );
    cluster.write("valid 2");
    cluster.wait_for_all("valid 2");
    assert!(cluster.pods[1].last("recovered").is_some(), "{}", cluster.story());
    // What was damaged in the cluster is not published.
    let damage = r#"{"metadata":{"annotations":{"reload-gate.dev/digest":"0000000000000000000000000000000000000000000000000000000000000000"}}}"#;
    eventually("the newest is stored", || {
        let digest =
            cluster.pods[0].last("verified").expect("it was")["digest"].as_str().unwrap_or_default().to_owned();
        String::from_utf8_lossy(&stored(&cluster).stdout).contains(&digest)
    });
    let patched = cluster.server.kubectl(&["patch", "configmap", "web-good", "--type=merge", "-p", damage]);
    assert!(patched.status.success(), "{patched:?}");
    cluster.add("wrong");
    cluster.wait("the damage is reported", |pods| pods[2].last("degraded").is_some());
    let degraded = cluster.pods[2].last("degraded").expect("it is reported");
    assert!(degraded["message"].as_str().is_some_and(|message| message.contains("damaged")), "{degraded}");
    assert_eq!(cluster.pods[2].live(), "", "{}", cluster.story());
}

#[test]
fn a_new_pod_in_a_soak_runs_the_known_good_and_waits_for_its_turn() {
    let flags = ["--publish", "--known-good", "configmap/web-good", "--cluster-source", "configmap/web"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    cluster.add("valid 1");
    cluster.wait_for_all("valid 1");
    let stored = |cluster: &Cluster| cluster.server.kubectl(&["get", "configmap", "web-good"]).status.success();
    eventually("it is stored", || stored(&cluster));
    cluster.more.extend(["--rollout", GROUP, "--rollout-soak", "1h"].map(str::to_owned));
    cluster.restart(0);
    cluster.write("valid 2");
    cluster.wait("it soaks", |pods| pods[0].live() == "valid 2");
    cluster.add("valid 2");
    cluster.wait("it runs the known-good", |pods| pods[1].live() == "valid 1" && pods[1].last("verified").is_some());
    let degraded = cluster.pods[1].last("degraded").expect("it is reported");
    assert_eq!(degraded["level"], "info", "{degraded}");
    let waiting = cluster.pods[1].last("rollout_waiting").expect("it is reported");
    assert!(waiting["message"].as_str().is_some_and(|message| message.contains("stay healthy")), "{waiting}");
}

#[test]
fn pods_that_took_a_refused_revision_publish_the_known_good_again() {
    let flags = ["--publish", "--known-good", "configmap/web-good", "--cluster-source", "configmap/web"];
    let rollout = ["--rollout", GROUP, "--rollout-soak", "0s", "--rollout-parallel", "1"];
    let Some(mut cluster) = Cluster::start(&[&flags[..], &rollout[..]].concat()) else { return };
    (0..4).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    let known_good = ["get", "configmap", "web-good"];
    eventually("it is stored", || cluster.server.kubectl(&known_good).status.success());
    // Two pods take it, and the third does not.
    cluster.write("valid fragile");
    cluster.wait_for_refusal();
    cluster.wait("all run the known-good", |pods| pods.iter().all(|pod| pod.live() == "valid 1"));
    let met = |pod: &&Pod| pod.reloads().iter().any(|(_, content)| content == "valid fragile");
    assert_eq!(cluster.pods.iter().filter(met).count(), 3, "{}", cluster.story());
    let took = |pod: &&Pod| pod.proofs().iter().any(|(_, content)| content == "valid fragile");
    let took: Vec<_> = cluster.pods.iter().filter(took).map(|pod| pod.name.clone()).collect();
    assert_eq!(took.len(), 2, "{}", cluster.story());
    cluster.wait("those that took it report the known-good", |pods| {
        pods.iter().filter(|pod| took.contains(&pod.name)).all(|pod| pod.last("degraded").is_some())
    });
    cluster.write("valid 2");
    cluster.wait_for_all("valid 2");
    cluster.wait("the report is over", |pods| pods.iter().all(|pod| pod.last("recovered").is_some()));
}

/// The annotation of the pod by which the kubelet is nudged.
fn nudge(server: &ApiServer) -> String {
    let path = r"jsonpath={.metadata.annotations.reload-gate\.dev/nudge}";
    String::from_utf8_lossy(&server.kubectl(&["get", "pod", "web-00", "-o", path]).stdout).into_owned()
}

fn apply(server: &ApiServer, manifest: &str) {
    let applied = server.kubectl_with(&["apply", "-f", "-"], manifest);
    assert!(applied.status.success(), "{applied:?}");
}

#[test]
fn a_change_of_the_object_nudges_the_kubelet() {
    let flags = ["--nudge", "--cluster-source", "configmap/web"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    apply(&cluster.server, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {app.conf: valid 1}");
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}";
    apply(&cluster.server, account);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-00}\nspec: {automountServiceAccountToken: false, containers: [{name: a, image: a}]}";
    apply(&cluster.server, pod);
    cluster.add("valid 1");
    cluster.wait_for_all("valid 1");
    assert_eq!(nudge(&cluster.server), "", "nothing has changed yet");
    let mut seen = String::new();
    for round in 0..3 {
        // The watch begins some time after the gate; until then a change is its first state.
        let began = Instant::now();
        eventually("the pod is nudged", || {
            let change = format!(r#"{{"data":{{"app.conf":"valid {round} {:?}"}}}}"#, began.elapsed());
            if seen.is_empty() {
                cluster.server.kubectl(&["patch", "configmap", "web", "--type=merge", "-p", &change]);
            }
            nudge(&cluster.server) != seen
        });
        seen = nudge(&cluster.server);
        let change = format!(r#"{{"data":{{"app.conf":"next {round}"}}}}"#);
        let patched = Instant::now();
        cluster.server.kubectl(&["patch", "configmap", "web", "--type=merge", "-p", &change]);
        eventually("the pod is nudged at once", || nudge(&cluster.server) != seen);
        eprintln!("nudged after {:?}, with two starts of kubectl", patched.elapsed());
        seen = nudge(&cluster.server);
        seen.clear();
    }
}

#[test]
fn an_account_without_rights_is_told_which_it_lacks() {
    let flags = ["--rollout", GROUP, "--nudge", "--cluster-source", "configmap/web"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    cluster.add("valid 1");
    cluster.wait_for_all("valid 1");
    let doctor = cluster.command(0);
    let examine = |kubeconfig: &Path, doctor: &mut Command| {
        let output = doctor.env("KUBECONFIG", kubeconfig).output().expect("it starts");
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        report["checks"].as_array().expect("it is a list").clone()
    };
    let flags: Vec<_> = doctor.get_args().skip(1).map(ToOwned::to_owned).collect();
    let mut doctor = gate_command();
    let unknown = ["--verify-timeout", "--name", "--poll"];
    let mut skip = false;
    let kept = flags.into_iter().filter(|flag| {
        let drop = skip || unknown.iter().any(|name| *name == *flag);
        skip = !skip && drop;
        !drop
    });
    doctor.args(["doctor", "--format", "json"]).args(kept).env("POD_NAME", "web-00").env("POD_NAMESPACE", "default");
    let of =
        |checks: &[Value], name: &str| checks.iter().find(|check| check["check"] == name).cloned().unwrap_or_default();
    let checks = examine(&cluster.server.kubeconfig(), &mut doctor);
    assert_eq!(of(&checks, "rollout")["status"], "ok", "{checks:?}");
    assert_eq!(of(&checks, "nudge")["status"], "ok", "{checks:?}");
    let checks = examine(&cluster.server.kubeconfig_of("plain"), &mut doctor);
    for (check, rule) in [
        ("rollout", "resources: [leases], resourceNames: [web], verbs: [get, list, watch, update]"),
        ("nudge", "resources: [configmaps], resourceNames: [web], verbs: [list, watch]"),
    ] {
        let made = of(&checks, check);
        assert_eq!(made["status"], "fail", "{made}");
        assert!(made["help"].as_str().is_some_and(|help| help.contains(rule)), "{made}");
    }
}

#[test]
fn the_role_of_the_manifest_is_enough_and_not_more() {
    let flags = ["--publish", "--rollout", "nginx-rollout", "--rollout-soak", "0s", "--nudge"];
    let objects = ["--cluster-source", "configmap/nginx-rollout", "--known-good", "configmap/nginx-rollout-known-good"];
    let Some(mut cluster) = Cluster::start(&[&flags[..], &objects[..]].concat()) else { return };
    let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rollout");
    let shipped = |name: &str| fs::read_to_string(deployed.join(name)).expect("it is there");
    apply(&cluster.server, &shipped("role.yaml"));
    let user = "{ kind: User, name: plain, apiGroup: rbac.authorization.k8s.io }";
    let account = "{ kind: ServiceAccount, name: nginx-rollout, namespace: default }";
    apply(&cluster.server, &shipped("role-binding.yaml").replace(account, user));
    apply(
        &cluster.server,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nginx-rollout}\ndata: {app.conf: valid 1}",
    );
    cluster.user = "plain";
    (0..2).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    let known_good = ["get", "configmap", "nginx-rollout-known-good"];
    eventually("it is stored", || cluster.server.kubectl(&known_good).status.success());
    let degraded = cluster.pods.iter().filter(|pod| pod.last("watch_degraded").is_some());
    assert_eq!(degraded.count(), 0, "{}", cluster.story());
    let may = |verb: &str, resource: &str| {
        cluster.server.kubectl(&["auth", "can-i", verb, resource, "--as", "plain"]).status.success()
    };
    for (verb, resource) in [
        ("get", "configmaps/nginx-rollout"),
        ("update", "configmaps/nginx-rollout"),
        ("delete", "configmaps/nginx-rollout-known-good"),
        ("get", "secrets"),
        ("get", "leases/other"),
        ("delete", "leases/nginx-rollout"),
        ("get", "pods"),
        ("delete", "pods"),
    ] {
        assert!(!may(verb, resource), "the Role permits {verb} of {resource}");
    }
}
