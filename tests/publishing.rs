//! The application only ever meets what was accepted, also when it restarts.

mod altered;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{
    Background, Gate, Haproxy, Kubelet, Nginx, Volume, ask, command, copy, eventually, free_port, gate_command, get,
    needs, served, skip, unique,
};

/// What can be read in a directory, as an application would.
fn readable(directory: &Path) -> BTreeMap<PathBuf, String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let visible = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with(".."));
    visible.filter_map(|entry| Some((entry.file_name().into(), std::fs::read_to_string(entry.path()).ok()?))).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

/// `run --once`, as an init container does it.
fn once(arguments: &[&str]) -> (i32, String) {
    let output = gate_command().args(["run", "--once"]).args(arguments).output().expect("it starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A ConfigMap, the volume that the gate publishes it to, and the nginx that reads only that.
struct Pod {
    directory: tempfile::TempDir,
    name: String,
    port: u16,
    config_map: Volume,
}

impl Pod {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        std::fs::create_dir(directory.path().join("published")).expect("there is room");
        let (name, port) = (unique("pub"), free_port());
        copy("nginx", directory.path(), &name);
        let config = Nginx::text(directory.path(), port, "one", "");
        let config_map = Volume::new(directory.path().join("configmap"), Kubelet::New, &[("nginx.conf", &config)]);
        Self { directory, name, port, config_map }
    }

    fn published(&self) -> PathBuf {
        self.directory.path().join("published")
    }

    fn arguments(&self) -> [String; 8] {
        let (watch, publish) = (text(self.config_map.path()).to_owned(), text(&self.published()).to_owned());
        ["--app", "nginx", "--process", &self.name, "--watch", &watch, "--publish", &publish].map(str::to_owned)
    }

    fn gate(&self, more: &[&str]) -> Gate {
        let arguments = self.arguments();
        Gate::run(&arguments.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    }

    fn init(&self) {
        let arguments = self.arguments();
        let (code, said) = once(&arguments.each_ref().map(String::as_str));
        assert_eq!(code, 0, "{said}");
    }

    fn write(&mut self, body: &str, more: &str) {
        let config = Nginx::text(self.directory.path(), self.port, body, more);
        self.config_map.write(&[("nginx.conf", &config)]);
    }

    /// nginx with its configuration in `directory`; `None` if it did not start.
    fn start(&self, directory: &Path) -> Option<Background> {
        let mut nginx = command(self.directory.path().join(&self.name));
        nginx.arg("-c").arg(directory.join("nginx.conf")).arg("-p").arg(self.directory.path());
        nginx.args(["-g", "daemon off;"]).stderr(std::process::Stdio::null());
        let mut nginx = Background::start(&mut nginx);
        let mut up = false;
        eventually("nginx serves or ends", || {
            up = get(self.port).is_some();
            up || !nginx.is_alive()
        });
        up.then_some(nginx)
    }

    fn serves(&self, body: &str) -> bool {
        served(self.port, body)
    }
}

#[test]
fn a_bad_configuration_is_not_met_by_a_restart() {
    needs!("nginx");
    let mut pod = Pod::new();
    pod.init();
    let nginx = pod.start(&pod.published()).expect("it starts");
    let mut gate = pod.gate(&[]);
    gate.wait_for("verified");
    pod.write("two", "nonsense;");
    let rejected = gate.wait_for("rejected");
    let file = rejected["findings"][0]["file"].as_str().expect("it has a place");
    assert_eq!(file, text(&pod.config_map.file("nginx.conf")), "the place is where it can be corrected");
    assert_eq!(rejected["findings"][0]["line"], 6);
    drop(nginx);
    let nginx = pod.start(&pod.published()).expect("it starts with what was accepted");
    assert!(pod.serves("one"));
    drop(nginx);
    assert!(pod.start(pod.config_map.path()).is_none(), "without the gate in between it does not start any more");

    let _nginx = pod.start(&pod.published()).expect("it starts with what was accepted");
    pod.write("three", "");
    gate.wait_for("published");
    gate.wait_for("verified");
    eventually("the good one is served", || pod.serves("three"));
    gate.wait_for("recovered");
}

#[test]
fn files_of_the_command_line_of_haproxy_are_validated_as_published() {
    needs!("haproxy");
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    std::fs::create_dir_all(&watch).and_then(|()| std::fs::create_dir(&publish)).expect("there is room");
    let (name, port) = (unique("hpu"), free_port());
    let write = |body: &str, more: &str| {
        std::fs::write(watch.join("haproxy.cfg"), Haproxy::text(port, body, more)).expect("there is room");
    };
    write("one", "");
    let arguments = ["--app", "haproxy", "--process", &name, "--watch", text(&watch), "--publish", text(&publish)];
    let (code, said) = once(&arguments);
    assert_eq!(code, 0, "{said}");
    // Named by a path that begins where it works.
    let mut haproxy = command(copy("haproxy", directory.path(), &name));
    haproxy.args(["-W", "-f", "published/haproxy.cfg"]).current_dir(directory.path());
    let haproxy = haproxy.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let _haproxy = Background::start(haproxy);
    eventually("haproxy serves", || served(port, "one"));
    let mut gate = Gate::run(&[&arguments[..], &["--settle", "50ms"]].concat());
    gate.wait_for("verified");
    write("two", "nonsense");
    let rejected = gate.wait_for("rejected");
    assert_eq!(rejected["findings"][0]["file"], text(&watch.join("haproxy.cfg")), "{rejected}");
    write("three", "");
    gate.wait_for("verified");
    eventually("the good one is served", || served(port, "three"));
}

#[test]
fn a_gate_that_starts_first_publishes_what_the_application_then_starts_with() {
    needs!("nginx");
    let pod = Pod::new();
    // As in an image of its own, where there is no nginx.
    let mut gate = gate_command();
    gate.env("PATH", "").arg("run").args(pod.arguments());
    let mut gate = Gate::start(gate);
    let accepted = gate.wait_for("accepted");
    let note = accepted["findings"][0]["message"].as_str().expect("it says who judges");
    assert!(note.starts_with("validated by the bundled nginx checker: `nginx` is not installed here"), "{accepted}");
    gate.wait_for("published");
    gate.wait_for("target_missing");
    let _nginx = pod.start(&pod.published()).expect("it starts with what was published");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    assert!(pod.serves("one"));
}

#[test]
fn a_reload_that_is_not_proven_is_taken_back() {
    needs!("nginx");
    let mut pod = Pod::new();
    pod.write("one", "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/s;");
    pod.init();
    let before = readable(&pod.published());
    let _nginx = pod.start(&pod.published()).expect("it starts");
    let mut gate = pod.gate(&["--verify-timeout", "1s"]);
    let good = gate.wait_for("verified");
    // `nginx -t` knows nothing of the zones of the running master, in which the key cannot be changed.
    pod.write("two", "limit_req_zone $uri zone=one:1m rate=1r/s;");
    let unverified = gate.wait_for("unverified");
    let restored = gate.wait_for("restored");
    assert_eq!(restored["digest"], good["digest"]);
    assert_eq!(restored["previous"], unverified["digest"]);
    assert!(pod.serves("one"));
    assert_eq!(readable(&pod.published()), before);
    // Back to what runs: nothing to do but to say so.
    pod.write("one", "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/s;");
    gate.wait_for("recovered");
    pod.write("three", "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/s;");
    gate.wait_for("verified");
    eventually("the next good one is served", || pod.serves("three"));
}

#[test]
fn a_configuration_that_the_application_dies_of_is_not_proven_by_its_start() {
    needs!("nginx");
    let mut pod = Pod::new();
    pod.init();
    let nginx = pod.start(&pod.published()).expect("it starts");
    let mut gate = pod.gate(&["--verify-timeout", "1s"]);
    let good = gate.wait_for("verified");
    drop(nginx);
    // A port that is in use passes every check, and nginx gives up on it.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let config = Nginx::text(pod.directory.path(), port, "two", "");
    pod.config_map.write(&[("nginx.conf", &config)]);
    gate.wait_for("published");
    let mut nginx = command(pod.directory.path().join(&pod.name));
    nginx.arg("-c").arg(pod.published().join("nginx.conf")).arg("-p").arg(pod.directory.path());
    let _nginx = Background::start(nginx.args(["-g", "daemon off;"]).stderr(std::process::Stdio::null()));
    gate.wait_for("target_missing");
    assert_eq!(gate.count("verified"), 1, "{}", gate.story());
    let link = |name: &str| std::fs::read_link(pod.published().join(name)).expect("it is a link");
    assert!(text(&link("..good")).contains(good["digest"].as_str().expect("it is text")));
    assert_ne!(link("..good"), link("..data"), "the last known good is kept until its successor is proven");
}

#[test]
fn a_reload_that_fails_is_taken_back() {
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    std::fs::create_dir_all(&watch).and_then(|()| std::fs::create_dir(&publish)).expect("there is room");
    let write = |content: &str| std::fs::write(watch.join("app.conf"), content).expect("there is room");
    write("good");
    let reload = format!("grep -q good {}", publish.join("app.conf").display());
    let arguments = ["--watch", text(&watch), "--publish", text(&publish), "--reload-command", &reload];
    let (port, name) = (free_port(), ["--name", "watch"]);
    let listen = format!("127.0.0.1:{port}");
    let mut gate = Gate::run(&[&arguments[..], &name, &["--settle", "50ms", "--listen", &listen]].concat());
    gate.wait_for("unverified");
    write("refused");
    let refused = gate.wait_for("unverified");
    assert_eq!(refused["level"], "error", "{refused}");
    assert_eq!(gate.wait_for("restored")["previous"], refused["digest"]);
    // The status, the metric and the page tell the same story as the log and the alert.
    let shown = |path: &str| ask(port, "GET", path).map_or_else(String::new, |answer| answer.body);
    eventually("it is shown", || {
        shown("/metrics").contains("reload_gate_standing_info{gate=\"watch\",event=\"restored\"} 1")
    });
    let status: serde_json::Value = serde_json::from_str(&shown("/status")).expect("it is JSON");
    assert_eq!(status["gates"][0]["standing"]["previous"], refused["digest"], "{status}");
    assert!(shown("/").contains("the last-known-good revision is live again"), "{}", shown("/"));
    assert_eq!(readable(&publish), [("app.conf".into(), "good".into())].into());
}

#[test]
fn includes_by_absolute_path_are_validated_as_published() {
    needs!("nginx");
    let mut pod = Pod::new();
    let include = format!("include {}/extra.inc;", pod.published().display());
    let write = |pod: &mut Pod, body: &str, extra: &str| {
        let config = Nginx::text(pod.directory.path(), pod.port, body, &include);
        pod.config_map.write(&[("nginx.conf", &config), ("extra.inc", extra)]);
    };
    write(&mut pod, "one", "");
    pod.init();
    let _nginx = pod.start(&pod.published()).expect("it starts");
    let mut gate = pod.gate(&[]);
    gate.wait_for("verified");
    write(&mut pod, "two", "lisen 80;\n");
    let rejected = gate.wait_for("rejected");
    let codes: Vec<_> = rejected["findings"].as_array().into_iter().flatten().map(|finding| &finding["code"]).collect();
    assert_eq!(codes, ["leads-to-live", "unknown-directive"], "{rejected}");
    write(&mut pod, "three", "map $uri $x { default 1; }\n");
    gate.wait_for("verified");
    eventually("the good one is served", || pod.serves("three"));
}

#[test]
fn a_new_gate_goes_on_from_what_the_last_one_proved() {
    needs!("nginx");
    let pod = Pod::new();
    pod.init();
    let _nginx = pod.start(&pod.published()).expect("it starts");
    let mut first = pod.gate(&[]);
    let verified = first.wait_for("verified");
    assert_eq!(first.stop(), 0);
    let mut second = pod.gate(&[]);
    let unchanged = second.wait_for_any(&["unchanged", "accepted"]);
    assert_eq!((&unchanged["event"], &unchanged["digest"]), (&"unchanged".into(), &verified["digest"]));
}

#[test]
fn a_torn_volume_is_repaired_from_the_last_known_good() {
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    std::fs::create_dir_all(&watch).and_then(|()| std::fs::create_dir(&publish)).expect("there is room");
    let write = |content: &str| std::fs::write(watch.join("app.conf"), content).expect("there is room");
    let arguments = ["--watch", text(&watch), "--publish", text(&publish), "--reload-command", "true"];
    let judged = [&arguments[..], &["--validate", "grep -q good {config}"]].concat();
    write("good 1");
    let mut gate = Gate::run(&judged);
    gate.wait_for("published");
    gate.wait_for("unverified");
    assert_eq!(gate.stop(), 0);

    std::fs::remove_file(publish.join("..data")).expect("it is there");
    write("bad");
    let mut gate = Gate::run(&judged);
    gate.wait_for("restored");
    gate.wait_for("rejected");
    assert_eq!(readable(&publish), [("app.conf".into(), "good 1".into())].into());
}

#[test]
fn whenever_the_gate_is_killed_the_application_reads_one_whole_configuration() {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    let pairs = |number: usize| ["a", "b", "c"].map(|name| (name.to_owned(), format!("{number} of {name}")));
    let first = pairs(0);
    let mut volume = Volume::new(
        watch.clone(),
        Kubelet::New,
        &first.each_ref().map(|(name, content)| (name.as_str(), content.as_str())),
    );
    std::fs::create_dir(&publish).expect("there is room");
    let arguments =
        ["--watch", text(&watch), "--publish", text(&publish), "--reload-command", "true", "--validate", "true"];
    let kills: usize = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(200);
    for number in 1..=kills {
        let mut gate = gate_command();
        let child = gate.arg("run").args(arguments).stderr(std::process::Stdio::null()).spawn();
        let mut child = child.expect("it starts");
        let next = pairs(number);
        volume.write(&next.each_ref().map(|(name, content)| (name.as_str(), content.as_str())));
        // Anywhere from before its first look to after its last step: no event could be waited for here.
        std::thread::park_timeout(Duration::from_micros((number as u64 * 7_919) % 12_000));
        child.kill().and_then(|()| child.wait()).expect("it is ours");
        let found = readable(&publish);
        let numbers: Vec<_> =
            found.values().map(|content| content.split(' ').next().expect("it has a number")).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
        assert!(found.is_empty() || found.len() == 3, "{found:?}");
    }
    let mut gate = Gate::run(&arguments);
    gate.wait_for_any(&["unverified", "unchanged"]);
    let last = pairs(kills).map(|(name, content)| (name.into(), content));
    assert_eq!(readable(&publish), last.into());
}

#[test]
fn a_certificate_and_its_key_are_published_when_both_are_there() {
    needs!("openssl");
    for first in [0, 1] {
        let directory = tempfile::tempdir().expect("there is room");
        let here = directory.path();
        let (old, new) = (pair(here, "old"), pair(here, "new"));
        let names = ["tls.crt", "tls.key"];
        let place = |kind: &str, part: usize| here.join(kind).join(names[part]);
        for kind in ["source", "stage", "published"] {
            (0..2).for_each(|part| std::fs::create_dir_all(place(kind, part)).expect("there is room"));
        }
        let write = |part: usize, content: &str| {
            std::fs::write(place("source", part).join(names[part]), content).expect("there is room");
        };
        (0..2).for_each(|part| write(part, &old[part]));
        let check = here.join("check");
        let [certificate, key] = [0, 1].map(|part| place("stage", part).join(names[part]));
        let public = format!("openssl x509 -noout -pubkey -in {}", certificate.display());
        let script = format!("#!/bin/sh\n[ \"$({public})\" = \"$(openssl pkey -pubout -in {})\" ]\n", key.display());
        std::fs::write(&check, script).expect("there is room");
        let told = here.join("told");
        let script = format!("#!/bin/sh\necho >> {}\n", told.display());
        std::fs::write(here.join("tell"), script).expect("there is room");
        let mut arguments = vec!["--validate".to_owned(), format!("sh {}", check.display())];
        arguments.extend(["--reload-command".to_owned(), format!("sh {}", here.join("tell").display())]);
        for (flag, kind) in [("--watch", "source"), ("--stage", "stage"), ("--publish", "published")] {
            (0..2).for_each(|part| arguments.extend([flag.to_owned(), text(&place(kind, part)).to_owned()]));
        }
        let mut gate = Gate::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        gate.wait_for("unverified");

        write(first, &new[first]);
        gate.wait_for("rejected");
        let published = |part: usize| readable(&place("published", part)).remove(Path::new(names[part]));
        assert_eq!([published(0), published(1)], old.clone().map(Some), "the half of a pair is held back");
        write(1 - first, &new[1 - first]);
        gate.wait_for("published");
        gate.wait_for("reloaded");
        gate.wait_for("recovered");
        assert_eq!([published(0), published(1)], new.map(Some));
        assert_eq!(std::fs::read_to_string(&told).expect("it was told").lines().count(), 2, "once for each pair");
    }
}

/// A certificate and its key.
fn pair(directory: &Path, name: &str) -> [String; 2] {
    let [certificate, key] = ["crt", "key"].map(|kind| directory.join(format!("{name}.{kind}")));
    let mut openssl = command("openssl");
    openssl.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]);
    openssl.args(["-subj", "/CN=test", "-keyout"]).arg(&key).arg("-out").arg(&certificate);
    assert!(openssl.output().expect("it is installed").status.success());
    [certificate, key].map(|path| std::fs::read_to_string(path).expect("it was made"))
}

