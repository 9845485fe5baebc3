//! A verdict counts only for what the running application reads: its own file, in its own mounts, with its own includes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::privileges::needs_root;
use crate::support::{
    Background, Cage, Gate, Haproxy, Kubelet, Nginx, Volume, authority, command, copy, eventually, free_port,
    gate_command, needs, served, skip, unique,
};

/// An nginx that includes a ConfigMap from beside its main file.
struct Including {
    name: String,
    port: u16,
    volume: Volume,
    published: PathBuf,
    process: Background,
    _directory: TempDir,
}

impl Including {
    /// Starts it; with `published` it includes what a gate publishes.
    fn start(published: bool) -> Self {
        let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("inc"), free_port());
        let here = directory.path();
        let live = if published { here.join("conf.d") } else { here.join("config/conf.d") };
        let volume = Volume::new(
            if published { here.join("source/conf.d") } else { live.clone() },
            Kubelet::New,
            &[("site.conf", &Self::server(port, "one"))],
        );
        if published {
            publish_by_hand(&live, &Self::server(port, "one"));
        }
        let main = live.parent().expect("it has one").join("nginx.conf");
        let text = format!(
            "pid {0}/pid;\nerror_log {0}/error.log notice;\nevents {{}}\nhttp {{\n    log_format own '$status';{2}\n    include {1}/*.conf;\n}}\n",
            here.display(),
            live.display(),
            Nginx::temporary(here)
        );
        fs::write(&main, text).expect("there is room");
        let mut nginx = command(copy("nginx", here, &name));
        nginx.arg("-c").arg(&main).arg("-p").arg(here).args(["-g", "daemon off;"]);
        let process = Background::start(nginx.stderr(Stdio::null()));
        eventually("nginx serves", || served(port, "one"));
        Self { name, port, volume, published: live, process, _directory: directory }
    }

    fn server(port: u16, body: &str) -> String {
        format!(
            "server {{\n    listen 127.0.0.1:{port};\n    access_log /dev/null own;\n    return 200 '{body}';\n}}\n"
        )
    }

    fn write(&mut self, body: &str) {
        self.volume.write(&[("site.conf", &Self::server(self.port, body))]);
    }

    /// A configuration with an unknown directive on line 4.
    fn write_wrong(&mut self) {
        let text = Self::server(self.port, "bad").replace("return", "retrun");
        self.volume.write(&[("site.conf", &text)]);
    }
}

/// The content of a volume before any gate has written to it.
fn publish_by_hand(live: &Path, text: &str) {
    fs::create_dir_all(live).expect("there is room");
    fs::write(live.join("site.conf"), text).expect("there is room");
}

