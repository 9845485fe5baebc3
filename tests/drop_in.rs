//! The command lines and variables of other reloaders, as charts and operators give them: only the image is another one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::{Gate, Kubelet, Volume, ask, command, eventually, free_port, gate_command, needs, python, unique};

/// An application with a URL for reloads, and the requests that it got.
struct Application {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Application {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let url = format!("http://{}/-/reload", listener.local_addr().expect("it is bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remember = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(&stream);
                let (mut request, mut header) = (String::new(), String::new());
                let _ = reader.read_line(&mut request);
                while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
                    header.clear();
                }
                remember.lock().expect("no test panics here").push(request.trim().to_owned());
                let _ = write!(&stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { url, asked }
    }

    fn reloads(&self) -> usize {
        self.asked.lock().expect("no test panics here").iter().filter(|request| request.starts_with("POST ")).count()
    }
}

/// The arguments of a container, with other paths and addresses in place of those of the chart.
fn arguments(text: &str, replaced: &[(&str, &str)]) -> Vec<String> {
    let lines =
        text.lines().map(|line| line.trim().trim_start_matches("- ").to_owned()).filter(|line| !line.is_empty());
    lines.map(|line| replaced.iter().fold(line, |line, (from, to)| line.replace(from, to))).collect()
}

fn started(arguments: &[String], variables: &[(&str, &str)]) -> Gate {
    let mut gate = gate_command();
    gate.args(arguments).envs(variables.iter().copied());
    Gate::start(gate)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

fn metrics(port: u16) -> String {
    ask(port, "GET", "/metrics").map(|answer| answer.body).unwrap_or_default()
}

/// The server of the chart `prometheus` 29.27.0 (`helm template`).
const PROMETHEUS_CHART: &str = "
    - --watched-dir=/etc/config
    - --listen-address=0.0.0.0:8080
    - --reload-url=http://127.0.0.1:9090/-/reload
";

#[test]
fn the_arguments_of_the_prometheus_chart_reload_and_reject() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut volume = Volume::new(directory.path().join("config"), Kubelet::New, &[("prometheus.yml", "global: {}\n")]);
    let (application, port) = (Application::start(), free_port());
    let address = format!("127.0.0.1:{port}");
    let replaced = [
        ("/etc/config", path(volume.path())),
        ("0.0.0.0:8080", address.as_str()),
        ("http://127.0.0.1:9090/-/reload", application.url.as_str()),
    ];
    let mut gate = gate_command();
    gate.args(arguments(PROMETHEUS_CHART, &replaced)).stderr(std::process::Stdio::null());
    let _gate = crate::support::Background::start(&mut gate);
    eventually("the application is reloaded at the start", || application.reloads() == 1);
    let answer = || ask(port, "GET", "/healthz").map(|answer| answer.body);
    eventually("the probe is answered", || answer().as_deref() == Some("{\"status\":\"up\"}"));
    let has = |line: &str| metrics(port).lines().any(|other| other == line);
    eventually("the metrics have both names", || has("reloader_last_reload_successful 1"));
    assert!(has("reload_gate_config_last_reload_successful{gate=\"config\"} 1"), "{}", metrics(port));

    volume.write(&[("prometheus.yml", "global: {evaluation_interval: 1m}\n")]);
    eventually("the application is reloaded", || application.reloads() == 2);
    volume.write(&[("prometheus.yml", "global: {evaluation_interval: 1m\n")]);
    eventually("a broken file is rejected", || has("reloader_last_reload_successful 0"));
    assert!(has("reloader_config_apply_operations_failed_total 1"), "{}", metrics(port));
    assert_eq!(application.reloads(), 2);
    volume.write(&[("prometheus.yml", "global: {evaluation_interval: 2m}\n")]);
    eventually("the application is reloaded again", || application.reloads() == 3);
}

/// The chart `alloy` (its golden record `default_result.yaml`).
const ALLOY_CHART: &str = "
    - --watched-dir=/etc/alloy
    - --reload-url=http://localhost:12345/-/reload
";

#[test]
fn the_arguments_of_the_alloy_chart_reload_a_format_that_is_not_known() {
    let directory = tempfile::tempdir().expect("there is room");
    let config = "logging {\n\tlevel = \"info\"\n}\n";
    let mut volume = Volume::new(directory.path().join("alloy"), Kubelet::New, &[("config.alloy", config)]);
    let application = Application::start();
    let replaced = [("/etc/alloy", path(volume.path())), ("http://localhost:12345/-/reload", application.url.as_str())];
    let mut gate = gate_command();
    gate.args(arguments(ALLOY_CHART, &replaced)).stderr(std::process::Stdio::null());
    let _gate = crate::support::Background::start(&mut gate);
    eventually("the application is reloaded at the start", || application.reloads() == 1);
    volume.write(&[("config.alloy", "logging {\n\tlevel = \"debug\"\n}\n")]);
    eventually("the application is reloaded", || application.reloads() == 2);
}

/// The containers that the operator of kube-prometheus-stack makes (`CreateConfigReloader` in pkg/operator/config_reloader.go), with its
/// command `/bin/prometheus-config-reloader`.
const OPERATOR_INIT: &str = "
    - --watch-interval=0
    - --listen-address=:8081
    - --config-file=/etc/prometheus/config/prometheus.yaml.gz
    - --config-envsubst-file=/etc/prometheus/config_out/prometheus.env.yaml
    - --watched-dir=/etc/prometheus/rules/prometheus-k8s-rulefiles-0
";
const OPERATOR: &str = "
    - --listen-address=:8080
    - --reload-url=http://localhost:9090/-/reload
    - --config-file=/etc/prometheus/config/prometheus.yaml.gz
    - --config-envsubst-file=/etc/prometheus/config_out/prometheus.env.yaml
    - --watched-dir=/etc/prometheus/rules/prometheus-k8s-rulefiles-0
    - --log-format=json
";

/// The volumes of a pod of Prometheus, and the reloader under the operator's name for it.
struct PrometheusPod {
    directory: tempfile::TempDir,
    config: Volume,
    rules: Volume,
}

impl PrometheusPod {
    fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("config_out")).expect("there is room");
        std::fs::write(at("plain"), config).expect("there is room");
        let config = Volume::new(at("config"), Kubelet::New, &[("prometheus.yaml.gz", config)]);
        let rules = Volume::new(at("rules"), Kubelet::New, &[("a.yaml", "groups: []\n")]);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_reload-gate"), at("prometheus-config-reloader"))
            .expect("there is room");
        Self { directory, config, rules }
    }

