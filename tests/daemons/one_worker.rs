//! Programs with one worker, which each reload replaces: the reload is proven when it takes effect, and requested once.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::is_there;
use crate::support::{Background, Gate, Kubelet, Volume, command, copy, eventually, free_port, served, unique};

/// The name of the program in Debian's package `php-fpm`, which has the version of PHP in it.
fn php_fpm() -> Option<String> {
    let programs = fs::read_dir("/usr/sbin").into_iter().flatten().flatten();
    let names = programs.filter_map(|program| program.file_name().into_string().ok());
    let newest = names.filter(|name| name.starts_with("php-fpm")).max().unwrap_or_else(|| "php-fpm".into());
    is_there(&newest).then_some(newest)
}

/// A real php-fpm with one child.
struct PhpFpm {
    name: String,
    port: u16,
    volume: Volume,
    _process: Background,
    directory: tempfile::TempDir,
}

impl PhpFpm {
    fn start(program: &str) -> Self {
        let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("php"), free_port());
        let here = directory.path();
        // The child runs as another user.
        for (place, mode) in [("", 0o755), ("seen", 0o777)] {
            fs::create_dir_all(here.join(place)).expect("there is room");
            fs::set_permissions(here.join(place), fs::Permissions::from_mode(mode)).expect("it is ours");
        }
        let script = "<?php chdir(__DIR__); touch('seen/request'); while (!file_exists('go')) { usleep(5000); clearstatcache(); } \
                      echo getenv('BODY');";
        fs::write(here.join("wait.php"), script).expect("there is room");
        let config = Self::text(here, port, "one");
        let volume = Volume::new(here.join("config"), Kubelet::New, &[("php-fpm.conf", &config)]);
        let mut fpm = command(copy(program, here, &name));
        fpm.arg("-y").arg(volume.file("php-fpm.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Background::start(&mut fpm);
        eventually("php-fpm listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { name, port, volume, _process: process, directory }
    }

    fn text(here: &Path, port: u16, body: &str) -> String {
        let here = here.display();
        format!(
            "[global]\npid = {here}/pid\nerror_log = {here}/log\ndaemonize = no\nprocess_control_timeout = 60s\n[www]\n\
             listen = 127.0.0.1:{port}\nuser = nobody\ngroup = nogroup\npm = static\npm.max_children = 1\nenv[BODY] = {body}\n"
        )
    }

    fn write(&mut self, body: &str) {
        let config = Self::text(self.directory.path(), self.port, body);
        self.volume.write(&[("php-fpm.conf", &config)]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn gate(&self, more: &[&str]) -> Gate {
        let watch = self.volume.path().to_str().expect("it is UTF-8");
        let mut gate = Gate::run(&[&["--app", "php-fpm", "--process", &self.name, "--watch", watch], more].concat());
        gate.wait_for("verified");
        gate
    }
}

/// Requests a script, and returns its answer with the headers (FastCGI 1.0, sections 3 to 5).
fn ask(port: u16, script: &Path) -> String {
    let record = |kind: u8, content: &[u8]| {
        let [high, low] = u16::try_from(content.len()).expect("it is short").to_be_bytes();
        [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
    };
    let parameter = |name: &str, value: &str| {
        let lengths = [name, value].map(|text| u8::try_from(text.len()).expect("it is short"));
        [&lengths[..], name.as_bytes(), value.as_bytes()].concat()
    };
    let script = script.to_str().expect("it is UTF-8");
    let parameters = [parameter("SCRIPT_FILENAME", script), parameter("REQUEST_METHOD", "GET")].concat();
    // As a responder that closes the connection; then its parameters and its body, each with an empty record as its end.
    let begin = record(1, &[0, 1, 0, 0, 0, 0, 0, 0]);
    let request = [begin, record(4, &parameters), record(4, &[]), record(5, &[])].concat();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(&request).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_only_child_of_php_fpm_is_replaced_once() {
    let Some(program) = php_fpm() else { return };
    let mut fpm = PhpFpm::start(&program);
    fs::write(fpm.path("go"), "").expect("there is room");
    let mut gate = fpm.gate(&[]);
    let before = gate.count("reloaded");
    for body in ["two", "three"] {
        fpm.write(body);
        assert_eq!(gate.wait_for("reloaded")["signal"], "SIGUSR2");
        gate.wait_for("verified");
        let answer = ask(fpm.port, &fpm.path("wait.php"));
        assert!(answer.contains(body), "{answer}");
    }
    gate.listen(Duration::from_secs(1));
    assert_eq!((gate.count("reloaded") - before, gate.count("unverified")), (2, 0), "{}", gate.story());
}

#[test]
fn php_fpm_that_waits_for_a_request_is_told_once_and_proven_later() {
    let Some(program) = php_fpm() else { return };
    let mut fpm = PhpFpm::start(&program);
    let mut gate = fpm.gate(&["--verify-timeout", "1s"]);
    let before = gate.count("reloaded");
    let (port, script) = (fpm.port, fpm.path("wait.php"));
    let request = std::thread::spawn(move || ask(port, &script));
    eventually("the script runs", || fpm.path("seen/request").exists());
    fpm.write("two");
    gate.wait_for("reloaded");
    gate.wait_for("unverified");
    assert_eq!(gate.count("recovered"), 0, "{}", gate.story());
    fs::write(fpm.path("go"), "").expect("there is room");
    let answer = request.join().expect("it is answered");
    assert!(answer.contains("one"), "{answer}");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    let answer = ask(fpm.port, &fpm.path("wait.php"));
    assert!(answer.contains("two"), "{answer}");
    assert_eq!((gate.count("reloaded") - before, gate.count("unverified")), (1, 1), "{}", gate.story());
}

/// The configuration of an Apache with one child, whose answer is `body`.
fn apache(here: &Path, module: &str, port: u16, body: &str) -> String {
    let (here, modules) = (here.display(), "/usr/lib/apache2/modules");
    let workers = if module == "prefork" { 1 } else { 25 };
    format!(
        "ServerName localhost\nServerRoot {here}\nDefaultRuntimeDir {here}\nPidFile {here}/pid\nErrorLog {here}/error.log\n\
         LoadModule mpm_{module}_module {modules}/mod_mpm_{module}.so\nLoadModule authz_core_module {modules}/mod_authz_core.so\n\
         User nobody\nGroup nogroup\nStartServers 1\nServerLimit 1\nMaxRequestWorkers {workers}\nListen 127.0.0.1:{port}\n\
         DocumentRoot {here}\n<Directory {here}>\n    Require all denied\n</Directory>\nErrorDocument 403 \"{body}\"\n"
    )
}

#[test]
fn the_only_child_of_apache_is_replaced_once() {
    if !is_there("apache2") {
        return;
    }
    for module in ["event", "prefork"] {
        let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("apa"), free_port());
        let here = directory.path();
        fs::set_permissions(here, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let config = |body: &str| apache(here, module, port, body);
        let mut volume = Volume::new(here.join("config"), Kubelet::New, &[("apache2.conf", &config("one"))]);
        let mut server = command(copy("apache2", here, &name));
        server.args(["-DFOREGROUND", "-f"]).arg(volume.file("apache2.conf"));
        let _process = Background::start(server.stdout(Stdio::null()).stderr(Stdio::null()));
        eventually("apache serves", || served(port, "one"));
        let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
        let mut gate = Gate::run(&["--app", "apache2", "--process", &name, "--watch", &watch]);
        gate.wait_for("verified");
        let before = gate.count("reloaded");
        for body in ["two", "three"] {
            volume.write(&[("apache2.conf", &config(body))]);
            gate.wait_for("reloaded");
            gate.wait_for("verified");
            eventually("apache serves the new configuration", || served(port, body));
        }
        gate.listen(Duration::from_secs(1));
        assert_eq!((gate.count("reloaded") - before, gate.count("unverified")), (2, 0), "{module}: {}", gate.story());
    }
}

#[test]
fn a_reload_of_apache_by_another_program_on_a_rejected_content_is_noticed() {
    if !is_there("apache2") {
        return;
    }
    let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("apa"), free_port());
    let here = directory.path();
    fs::set_permissions(here, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let write = |body: &str| {
        fs::create_dir_all(here.join("config"))
            .and_then(|()| fs::write(here.join("next"), apache(here, "event", port, body)))
            .and_then(|()| fs::rename(here.join("next"), here.join("config/apache2.conf")))
            .expect("there is room");
    };
    write("one");
    let mut server = command(copy("apache2", here, &name));
    server.args(["-DFOREGROUND", "-f"]).arg(here.join("config/apache2.conf"));
    let process = Background::start(server.stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("apache serves", || served(port, "one"));
    // Apache takes it, and the policy does not.
    let policy = ["--validate", "sh -c '! grep -q forbidden \"$0\"' {config}", "--root", "local", "--poll", "500ms"];
    let watch = here.join("config").display().to_string();
    let target = ["--app", "none", "--signal", "USR1", "--verify", "workers", "--process", &name, "--watch", &watch];
    let mut gate = Gate::run(&[&target[..], &policy].concat());
    gate.wait_for("verified");
    write("forbidden");
    gate.wait_for("rejected");
    let master = i32::try_from(process.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("it runs");
    rustix::process::kill_process(master, rustix::process::Signal::USR1).expect("it runs");
    eventually("apache runs what was rejected", || served(port, "forbidden"));
    gate.wait_for("target_replaced");
    write("one");
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    eventually("apache runs what is accepted", || served(port, "one"));
}