#[test]
fn a_failed_publication_is_reported_and_changes_nothing() {
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    std::fs::create_dir(&watch).expect("there is room");
    std::fs::write(watch.join("app.conf"), "one").expect("there is room");
    let arguments = ["--watch", text(&watch), "--publish", text(&publish), "--signal", "none"];
    let (code, said) = once(&arguments);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("not-published") && said.contains("mount the volume in the gate's container"), "{said}");

    std::fs::create_dir(&publish).expect("there is room");
    assert_eq!(once(&arguments).0, 0);
    std::fs::write(publish.join("other.conf"), "theirs").expect("there is room");
    std::fs::write(watch.join("other.conf"), "ours").expect("there is room");
    let (code, said) = once(&arguments);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("other.conf` was not written by reload-gate"), "{said}");
    let expected = [("app.conf".into(), "one".into()), ("other.conf".into(), "theirs".into())];
    assert_eq!(readable(&publish), expected.into());

    let (code, said) = once(&["--watch", text(&watch), "--publish", text(&watch), "--signal", "none"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("is watched, so the gate cannot write to it"), "{said}");
}

#[test]
fn a_source_that_lost_its_files_is_held_back() {
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    std::fs::create_dir_all(&watch).and_then(|()| std::fs::create_dir(&publish)).expect("there is room");
    let write = |name: &str| std::fs::write(watch.join(name), name).expect("there is room");
    ["a", "b", "c", "d"].iter().for_each(|name| write(name));
    let arguments =
        ["--watch", text(&watch), "--publish", text(&publish), "--reload-command", "true", "--settle", "50ms"];
    let mut gate = Gate::run(&[&arguments[..], &["--require", "a", "--max-shrink", "50%"]].concat());
    gate.wait_for("unverified");
    std::fs::remove_file(watch.join("a")).expect("it is there");
    let rejected = gate.wait_for("rejected");
    assert_eq!(rejected["findings"][0]["code"], "missing-required-file", "{rejected}");
    write("a");
    gate.wait_for("recovered");
    ["b", "c", "d"].iter().for_each(|name| std::fs::remove_file(watch.join(name)).expect("it is there"));
    let rejected = gate.wait_for("rejected");
    assert_eq!(rejected["findings"][0]["code"], "shrunk", "{rejected}");
    assert_eq!(readable(&publish).len(), 4);
}

