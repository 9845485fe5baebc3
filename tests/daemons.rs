//! Programs of the presets as they run: a good change is reloaded, a bad one never reaches them.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{
    Background, Gate, Kubelet, Volume, command, copy, eventually, free_port, installed, report_skipped, served, unique,
};

/// A program under the gate, with its configuration in a volume.
struct Daemon {
    app: &'static str,
    file: &'static str,
    config: fn(&Path, u16, &str) -> String,
    /// Wrong line at the end.
    wrong: &'static str,
    arguments: &'static [&'static str],
    answers: fn(u16, &str) -> bool,
    signal: &'static str,
}

/// Starts the program, changes its configuration for the worse and for the better, and looks at what it answers.
fn is_gated(daemon: &Daemon, proven: bool) {
    let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("dmn"), free_port());
    let here = directory.path();
    let config = |body: &str| (daemon.config)(here, port, body);
    let mut volume = Volume::new(here.join("config"), Kubelet::New, &[(daemon.file, &config("192.0.2.1"))]);
    let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", daemon.app, "--process", &name, "--watch", &watch]);
    gate.wait_for("target_missing");
    let mut program = command(copy(daemon.app, here, &name));
    program.args(daemon.arguments).arg(volume.file(daemon.file)).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Background::start(&mut program);
    eventually("it answers", || (daemon.answers)(port, "192.0.2.1"));
    gate.wait_for_any(&["verified", "unverified"]);
    // The start of a process is known to a hundredth of a second (`proc_pid_stat(5)`). A program that starts within that time after
    // the gate saw the configuration may have read an older one, and is reloaded.
    let at_start = gate.count("reloaded");
    assert!(at_start <= 1, "it has read its configuration at its start: {}", gate.story());
    let bad = config("192.0.2.2") + daemon.wrong + "\n";
    volume.write(&[(daemon.file, &bad)]);
    let rejected = gate.wait_for("rejected");
    let finding = &rejected["findings"][0];
    assert_eq!(finding["file"], volume.file(daemon.file).to_str().expect("it is UTF-8"), "{finding}");
    assert_eq!(finding["line"], bad.lines().count(), "{finding}");
    eventually("it answers as before", || process.is_alive() && (daemon.answers)(port, "192.0.2.1"));

    volume.write(&[(daemon.file, &config("192.0.2.3"))]);
    let reloaded = gate.wait_for("reloaded");
    assert_eq!((&reloaded["signal"], &reloaded["pid"]), (&daemon.signal.into(), &process.pid().into()));
    gate.wait_for(if proven { "verified" } else { "unverified" });
    eventually("it answers anew", || (daemon.answers)(port, "192.0.2.3"));
    assert!(process.is_alive());
    assert_eq!(gate.count("reloaded"), at_start + 1, "{}", gate.story());
}

/// True if the program is installed; reported if not, and a failure in `make test-presets`, which installs it.
fn is_there(program: &str) -> bool {
    let there = installed(program);
    if !there {
        report_skipped(&format!("{program} is not installed (`make test-presets` installs it)"));
        assert!(std::env::var_os("PRESETS").is_none_or(|presets| presets != "all"), "{program} is missing");
    }
    there
}

/// Returns true if a name server on this port gives `gate.test` this address.
fn resolves(port: u16, address: &str) -> bool {
    // A header with "recursion desired" and one question: `gate.test`, type A, class IN (RFC 1035, 4.1).
    let query = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04gate\x04test\x00\x00\x01\x00\x01";
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("it is long enough");
    let mut answer = [0; 512];
    let asked = socket.send_to(query, ("127.0.0.1", port)).and_then(|_| socket.recv(&mut answer));
    let Ok(length) = asked else { return false };
    let address: std::net::Ipv4Addr = address.parse().expect("it is one");
    answer[..length].ends_with(&address.octets())
}

#[test]
fn unbound_is_reloaded_and_never_ended() {
    if !is_there("unbound") {
        return;
    }
    let config = |directory: &Path, port: u16, address: &str| {
        format!(
            "server:\n    interface: 127.0.0.1\n    port: {port}\n    username: \"\"\n    chroot: \"\"\n    directory: \"{}\"\n    \
             pidfile: \"\"\n    use-syslog: no\n    local-data: \"gate.test. A {address}\"\n",
            directory.display()
        )
    };
    let (app, file, arguments) = ("unbound", "unbound.conf", &["-d", "-c"]);
    is_gated(
        &Daemon { app, file, config, wrong: "    nonsense: yes", arguments, answers: resolves, signal: "SIGHUP" },
        false,
    );
}

#[test]
fn lighttpd_is_reloaded_and_never_ended() {
    if !is_there("lighttpd") {
        return;
    }
    let config = |directory: &Path, port: u16, body: &str| {
        let root = directory.join(body);
        fs::create_dir_all(&root).and_then(|()| fs::write(root.join("index.html"), body)).expect("there is room");
        format!(
            "server.port = {port}\nserver.bind = \"127.0.0.1\"\nserver.document-root = \"{}\"\nindex-file.names = ( \"index.html\" )\n",
            root.display()
        )
    };
    let (app, file, arguments) = ("lighttpd", "lighttpd.conf", &["-D", "-f"]);
    is_gated(
        &Daemon { app, file, config, wrong: "nonsense => 1", arguments, answers: served, signal: "SIGUSR1" },
        false,
    );
}

#[test]
fn apache_is_reloaded_by_new_workers() {
    if !is_there("apache2") {
        return;
    }
    let config = |directory: &Path, port: u16, body: &str| {
        let here = directory.display();
        format!(
            "ServerName localhost\nServerRoot {here}\nDefaultRuntimeDir {here}\nPidFile {here}/pid\nErrorLog {here}/error.log\n\
             LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
             LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\nUser nobody\nGroup nogroup\n\
             Listen 127.0.0.1:{port}\nDocumentRoot {here}\n<Directory {here}>\n    Require all denied\n</Directory>\n\
             ErrorDocument 403 \"{body}\"\n"
        )
    };
    let (app, file, arguments) = ("apache2", "apache2.conf", &["-DFOREGROUND", "-f"]);
    is_gated(&Daemon { app, file, config, wrong: "Nonsense on", arguments, answers: served, signal: "SIGUSR1" }, true);
}
