//! Programs that read their configuration at their start alone: it is validated, and they are left alone.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::{answer, is_there, resolves};
use crate::support::{Background, Gate, Kubelet, Volume, command, copy, eventually, free_port, unique};

/// A program that runs with its configuration in a volume.
struct ReadOnce {
    volume: Volume,
    name: String,
    process: Background,
    _directory: tempfile::TempDir,
}

impl ReadOnce {
    fn start(program: &str, file: &str, arguments: &[&str], config: impl Fn(&Path) -> String) -> Self {
        let (directory, name) = (tempfile::tempdir().expect("there is room"), unique("onc"));
        let volume = Volume::new(directory.path().join("config"), Kubelet::New, &[(file, &config(directory.path()))]);
        let mut process = command(copy(program, directory.path(), &name));
        process.args(arguments).arg(volume.file(file)).current_dir(directory.path());
        let process = Background::start(process.stdout(Stdio::null()).stderr(Stdio::null()));
        Self { volume, name, process, _directory: directory }
    }

    fn watch(&self) -> String {
        self.volume.path().to_str().expect("it is UTF-8").to_owned()
    }

    /// A good and a bad change are validated, and the process is not touched.
    fn is_only_validated(&mut self, app: &str, file: &str, texts: [&str; 2], reason: &str) {
        let watch = self.watch();
        let mut gate = Gate::run(&["--app", app, "--process", &self.name, "--watch", &watch]);
        gate.wait_for("accepted");
        self.volume.write(&[(file, texts[0])]);
        gate.wait_for("accepted");
        self.volume.write(&[(file, texts[1])]);
        let rejected = gate.wait_for("rejected");
        assert!(rejected["message"].as_str().is_some_and(|message| message.contains(reason)), "{rejected}");
        self.volume.write(&[(file, texts[0])]);
        gate.wait_for("recovered");
        let sent = gate.count("reloaded") + gate.count("verified") + gate.count("unverified");
        assert_eq!((sent, self.process.is_alive()), (0, true), "{}", gate.story());
    }
}

#[test]
fn redis_is_only_validated_and_its_ignored_signal_is_not_sent() {
    if !is_there("redis-server") {
        return;
    }
    let port = free_port();
    let config = |more: &str| format!("port {port}\nbind 127.0.0.1\nsave \"\"\n{more}\n");
    let mut redis = ReadOnce::start("redis-server", "redis.conf", &[], |_| config(""));
    let pongs = || answer(port, b"PING\r\n").is_some_and(|answer| answer.starts_with(b"+PONG"));
    eventually("redis answers", pongs);
    redis.is_only_validated("redis", "redis.conf", [&config("hz 20"), &config("nonsense on")], "Bad directive");
    let arguments = ["--process", &redis.name, "--signal", "HUP", "--watch", &redis.watch(), "--validate", "true"];
    let mut gate = Gate::run(&arguments);
    let refused = gate.wait_for_any(&["target_refused", "reloaded"]);
    let message = format!("pid {} ignores SIGHUP, so it was not sent", redis.process.pid());
    assert_eq!(refused["message"], message);
    gate.listen(Duration::from_millis(500));
    assert_eq!((gate.count("reloaded"), pongs()), (0, true), "{}", gate.story());
}

#[test]
fn dnsmasq_is_only_validated() {
    if !is_there("dnsmasq") {
        return;
    }
    let port = free_port();
    let config = |here: &Path, more: &str| {
        format!(
            "port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\npid-file={}/pid\n\
             address=/gate.test/192.0.2.1\n{more}\n",
            here.display()
        )
    };
    let mut dnsmasq = ReadOnce::start("dnsmasq", "dnsmasq.conf", &["-k", "-C"], |here| config(here, ""));
    eventually("dnsmasq answers", || resolves(port, "192.0.2.1"));
    let here = dnsmasq.volume.path().parent().expect("it has one").to_path_buf();
    let texts = [config(&here, "cache-size=100"), config(&here, "nonsense=on")];
    dnsmasq.is_only_validated("dnsmasq", "dnsmasq.conf", [&texts[0], &texts[1]], "bad option");
    assert!(resolves(port, "192.0.2.1"));
}