#[test]
fn a_gate_with_nothing_to_publish_fails_or_waits() {
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    std::fs::create_dir_all(&watch).and_then(|()| std::fs::create_dir(&publish)).expect("there is room");
    let write = |content: &str| std::fs::write(watch.join("app.conf"), content).expect("there is room");
    let arguments =
        ["--watch", text(&watch), "--publish", text(&publish), "--signal", "none", "--validate", "grep good {config}"];
    write("bad");
    let output = gate_command().arg("run").args(arguments).args(["--on-empty", "fail"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(readable(&publish).is_empty());

    let mut gate = Gate::run(&arguments);
    gate.wait_for("rejected");
    write("good");
    gate.wait_for("published");
    gate.wait_for("recovered");
    drop(gate);
    // Now there is something that could be waited with.
    write("bad again");
    let mut gate = Gate::run(&[&arguments[..], &["--on-empty", "fail"]].concat());
    gate.wait_for("rejected");
    assert_eq!(gate.stop(), 0);
}

#[test]
fn five_thousand_files_are_one_change() {
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    std::fs::create_dir_all(watch.join("many")).and_then(|()| std::fs::create_dir(&publish)).expect("there is room");
    for number in 0..5_000 {
        std::fs::write(watch.join(format!("many/{number}")), number.to_string()).expect("there is room");
    }
    std::fs::write(watch.join("large"), vec![b'#'; 1 << 20]).expect("there is room");
    let (code, said) = once(&["--watch", text(&watch), "--publish", text(&publish), "--signal", "none"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(readable(&publish.join("many")).len(), 5_000);
    assert_eq!(readable(&publish)[Path::new("large")].len(), 1 << 20);
}

#[test]
fn a_full_or_read_only_disk_says_so_and_leaves_what_is_live() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount a small disk");
    }
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("published"));
    for path in [&watch, &publish] {
        std::fs::create_dir(path).expect("there is room");
    }
    let mount = Mount::tmpfs(&publish);
    std::fs::write(watch.join("app.conf"), "one").expect("there is room");
    let arguments = ["--watch", text(&watch), "--publish", text(&publish), "--signal", "none"];
    assert_eq!(once(&arguments).0, 0);
    let before = readable(&publish);

    std::fs::write(watch.join("app.conf"), vec![b'#'; 1 << 20]).expect("there is room");
    let (code, said) = once(&arguments);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("No space left on device") && said.contains("sizeLimit"), "{said}");
    assert_eq!(readable(&publish), before);

    mount.again("ro");
    std::fs::write(watch.join("app.conf"), "two").expect("there is room");
    let (code, said) = once(&arguments);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("Read-only file system") && said.contains("without `readOnly`"), "{said}");
    assert_eq!(readable(&publish), before);

    mount.again("rw");
    assert_eq!(once(&arguments).0, 0);
    assert_eq!(readable(&publish), [("app.conf".into(), "two".into())].into());
}