    fn command(&self, arguments_of: &str, reload_url: &str, address: &str) -> Command {
        let output = self.directory.path().join("config_out");
        let replaced = [
            ("/etc/prometheus/config/", format!("{}/", self.config.path().display())),
            ("/etc/prometheus/config_out/", format!("{}/", output.display())),
            ("/etc/prometheus/rules/prometheus-k8s-rulefiles-0", self.rules.path().display().to_string()),
            ("http://localhost:9090/-/reload", reload_url.to_owned()),
            ("=:8080", format!("={address}")),
        ];
        let replaced: Vec<_> = replaced.iter().map(|(from, to)| (*from, to.as_str())).collect();
        let mut reloader = command(self.directory.path().join("prometheus-config-reloader"));
        reloader.env_clear().env("POD_NAME", "prometheus-k8s-3").env("SHARD", "0");
        reloader.args(arguments(arguments_of, &replaced));
        reloader
    }

    fn rendered(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("config_out/prometheus.env.yaml")).unwrap_or_default()
    }
}

#[test]
fn the_containers_of_the_prometheus_operator_render_reload_and_reject() {
    let config = |replica: &str| format!("global: {{external_labels: {{replica: {replica}, shard: $(SHARD)}}}}\n");
    let mut pod = PrometheusPod::new(&config("$(POD_NAME)"));
    let init = pod.command(OPERATOR_INIT, "", "").output().expect("it starts");
    assert_eq!(init.status.code(), Some(0), "{init:?}");
    assert_eq!(pod.rendered(), "global: {external_labels: {replica: prometheus-k8s-3, shard: 0}}\n");

    let (application, port) = (Application::start(), free_port());
    let address = format!("127.0.0.1:{port}");
    let mut gate = Gate::start(pod.command(OPERATOR, &application.url, &address));
    eventually("the application is reloaded for its configuration and its rules", || application.reloads() == 2);
    pod.config.write(&[("prometheus.yaml.gz", &config("$(STATEFULSET_ORDINAL_NUMBER)"))]);
    eventually("the application is reloaded", || application.reloads() == 3);
    assert_eq!(pod.rendered(), "global: {external_labels: {replica: 3, shard: 0}}\n");

    for (broken, message) in [(config("$(NONE)"), "variable `NONE` is not set"), ("a: [\n".to_owned(), "")] {
        pod.config.write(&[("prometheus.yaml.gz", &broken)]);
        let rejected = gate.wait_for("rejected");
        assert!(rejected["message"].as_str().expect("it has one").contains(message), "{rejected}");
        assert_eq!(pod.rendered(), "global: {external_labels: {replica: 3, shard: 0}}\n");
    }
    pod.rules.write(&[("a.yaml", "groups: [\n")]);
    let rejected = gate.wait_for("rejected");
    assert_eq!(rejected["gate"], "watched");
    assert_eq!(application.reloads(), 3);
    let page = metrics(port);
    assert!(page.lines().any(|line| line == "reloader_last_reload_successful 0"), "{page}");
    assert!(page.lines().any(|line| line == "reloader_reloads_total 3"), "{page}");
    assert_eq!(gate.stop(), 0);
}

