//! Programs of the presets as they run: a good change is reloaded, a bad one never reaches them.

mod one_worker;
mod read_once;
mod wrappers;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{
    Background, Gate, Kubelet, Volume, ask, command, copy, eventually, free_port, installed, report_skipped, served,
    unique,
};

/// A program under the gate, with its configuration in a volume.
struct Daemon {
    app: &'static str,
    file: &'static str,
    config: fn(&Path, u16, &str) -> String,
    /// Wrong line at the end.
    wrong: &'static str,
    /// Words before the file; `{port}` and `{here}` are replaced.
    arguments: &'static [&'static str],
    answers: fn(u16, &str) -> bool,
    signal: &'static str,
    /// The program tells the place of a mistake.
    has_place: bool,
}

/// Starts the program, changes its configuration for the worse and for the better, and looks at what it answers.
fn is_gated(daemon: &Daemon, proven: bool) {
    let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("dmn"), free_port());
    let here = directory.path();
    // Some of the programs run as another user.
    fs::set_permissions(here, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let config = |body: &str| (daemon.config)(here, port, body);
    let mut volume = Volume::new(here.join("config"), Kubelet::New, &[(daemon.file, &config("192.0.2.1"))]);
    let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", daemon.app, "--process", &name, "--watch", &watch]);
    gate.wait_for("target_missing");
    let mut program = command(copy(daemon.app, here, &name));
    let fill = |word: &&str| word.replace("{port}", &port.to_string()).replace("{here}", &here.to_string_lossy());
    program
        .args(daemon.arguments.iter().map(fill))
        .arg(volume.file(daemon.file))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
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
    if daemon.has_place {
        assert_eq!(finding["file"], volume.file(daemon.file).to_str().expect("it is UTF-8"), "{finding}");
        assert_eq!(finding["line"], bad.lines().count(), "{finding}");
    } else {
        assert!(finding["message"].as_str().is_some_and(|message| message.contains("nonsense")), "{finding}");
    }
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
        &Daemon {
            app,
            file,
            config,
            wrong: "    nonsense: yes",
            arguments,
            answers: resolves,
            signal: "SIGHUP",
            has_place: true,
        },
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
        &Daemon {
            app,
            file,
            config,
            wrong: "nonsense => 1",
            arguments,
            answers: served,
            signal: "SIGUSR1",
            has_place: true,
        },
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
    is_gated(
        &Daemon {
            app,
            file,
            config,
            wrong: "Nonsense on",
            arguments,
            answers: served,
            signal: "SIGUSR1",
            has_place: true,
        },
        true,
    );
}

/// The first bytes of the answer to a request over TCP; none if there is no connection, or no answer for a while.
fn answer(port: u16, request: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("it is long enough");
    stream.write_all(request).ok()?;
    let mut answer = [0; 512];
    let length = stream.read(&mut answer).unwrap_or_default();
    Some(answer[..length].to_vec())
}

/// Returns true if an MQTT broker lets anonymous clients in just where the address ends with 1.
fn lets_in(port: u16, address: &str) -> bool {
    // CONNECT with a clean session and without a client identifier; CONNACK has the return code in its fourth byte (MQTT 3.1.1, 3.2).
    let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
    let code = answer(port, connect).and_then(|answer| answer.get(3).copied());
    code == Some(if address.ends_with(".1") { 0 } else { 5 })
}

#[test]
fn mosquitto_is_reloaded() {
    if !is_there("mosquitto") {
        return;
    }
    let config = |_: &Path, port: u16, address: &str| {
        format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous {}\npersistence false\n",
            address.ends_with(".1")
        )
    };
    let (app, file, arguments) = ("mosquitto", "mosquitto.conf", &["-c"]);
    let (wrong, signal, has_place) = ("nonsense 3", "SIGHUP", true);
    is_gated(&Daemon { app, file, config, wrong, arguments, answers: lets_in, signal, has_place }, false);
}

/// Returns true if PgBouncer knows a database of this name.
fn knows_database(port: u16, name: &str) -> bool {
    // A startup message (PostgreSQL's protocol, version 3.0) with a user and a database.
    let parameters = format!("user\0app\0database\0{name}\0\0");
    let length = u32::try_from(parameters.len() + 8).expect("it is short");
    let startup = [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), parameters.as_bytes()].concat();
    answer(port, &startup).is_some_and(|answer| !String::from_utf8_lossy(&answer).contains("no such database"))
}

#[test]
fn pgbouncer_is_reloaded() {
    if !is_there("pgbouncer") {
        return;
    }
    let config = |_: &Path, port: u16, address: &str| {
        format!(
            "[databases]\n{address} = host=127.0.0.1 port=1 dbname=app\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = any\nunix_socket_dir =\n"
        )
    };
    // It does not run as root.
    let is_root = rustix::process::geteuid().is_root();
    let arguments: &[&str] = if is_root { &["-u", "nobody"] } else { &[] };
    let (app, file, wrong, signal) = ("pgbouncer", "pgbouncer.ini", "nonsense = 3", "SIGHUP");
    is_gated(&Daemon { app, file, config, wrong, arguments, answers: knows_database, signal, has_place: true }, false);
}

#[test]
fn uwsgi_is_reloaded_by_new_workers() {
    if !is_there("uwsgi") {
        return;
    }
    let config = |here: &Path, port: u16, body: &str| {
        let application = "import os\ndef application(env, start):\n    start('200 OK', [])\n    return [os.environ['BODY'].encode()]\n";
        fs::write(here.join("app.py"), application).expect("there is room");
        let here = here.display();
        format!(
            "[uwsgi]\nstrict = true\nplugin = python3\nmaster = true\nneed-app = true\nhttp-socket = 127.0.0.1:{port}\n\
             wsgi-file = {here}/app.py\npidfile = {here}/pid\nenv = BODY={body}\n"
        )
    };
    let (app, file, arguments) = ("uwsgi", "uwsgi.ini", &["--ini"]);
    let (wrong, signal, has_place) = ("nonsense = 3", "SIGHUP", false);
    is_gated(&Daemon { app, file, config, wrong, arguments, answers: served, signal, has_place }, true);
}

/// Returns true if vmagent has a job of this name.
fn has_job(port: u16, name: &str) -> bool {
    ask(port, "GET", "/targets").is_some_and(|answer| answer.body.contains(name))
}

#[test]
fn vmagent_is_reloaded() {
    if !is_there("vmagent") {
        return;
    }
    let config = |_: &Path, _: u16, name: &str| {
        format!("scrape_configs:\n  - job_name: {name}\n    static_configs:\n      - targets: [\"127.0.0.1:1\"]\n")
    };
    let arguments = &[
        "-httpListenAddr=127.0.0.1:{port}",
        "-remoteWrite.url=http://127.0.0.1:1/",
        "-remoteWrite.tmpDataPath={here}/data",
        "-promscrape.config",
    ];
    let (app, file, wrong, signal) = ("vmagent", "vmagent.yml", "    nonsense: 3", "SIGHUP");
    // Debian's version has no metric of the success of a reload.
    is_gated(&Daemon { app, file, config, wrong, arguments, answers: has_job, signal, has_place: true }, false);
}