/// A small disk of its own, for as long as the test runs.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(path: &Path) -> Self {
        Self::mount(path, "size=256k", &["-t", "tmpfs", "tmpfs"]);
        Self(path.to_path_buf())
    }

    fn again(&self, option: &str) {
        Self::mount(&self.0, &format!("remount,{option}"), &[]);
    }

    fn mount(path: &Path, options: &str, what: &[&str]) {
        let output = command("mount").args(["-o", options]).args(what).arg(path).output().expect("it is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = command("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn once_obeys_the_limits_of_run_and_reports_what_it_publishes() {
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (directory.path().join("watch"), directory.path().join("publish"));
    for path in [&watch, &publish] {
        std::fs::create_dir(path).expect("there is room");
    }
    for name in ["a", "b", "c", "d"] {
        std::fs::write(watch.join(name), name).expect("there is room");
    }
    let arguments = ["--watch", text(&watch), "--publish", text(&publish), "--signal", "none", "--max-shrink", "50"];
    let (code, said) = once(&arguments);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("\"event\":\"published\""), "{said}");
    // A gate that runs finds it good.
    let mut gate = Gate::run(&arguments);
    gate.wait_for("accepted");
    eventually("it is kept", || publish.join("..good").exists());
    gate.stop();
    for name in ["a", "b", "c"] {
        std::fs::remove_file(watch.join(name)).expect("it is there");
    }
    let (code, said) = once(&arguments);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("3 of 4 files are gone"), "{said}");
    assert_eq!(readable(&publish).len(), 4, "the last-known-good revision stays");
}