/// The last event of `run --once`, and its exit code.
fn once(mut gate: Command, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = gate.args(["run", "--once"]).args(arguments).output().expect("it starts");
    let said = String::from_utf8(output.stderr).expect("it is UTF-8");
    let last = said.lines().next_back().unwrap_or_default();
    (serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {said}")), output.status.code())
}

fn codes(event: &Value) -> Vec<&str> {
    event["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["code"].as_str()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

/// A gate without any capability.
fn unprivileged() -> Command {
    let mut gate = command("setpriv");
    gate.args(["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_reload-gate")]);
    gate
}

#[test]
fn a_directory_that_nginx_does_not_read_is_no_verdict() {
    needs!("nginx");
    let nginx = Nginx::start();
    let other = tempfile::tempdir().expect("there is room");
    for (file, content) in [("nginx.conf", "events {}\n"), ("site.conf", "garbage {{{\n")] {
        let watched = other.path().join(file);
        fs::write(&watched, content).expect("there is room");
        let arguments = ["--process", &nginx.name, "--watch", text(other.path())];
        for validator in [&["--app", "nginx"][..], &["--app", "nginx", "--builtin", "nginx"]] {
            let arguments = [&arguments[..], validator].concat();
            let (event, code) = once(gate_command(), &arguments);
            assert_eq!((codes(&event), code), (vec!["not-read"], Some(3)), "{file} {validator:?} {event}");
            let mut doctor = gate_command();
            let output = doctor.args(["doctor", "--format", "json"]).args(&arguments).output().expect("it starts");
            let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
            let judge =
                report["checks"].as_array().expect("there are some").iter().find(|check| check["check"] == "judge");
            let judge = judge.unwrap_or_else(|| panic!("{report}"));
            assert_eq!(judge["status"], "fail", "{file} {validator:?} {judge}");
            assert!(
                judge["message"].as_str().is_some_and(|said| said.contains("includes nothing of the configuration")),
                "{judge}"
            );
        }
        let mut gate = Gate::run(&[&arguments[..], &["--app", "nginx"]].concat());
        assert_eq!(codes(&gate.wait_for("inconclusive")), ["not-read"], "{file}");
        fs::remove_file(watched).expect("it is there");
    }
    assert_eq!(nginx.signals(), 0);
}

#[test]
fn a_file_that_haproxy_was_not_started_with_is_no_verdict() {
    needs!("haproxy");
    let haproxy = Haproxy::start();
    let other = tempfile::tempdir().expect("there is room");
    fs::write(other.path().join("haproxy.cfg"), Haproxy::text(1, "two", "")).expect("there is room");
    let arguments = ["--app", "haproxy", "--process", &haproxy.name, "--watch"];
    let (event, code) = once(gate_command(), &[&arguments[..], &[text(other.path())]].concat());
    assert_eq!((codes(&event), code), (vec!["not-read"], Some(3)), "{event}");
    // By another name of the same directory it is read.
    let link = other.path().join("link");
    std::os::unix::fs::symlink(haproxy.volume.path(), &link).expect("there is room");
    let (event, code) = once(gate_command(), &[&arguments[..], &[text(&link)]].concat());
    assert_eq!(code, Some(0), "{event}");
}

#[test]
fn a_title_without_its_end_is_no_verdict() {
    needs!("nginx");
    let (directory, port) = (tempfile::tempdir().expect("there is room"), free_port());
    let (config, main) = (directory.path().join("config"), directory.path().join("config/nginx.conf"));
    fs::create_dir(&config).expect("there is room");
    fs::write(&main, Nginx::text(directory.path(), port, "one", "")).expect("there is room");
    // It has no environment in which its title has room.
    let name = unique("cut");
    let mut nginx = command(copy("nginx", directory.path(), &name));
    nginx.env_clear().arg("-p").arg(directory.path()).args(["-g", "daemon off;", "-c"]).arg(&main);
    let nginx = Background::start(nginx.stderr(Stdio::null()));
    eventually("nginx serves", || served(port, "one"));
    let arguments = ["--app", "nginx", "--process", &name, "--watch", text(&config)];
    for validator in [&[][..], &["--builtin", "nginx"]] {
        let (event, code) = once(gate_command(), &[&arguments[..], validator].concat());
        assert_eq!((codes(&event), code), (vec!["not-read"], Some(3)), "{event}");
        let message = format!("pid {} shows only the beginning of its command line", nginx.pid());
        assert!(event["message"].as_str().is_some_and(|said| said.contains(&message)), "{event}");
    }
    // The help is right.
    let checker = format!("nginx -t -q -c {}", main.display());
    let (event, code) = once(gate_command(), &[&arguments[..], &["--validate", &checker]].concat());
    assert_eq!(code, Some(0), "{event}");
}

/// The story of a ConfigMap with parts: good, wrong, good.
fn parts_are_validated(nginx: &mut Including, mut gate: Gate, by: &str) {
    let pid = nginx.process.pid();
    let first = gate.wait_for("accepted");
    assert!(first["message"].as_str().is_some_and(|said| said.contains(by)), "pid {pid}: {first}");
    gate.wait_for("verified");
    nginx.write_wrong();
    let rejected = gate.wait_for("rejected");
    let wrong =
        rejected["findings"].as_array().expect("there are some").iter().find(|finding| finding["severity"] == "error");
    let wrong = wrong.unwrap_or_else(|| panic!("{rejected}"));
    let (file, line) = (wrong["file"].as_str().unwrap_or_default(), &wrong["line"]);
    // With `--publish` the finding names the file of the source.
    assert!(file.ends_with("conf.d/site.conf"), "{rejected}");
    assert_eq!(line, 4, "{rejected}");
    assert!(served(nginx.port, "one"), "{}", gate.story());
    nginx.write("two");
    gate.wait_for("recovered");
    eventually("the good one is served", || served(nginx.port, "two"));
    assert_eq!(gate.stop(), 0);
}

#[test]
fn parts_of_a_configuration_are_validated_within_the_main_file() {
    needs!("nginx");
    let mut nginx = Including::start(false);
    let arguments = ["--app", "nginx", "--process", &nginx.name, "--watch", text(nginx.volume.path())];
    let gate = Gate::run(&arguments);
    parts_are_validated(&mut nginx, gate, "validated by `nginx -t`");
}

#[test]
fn published_parts_of_a_configuration_are_validated_within_the_main_file() {
    needs!("nginx");
    let mut nginx = Including::start(true);
    fs::remove_file(nginx.published.join("site.conf")).expect("it is there");
    let arguments = ["--app", "nginx", "--process", &nginx.name, "--watch", text(nginx.volume.path())];
    let gate = Gate::run(&[&arguments[..], &["--publish", text(&nginx.published)]].concat());
    parts_are_validated(&mut nginx, gate, "the bundled nginx checker");
}

#[test]
fn parts_of_a_configuration_are_validated_where_the_main_file_cannot_be_seen() {
    needs_root!();
    needs!("nginx");
    for published in [false, true] {
        let mut nginx = Including::start(published);
        let mut gate = unprivileged();
        gate.args(["run", "--app", "nginx", "--process", &nginx.name, "--watch", text(nginx.volume.path())]);
        if published {
            fs::remove_file(nginx.published.join("site.conf")).expect("it is there");
            gate.args(["--publish", text(&nginx.published)]);
        }
        parts_are_validated(&mut nginx, Gate::start(gate), "the bundled nginx checker");
    }
}

#[test]
fn parts_of_a_configuration_are_validated_before_nginx_runs() {
    for publish in [false, true] {
        let here = tempfile::tempdir().expect("there is room");
        let (config, published) = (here.path().join("conf.d"), here.path().join("published"));
        for directory in [&config, &published] {
            fs::create_dir(directory).expect("there is room");
        }
        let mut arguments = vec!["--app", "nginx", "--process", "no-such-nginx", "--watch", text(&config)];
        if publish {
            arguments.extend(["--publish", text(&published), "--mount", "/etc/nginx/conf.d"]);
        }
        fs::write(config.join("site.conf"), Including::server(80, "one")).expect("there is room");
        let (event, code) = once(gate_command(), &arguments);
        assert_eq!(code, Some(0), "{event}");
        fs::write(config.join("site.conf"), Including::server(80, "one").replace("return", "retrun")).expect("room");
        let (event, code) = once(gate_command(), &arguments);
        assert_eq!(code, Some(1), "{event}");
        assert!(
            event["message"].as_str().is_some_and(|said| said.contains("site.conf:4:5: unknown directive")),
            "{event}"
        );
    }
}

#[test]
fn an_application_that_is_down_is_told_the_line_of_its_mistake() {
    let here = tempfile::tempdir().expect("there is room");
    let main = here.path().join("nginx.conf");
    let config = |server: &str| format!("events {{}}\nhttp {{\n    server {{ listen 80; {server} }}\n}}\n");
    fs::write(&main, config("retrun 200;")).expect("there is room");
    // A gate in an image of its own, in which there is no nginx.
    let mut gate = gate_command();
    gate.env("PATH", here.path());
    let name = unique("dwn");
    gate.args(["run", "--app", "nginx", "--process", &name, "--settle", "20ms", "--watch", text(here.path())]);
    let mut gate = Gate::start(gate);
    let rejected = gate.wait_for("rejected");
    assert!(
        rejected["message"]
            .as_str()
            .is_some_and(|said| said.contains("nginx.conf:3") && said.contains("unknown directive")),
        "{rejected}"
    );
    fs::write(&main, config("return 200;")).expect("there is room");
    let missing = gate.wait_for("target_missing");
    assert!(missing["message"].as_str().is_some_and(|said| said.contains(&name)), "{missing}");
    assert_eq!((gate.count("accepted"), gate.count("rejected")), (0, 1), "{}", gate.story());
}

#[test]
fn a_checker_sees_the_mounts_of_its_target() {
    needs_root!();
    needs!("unshare", "mount", "python3");
    let here = tempfile::tempdir().expect("there is room");
    let (config, own) = (here.path().join("config"), here.path().join("own"));
    for (directory, content) in [(&config, "shared"), (&own, "private")] {
        fs::create_dir(directory).expect("there is room");
        fs::write(directory.join("app.conf"), content).expect("there is room");
    }
    fs::write(own.join("beside"), "only here").expect("there is room");
    let name = unique("mnt");
    let script = here.path().join(&name);
    let program = "#!/usr/bin/python3\nimport signal\nsignal.signal(signal.SIGHUP, lambda *_: None)\nopen('ready', 'w')\nwhile True: signal.pause()\n";
    fs::write(here.path().join("script"), program).expect("there is room");
    crate::support::install(&here.path().join("script"), &script);
    // As by systemd's `PrivateTmp=`: the same root directory, with another mount in it.
    let mut target = command("unshare");
    let bind = format!("mount --bind {0}/own {0}/config && exec {1}", here.path().display(), script.display());
    target.args(["--mount", "sh", "-c", &bind]).current_dir(here.path());
    let _target = Background::start(&mut target);
    eventually("the target is ready", || here.path().join("ready").exists());
    let arguments = ["--app", "none", "--process", &name, "--signal", "HUP", "--watch", text(&config), "--validate"];
    let (event, code) = once(gate_command(), &[&arguments[..], &["true"]].concat());
    assert_eq!((codes(&event), code), (vec!["not-what-the-target-sees"], Some(3)), "{event}");
    let arguments =
        ["--app", "none", "--process", &name, "--signal", "HUP", "--builtin", "ini", "--watch", text(&config)];
    let (event, code) = once(gate_command(), &arguments);
    assert_eq!((codes(&event), code), (vec!["not-what-the-target-sees"], Some(3)), "{event}");
    // The checker runs among the target's mounts.
    fs::write(own.join("app.conf"), "shared").expect("there is room");
    let checker = format!("grep -q only {}/beside", config.display());
    let arguments =
        ["--app", "none", "--process", &name, "--signal", "HUP", "--watch", text(&config), "--validate", &checker];
    let (event, code) = once(gate_command(), &arguments);
    assert_eq!(code, Some(0), "{event}");
}

#[test]
fn an_absolute_link_in_the_targets_root_is_followed_there() {
    needs!("nginx", "ldd", "chroot");
    if !rustix::process::geteuid().is_root() {
        return skip("only root may chroot");
    }
    // In the gate's own root there is no such path.
    let mut cage = Cage::reading("/link/nginx.conf");
    let (name, watch) = (cage.name.clone(), text(cage.volume.path()).to_owned());
    let arguments = ["--app", "nginx", "--process", &name, "--watch", &watch, "--mount", "/link"];
    for validator in [&[][..], &["--builtin", "nginx"]] {
        let mut gate = Gate::run(&[&arguments[..], validator].concat());
        gate.wait_for("verified");
        cage.write("two", "");
        gate.wait_for("reloaded");
        gate.wait_for("verified");
        cage.write("three", "nonsense;");
        let finding = gate.wait_for("rejected")["findings"][0].clone();
        let place = (&finding["file"], &finding["line"]);
        assert_eq!(place, (&"/link/nginx.conf".into(), &6.into()), "{validator:?} {finding}");
        cage.write("one", "");
        gate.wait_for("verified");
    }
}

#[test]
fn an_included_link_that_leads_nowhere_is_reported_until_it_leads_to_a_file() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let etc = nginx.directory().join("etc");
    fs::create_dir_all(etc.join("sites")).expect("there is room");
    fs::write(etc.join("nginx.conf"), nginx.config("two", "include sites/*;")).expect("there is room");
    let binary = nginx.directory().join(&nginx.name);
    // The port is free only when the old one has ended.
    nginx.process = Background::start(command("sleep").arg("1000"));
    let mut other = command(binary);
    other.arg("-c").arg(etc.join("nginx.conf")).arg("-p").arg(nginx.directory()).args(["-g", "daemon off;"]);
    nginx.process = Background::start(other.stderr(Stdio::null()));
    eventually("it serves", || nginx.serves("two"));
    let watch = etc.to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", watch]);
    gate.wait_for("verified");
    std::os::unix::fs::symlink("../site", etc.join("sites/site")).expect("there is room");
    let rejected = gate.wait_for_any(&["rejected", "inconclusive"]);
    assert!(rejected.to_string().contains("sites/site"), "{rejected}");
    fs::write(etc.join("site"), "").expect("there is room");
    gate.wait_for("verified");
    gate.wait_for("recovered");
}

#[test]
fn a_certificate_outside_of_the_sources_is_reported() {
    needs!("nginx", "openssl");
    let mut nginx = Nginx::start();
    let outside = tempfile::tempdir().expect("there is room");
    authority(outside.path());
    let at = |name: &str| outside.path().join(name).display().to_string();
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--app", "nginx", "--process", &nginx.name, "--watch", &watch].map(str::to_owned);
    let mut gate = Gate::run(&arguments.each_ref().map(String::as_str));
    gate.wait_for("verified");
    let more = format!("ssl_certificate {}; ssl_certificate_key {};", at("server.pem"), at("server.key"));
    nginx.write("two", &more);
    let unwatched = gate.wait_for("watch_degraded");
    let message = format!("`{}` and 1 more files are read and not watched", at("server.key"));
    assert_eq!(unwatched["message"], message, "{unwatched}");
    let help = unwatched["help"].as_str().expect("there is one");
    assert!(help.starts_with(&format!("add `--watch {}`: ", outside.path().display())), "{help}");
    gate.wait_for("verified");
    let output = gate_command().arg("doctor").args(&arguments).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().any(|line| line.starts_with("warn") && line.contains(&message)), "{text}");
}