#[test]
fn a_packed_configuration_is_unpacked() {
    needs!("gzip");
    let pod = PrometheusPod::new("global: {}\n");
    let plain = pod.directory.path().join("plain");
    std::fs::write(&plain, "global: {external_labels: {pod: $(POD_NAME)}}\n").expect("there is room");
    assert!(command("gzip").arg(&plain).status().expect("it is installed").success());
    let packed = std::fs::read(pod.directory.path().join("plain.gz")).expect("it was packed");
    // A plain directory, as a volume of the tests holds text.
    let config = pod.config.path();
    std::fs::remove_dir_all(config).expect("it is ours");
    std::fs::create_dir(config).expect("there is room");
    std::fs::write(config.join("prometheus.yaml.gz"), packed).expect("there is room");
    let init = pod.command(OPERATOR_INIT, "", "").output().expect("it starts");
    assert_eq!(init.status.code(), Some(0), "{init:?}");
    assert_eq!(pod.rendered(), "global: {external_labels: {pod: prometheus-k8s-3}}\n");
}

#[test]
fn configmap_reload_with_its_metrics() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut volume = Volume::new(directory.path().join("config"), Kubelet::New, &[("app.json", "{}")]);
    let (application, port) = (Application::start(), free_port());
    let address = format!("127.0.0.1:{port}");
    // The README of configmap-reload.
    let given =
        "- --volume-dir=/etc/config\n- --webhook-url=http://127.0.0.1:9090/-/reload\n- --web.listen-address=:9533";
    let replaced = [
        ("/etc/config", path(volume.path())),
        ("http://127.0.0.1:9090/-/reload", application.url.as_str()),
        (":9533", address.as_str()),
    ];
    let mut gate = gate_command();
    gate.args(arguments(given, &replaced)).stderr(std::process::Stdio::null());
    let _gate = crate::support::Background::start(&mut gate);
    eventually("the application is reloaded at the start", || application.reloads() == 1);
    volume.write(&[("app.json", "[]")]);
    eventually("the application is reloaded", || application.reloads() == 2);
    let line = |name: &str, value: &str| format!("configmap_reload_{name}{{webhook=\"{}\"}} {value}", application.url);
    let has = |line: &str| metrics(port).lines().any(|other| other == line);
    eventually("its metrics are served", || has(&line("success_reloads_total", "2")));
    assert!(has(&line("last_reload_error", "0")), "{}", metrics(port));
}

#[test]
fn the_variables_of_config_reloader_sidecar_signal_the_process() {
    let directory = tempfile::tempdir().expect("there is room");
    let (config, name) = (directory.path().join("config"), unique("app"));
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("app.conf"), "one").expect("there is room");
    let program = "import signal, time\nsignal.signal(signal.SIGUSR2, lambda *a: open('told', 'w'))\nopen('up', 'w')\n\
                   while True: time.sleep(60)\n";
    let place = tempfile::tempdir().expect("there is room");
    let _app = python(place.path(), &name, program);
    eventually("it is up", || place.path().join("up").exists());
    let variables = [("CONFIG_DIR", path(&config)), ("PROCESS_NAME", name.as_str()), ("RELOAD_SIGNAL", "SIGUSR2")];
    let mut gate = started(&["run".to_owned()], &variables);
    assert_eq!(gate.wait_for("reloaded")["signal"], "SIGUSR2");
    eventually("it was signalled", || place.path().join("told").exists());
    drop(gate);
    let mut gate = started(&["run".to_owned()], &variables[..2]);
    let refused = gate.wait_for("target_refused");
    assert!(refused["message"].as_str().expect("it has one").contains("SIGHUP"), "it is the default: {refused}");
}

#[test]
fn a_flag_that_is_not_known_is_named() {
    let output = gate_command().args(["--watched-dir=/x", "--reload-ulr=y"]).output().expect("it starts");
    let error = String::from_utf8(output.stderr).expect("it is UTF-8");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("unknown flag `--reload-ulr` of prometheus-config-reloader"), "{error}");
    assert!(error.contains("did you mean `reload-url`"), "{error}");
}