#[test]
fn a_restart_while_a_rejection_is_open_is_verified_on_what_is_published() {
    needs!("nginx");
    let mut pod = Pod::new();
    pod.init();
    let published = pod.published();
    let first = pod.start(&published).expect("it starts");
    let mut gate = pod.gate(&[]);
    pod.write("two", "");
    gate.wait_for("verified");
    pod.write("three", "nonsense;");
    gate.wait_for("rejected");
    drop(first);
    let _second = pod.start(&published).expect("it starts");
    gate.wait_for("target_replaced");
    gate.wait_for("verified");
    eventually("it serves what was accepted", || served(pod.port, "two"));
    assert_eq!(gate.count("rejected"), 1);
}

#[test]
fn a_gate_that_goes_on_watches_its_target() {
    needs!("nginx");
    let pod = Pod::new();
    pod.init();
    let published = pod.published();
    let first = pod.start(&published).expect("it starts");
    let mut gate = pod.gate(&[]);
    gate.wait_for("verified");
    gate.stop();
    let mut gate = pod.gate(&[]);
    gate.wait_for("unchanged");
    drop(first);
    // Without a watch on it nothing would be reported.
    gate.wait_for("target_missing");
    let _second = pod.start(&published).expect("it starts");
    gate.wait_for("verified");
    gate.wait_for("recovered");
}

#[test]
fn a_second_gate_of_a_volume_reports_it_once_and_publishes_nothing_until_the_first_ends() {
    let directory = tempfile::tempdir().expect("there is room");
    let publish = directory.path().join("published");
    std::fs::create_dir(&publish).expect("there is room");
    let gate = |content: &str| {
        let watch = directory.path().join(content);
        std::fs::create_dir(&watch).expect("there is room");
        std::fs::write(watch.join("app.conf"), content).expect("there is room");
        Gate::run(&["--watch", text(&watch), "--publish", text(&publish), "--reload-command", "true"])
    };
    let mut first = gate("one");
    first.wait_for("published");
    let mut second = gate("two");
    let refused = second.wait_for("inconclusive");
    let message = refused["message"].as_str().expect("it has one");
    assert!(message.contains("another gate publishes in `"), "{message}");
    let published = || std::fs::read_to_string(publish.join("app.conf")).expect("it is there");
    assert_eq!(published(), "one");
    assert_eq!(first.stop(), 0);
    second.wait_for("published");
    assert_eq!(published(), "two");
    assert_eq!(second.count("inconclusive"), 1, "{}", second.story());
}
