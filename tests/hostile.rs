//! A hostile pull request or process: what it names is not executed, or reaches nothing.

use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{Background, command, copy, eventually, gate_command, install, installed, needs, skip, unique};

/// A program that tries everything, and prints what it reached. Upper-case words are replaced.
const ATTEMPTS: &str = r#"import ctypes, fcntl, os, signal, socket, sys
reached = []
def attempt(name, what):
    try:
        if what() is not None: reached.append(name)
    except (OSError, ValueError): pass
def text(path): return open(path, 'rb').read() or None
def connect(family, address):
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(2); s.connect(address); return s
def uring():
    ring = ctypes.CDLL(None, use_errno=True).syscall(425, 4, ctypes.create_string_buffer(120))
    return ring if ring >= 0 else None
def terminal():
    fd = os.open('/dev/tty', os.O_RDWR)
    for byte in b'touch MARKER\n': fcntl.ioctl(fd, 0x5412, bytes([byte]))
    return fd
def trace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    return 1 if libc.ptrace(0x4206, pid, 0, 0) == 0 else None
def environments():
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try: found = b'hunter2' in open(f'/proc/{pid}/environ', 'rb').read()
        except OSError: found = False
        if found: return pid
attempt('ssh key', lambda: text('/root/.ssh/id_rsa'))
attempt('key of another user', lambda: text('/home/user/.netrc'))
attempt('token of the service account', lambda: text('/var/run/secrets/kubernetes.io/serviceaccount/token'))
attempt('token of the checkout', lambda: text('/srv/checkout/.git/config'))
attempt('home of a job', lambda: text('/srv/home/.netrc'))
attempt('files beside the checkout', lambda: text('/srv/checkout.tmp/KUBECONFIG'))
attempt('file that the environment names', lambda: text('/run/kubeconfig'))
attempt('other directories', lambda: text('/opt/key'))
attempt('closed directories', lambda: text('/srv/closed/key'))
attempt('a closed file system', lambda: text('/mnt/key'))
attempt('devices', lambda: set(os.listdir('/dev')) - set('null zero full random urandom fd stdin stdout stderr shm'.split()) or None)
attempt('environment', lambda: os.environ.get('SECRET'))
attempt('environment of others', environments)
attempt('tcp', lambda: connect(socket.AF_INET, ('127.0.0.1', PORT)))
attempt('socket of an agent', lambda: connect(socket.AF_UNIX, 'SOCKET'))
attempt('abstract socket', lambda: connect(socket.AF_UNIX, '\0ABSTRACT'))
attempt('hypervisor', lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
attempt('io_uring', uring)
attempt('signal', lambda: os.kill(CALLER, 0) or 1)
attempt('trace', lambda: trace(CALLER))
attempt('memory', lambda: open('/proc/CALLER/mem', 'rb'))
attempt('terminal', terminal)
for path in '/etc/NAME', '/tmp/NAME', '/root/NAME', '/run/NAME', 'OUTSIDE/NAME':
    try: open(path, 'w').write('x')
    except OSError: pass
if 'plain' not in sys.argv[0] and os.fork() == 0:
    while True:
        os.setsid()
        if os.fork(): os._exit(0)
print('reached:', reached)
sys.exit(1)
"#;

/// A ConfigMap with a program, and a pod with a sidecar that names it as the validator.
fn pull_request(program: &str) -> String {
    let program: String = program.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        r"apiVersion: v1
kind: ConfigMap
metadata: {{name: c}}
data:
  app.conf: |
{program}---
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  containers:
    - name: app
      image: app
      volumeMounts: [{{name: c, mountPath: /etc/app}}]
    - name: gate
      image: reload-gate
      args: [run, --watch, /etc/app, --process, app, --signal, HUP, --validate, 'python3 {{config}}']
      volumeMounts: [{{name: c, mountPath: /etc/app}}]
  volumes: [{{name: c, configMap: {{name: c}}}}]
"
    )
}

/// A directory for all users with the gate in it.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("there is room"));
        std::fs::set_permissions(place.0.path(), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
        install(Path::new(env!("CARGO_BIN_EXE_reload-gate")), &place.path("reload-gate"));
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).expect("there is room");
        self.path(name)
    }
}

/// No process has this word on its command line.
fn is_gone(word: &str) -> bool {
    let mut processes = std::fs::read_dir("/proc").expect("it is there").flatten();
    processes.all(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        !line.windows(word.len()).any(|part| part == word.as_bytes())
    })
}

/// Kills the processes with this word on their command line.
fn kill_all(word: &str) {
    for process in std::fs::read_dir("/proc").expect("it is there").flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let pid =
            process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid.filter(|_| line.windows(word.len()).any(|part| part == word.as_bytes())) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Lays out homes and tokens in a mount namespace of its own, and executes a command as a user.
const HOMES: &str = "mount -t tmpfs -o mode=0755 none /run && mount -t tmpfs none /root && mount -t tmpfs none /home && \
                     mkdir -p /run/secrets/kubernetes.io/serviceaccount /root/.ssh /home/user && \
                     echo k > /root/.ssh/id_rsa && echo k > /home/user/.netrc && \
                     echo k > /run/secrets/kubernetes.io/serviceaccount/token && chmod -R a+rX /root /home && \
                     mount -t tmpfs -o mode=0755 none /srv && mkdir -p /srv/checkout/.git /srv/home && \
                     mkdir -m 700 /srv/closed && echo k > /srv/closed/key && \
                     mount -t tmpfs -o mode=0700 none /mnt && echo k > /mnt/key && \
                     mount -t tmpfs -o mode=0755 none /opt && echo k > /opt/key && \
                     mkdir /srv/checkout.tmp && echo k > /srv/checkout.tmp/KUBECONFIG && echo k > /run/kubeconfig && \
                     export KUBECONFIG=/run/kubeconfig && \
                     echo k > /srv/checkout/.git/config && echo k > /srv/home/.netrc && \
                     cd /srv/checkout && HOME=/srv/home exec setpriv \"$@\"";

#[test]
fn what_a_pull_request_names_reaches_nothing() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can lay out homes and tokens, in a mount namespace");
    }
    needs!("python3", "unshare", "setpriv", "mount");
    let place = Place::new();
    let (name, socket, abstract_name) = (unique("evil"), place.path("agent.sock"), unique("agent"));
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let _agent = UnixListener::bind(&socket).expect("there is room");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    let address = SocketAddr::from_abstract_name(&abstract_name).expect("it is short");
    let _other = UnixListener::bind_addr(&address).expect("it is free");
    let program = ATTEMPTS
        .replace("PORT", &tcp.local_addr().expect("it is bound").port().to_string())
        .replace("SOCKET", socket.to_str().expect("it is UTF-8"))
        .replace("ABSTRACT", &abstract_name)
        .replace("CALLER", &std::process::id().to_string())
        .replace("MARKER", "/dev/null")
        .replace("OUTSIDE", place.0.path().to_str().expect("it is UTF-8"))
        .replace("NAME", &name);
    let input = place.write("pr.yaml", &pull_request(&program));
    let plain = place.write("plain.py", &program);
    let run = |user: &[&str], words: &[&str]| {
        let mut unshare = command("unshare");
        unshare.env("SECRET", "hunter2").args(["--mount", "sh", "-c", HOMES, "sh"]).args(user).args(words);
        let output = unshare.output().expect("it starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let gate = place.path("reload-gate");
    let [gate, input, plain] = [&gate, &input, &plain].map(|path| path.to_str().expect("it is UTF-8"));
    for user in [&["--"][..], &["--reuid=1000", "--regid=1000", "--clear-groups", "--"]] {
        // Without a view the same program reaches these.
        let said = run(user, &["python3", plain]);
        for reached in [
            "ssh key",
            "token of the service account",
            "token of the checkout",
            "home of a job",
            "files beside the checkout",
            "file that the environment names",
            "other directories",
            "devices",
            "environment",
            "tcp",
            "socket of an agent",
            "abstract",
        ] {
            assert!(said.contains(reached), "{user:?} {reached}: {said}");
        }
        eventually("the racer is killed", || {
            kill_all(plain);
            is_gone(plain)
        });
        let said = run(user, &[gate, "check", input]);
        assert!(said.contains("command-not-allowed") && !said.contains("reached:"), "{user:?} {said}");
        let said = run(user, &[gate, "check", "--allow-commands", input]);
        assert!(said.contains("reached: []"), "{user:?} {said}");
        for path in ["/etc", "/tmp"].map(Path::new).iter().chain([&place.0.path()]) {
            let written = path.join(&name);
            // The program without a view wrote it.
            let _ = std::fs::remove_file(&written);
        }
        let said = run(user, &[gate, "check", "--allow-commands", input]);
        assert!(said.contains("reached: []"), "{user:?} {said}");
        for path in ["/etc", "/tmp"].map(Path::new).iter().chain([&place.0.path()]) {
            assert!(!path.join(&name).exists(), "{user:?} {}", path.display());
        }
        assert!(is_gone("/etc/app/app.conf"), "nothing outlives the check");
    }
}

#[test]
fn without_a_view_a_command_of_the_inputs_is_an_obstacle() {
    needs!("unshare", "setpriv", "python3");
    let place = Place::new();
    let marker = place.path("marker");
    let program = format!("open('{}', 'w').write('x')", marker.display());
    let input = place.write("pr.yaml", &pull_request(&program));
    // Where the kernel allows no user namespaces (any more).
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \"$0\" check --allow-commands \"$1\"";
    let mut forbidden = command("unshare");
    forbidden.args(["--user", "--map-root-user", "sh", "-c", script]).arg(place.path("reload-gate")).arg(&input);
    let output = forbidden.output().expect("it starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if said.contains("unshare failed") {
        return skip("no user namespace can be made");
    }
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("view-not-possible"), "{said}");
    assert!(!marker.exists(), "{said}");
}

/// Runs a shell on a terminal of its own, types `line` and then `exit`, and prints what it showed.
const TERMINAL: &str = r#"import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0: os.execvp('bash', ['bash', '--norc', '-i'])
shown = b''
def read(until, seconds):
    global shown
    end = time.time() + seconds
    while until not in shown and time.time() < end:
        if select.select([fd], [], [], .1)[0]:
            try: shown += os.read(fd, 65536)
            except OSError: return
os.write(fd, b"PS1=; stty -echo; echo be''gun\n"); read(b'begun', 20)
os.write(fd, sys.argv[1].encode() + b"; echo do''ne\n"); read(b'done', 60)
os.write(fd, b"echo la''st; exit\n"); read(b'last', 20)
os.waitpid(pid, 0)
print(shown.decode(errors='replace'))
"#;

/// A program that types a command into its terminal.
const TYPES: &str = r#"import fcntl, os, sys
for path in '/dev/tty', '/proc/self/fd/0', '/proc/self/fd/1', '/proc/self/fd/2':
    try:
        fd = os.open(path, os.O_RDWR)
        for byte in b'touch MARKER\n': fcntl.ioctl(fd, 0x5412, bytes([byte]))
    except OSError: pass
sys.exit(1)
"#;

#[test]
fn a_command_of_the_inputs_types_nothing_into_the_terminal() {
    needs!("python3", "bash");
    let place = Place::new();
    let marker = place.path("typed");
    let types = TYPES.replace("MARKER", marker.to_str().expect("it is UTF-8"));
    let (input, plain) = (place.write("pr.yaml", &pull_request(&types)), place.write("plain.py", &types));
    let config = place.path("config");
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("app.conf"), &types).expect("there is room");
    let gate = place.path("reload-gate");
    let on_terminal = |line: &str| {
        let output = command("python3").args(["-c", TERMINAL, line]).output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let check = format!("{} check --allow-commands {}", gate.display(), input.display());
    let once = format!(
        "{} run --once --signal none --validate 'python3 {{config}}' --watch {}",
        gate.display(),
        config.display()
    );
    for line in [&check, &once, &once.replace("--once", "--once --sandbox off")] {
        let shown = on_terminal(line);
        assert!(shown.contains("done") && shown.contains("rejected"), "{shown}");
        assert!(!marker.exists(), "{line}: {shown}");
    }
    // The same program without the gate: newer kernels can forbid it altogether (`dev.tty.legacy_tiocsti`).
    let shown = on_terminal(&format!("python3 {}", plain.display()));
    let is_possible = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|text| text.trim() == "1");
    assert_eq!(marker.exists(), is_possible, "{shown}");
}

#[test]
fn the_executable_of_another_users_process_runs_with_that_users_rights() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be several users");
    }
    needs!("setpriv", "sh", "bash", "id");
    let place = Place::new();
    let (marker, config) = (place.path("marker"), place.path("config"));
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("nginx.conf"), "events {}\n").expect("there is room");
    // A process of another user that passes for a master of nginx. What it executes is a shell, which executes the file that its variable
    // for a start names (`BASH_ENV`), and is asked to validate a configuration.
    let shell = copy("bash", place.0.path(), "nginx");
    let start = place.write("start", &format!("id -u > {}\n", marker.display()));
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let mut master = command("setpriv");
    master.env("BASH_ENV", &start).args(nobody).args([
        "bash",
        "-c",
        "exec -a 'nginx: master process nginx' \"$0\" -c 'sleep 1000 & wait'",
    ]);
    let master = Background::start(master.arg(&shell));
    eventually("it runs", || marker.exists());
    std::fs::remove_file(&marker).expect("it is there");
    let mut gate = gate_command();
    gate.args([
        "run",
        "--once",
        "--log-format",
        "json",
        "--app",
        "nginx",
        "--root",
        "local",
        "--timeout",
        "2s",
        "--signal",
        "none",
        "--watch",
    ]);
    let output = gate.arg(&config).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    drop(master);
    let user = std::fs::read_to_string(&marker).unwrap_or_default();
    assert_eq!(user.trim(), "65534", "{said}");
}

/// The output of a gate with the bundled nginx checker and an nginx of another user, whose configuration includes a file.
fn including(place: &Place, path: &Path, master: &str, more: &[&str]) -> String {
    let directory = place.path("nginx");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {}/{name};", directory.display())).concat();
    let config = format!("events {{}} http {{ access_log off; {temporary} include {}; }}\n", path.display());
    std::fs::write(place.path("config/nginx.conf"), config).expect("there is room");
    let mut gate = gate_command();
    gate.args([
        "run",
        "--once",
        "--log-format",
        "json",
        "--builtin",
        "nginx",
        "--signal",
        "none",
        "--pid-file",
        master,
    ]);
    let output = gate.arg("--watch").arg(place.path("config")).args(more).output().expect("it starts");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_configuration_shows_nothing_that_its_application_may_not_read() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be several users");
    }
    needs!("nginx", "setpriv");
    let place = Place::new();
    let (config, directory) = (place.path("config"), place.path("nginx"));
    for made in [&config, &directory] {
        std::fs::create_dir(made).expect("there is room");
    }
    std::os::unix::fs::chown(&directory, Some(65534), Some(65534)).expect("root may");
    for above in [place.0.path(), &config, &directory] {
        std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let private = place.write("private", "hunter2-of-root on;\n");
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let public = place.write("public", "public-word on;\n");
    std::fs::set_permissions(&public, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let pid = directory.join("pid");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {}/{name};", directory.display())).concat();
    let log = directory.join("log");
    let text = format!(
        "daemon off; pid {}; error_log {}; events {{}} http {{ access_log off; {temporary} }}\n",
        pid.display(),
        log.display()
    );
    std::fs::write(config.join("nginx.conf"), text).expect("there is room");
    let mut nginx = command("setpriv");
    nginx.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "nginx", "-e"]).arg(&log).arg("-c");
    let _nginx = Background::start(nginx.arg(config.join("nginx.conf")));
    eventually("it runs", || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')));
    let master = pid.to_str().expect("it is UTF-8");
    for root in ["auto", "local", "target"] {
        let said = including(&place, &private, master, &["--root", root]);
        assert!(!said.contains("hunter2"), "{root}: {said}");
        assert!(said.contains("private"), "{root}: the file is named: {said}");
        let said = including(&place, &public, master, &["--root", root]);
        assert!(said.contains("public-word"), "{root}: what it may read is validated: {said}");
    }
}

#[test]
fn a_set_user_id_program_under_the_name_of_the_target_lends_nobody_its_rights() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be several users");
    }
    needs!("setpriv", "bash", "sleep");
    let place = Place::new();
    let (marker, config, name) = (place.path("marker"), place.path("config"), unique("suid"));
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("gunicorn.conf.py"), "\n").expect("there is room");
    // Another user chooses the words of the process, and with them the program that validates.
    let evil = place.write("evil", &format!("#!/bin/sh\nid -u > {}\n", marker.display()));
    let program = copy("sleep", place.0.path(), &name);
    for (path, mode) in [(&evil, 0o755), (&program, 0o4755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    }
    let mut process = command("setpriv");
    process.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "bash", "-c"]);
    process.arg("exec -a \"$1\" \"$0\" 1000").arg(&program).arg(&evil);
    let process = Background::start(&mut process);
    eventually("it runs", || {
        let words = std::fs::read(format!("/proc/{}/cmdline", process.pid())).unwrap_or_default();
        words.starts_with(evil.as_os_str().as_encoded_bytes())
    });
    for root in ["auto", "local", "target"] {
        let mut gate = gate_command();
        gate.args(["run", "--once", "--app", "gunicorn", "--process", &name, "--signal", "none", "--root", root]);
        let output = gate.arg("--watch").arg(&config).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!marker.exists(), "{root}: {said}");
        assert_eq!(output.status.code(), Some(3), "{root}: {said}");
        assert!(said.contains("set-user-ID"), "{root}: {said}");
    }
}

#[test]
fn a_process_of_two_users_lends_its_rights_only_if_root_chose_its_words() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be several users");
    }
    needs!("setpriv", "python3");
    let place = Place::new();
    let config = place.path("config");
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("app.conf"), "x\n").expect("there is room");
    // As Squid does it, and as a set-user-ID program leaves it to the next program.
    let itself = "import os, time; os.setresgid(65534, 0, 0); os.setresuid(65534, 0, 0); time.sleep(1000)";
    let (name, other) = (unique("two-users"), unique("two-users"));
    let sleep = copy("sleep", place.0.path(), &other);
    let mut of_root = command("python3");
    of_root.args(["-c", itself, &name]);
    let mut of_caller = command("setpriv");
    of_caller.args(["--ruid=65534", "--rgid=65534", "--clear-groups", "--"]).arg(&sleep).arg("1000");
    for (program, name, code) in [(&mut of_root, name, 0), (&mut of_caller, other, 3)] {
        let process = Background::start(program);
        eventually("it is of two users", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap_or_default();
            status.contains("Uid:\t65534\t0\t0\t") && !status.contains("setpriv")
        });
        let mut gate = gate_command();
        gate.args(["run", "--once", "--cmdline", &name, "--signal", "none", "--root", "target", "--validate", "true"]);
        let output = gate.arg("--watch").arg(&config).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(said.contains("set-user-ID"), code == 3, "{said}");
    }
}

#[test]
fn a_check_that_is_ended_leaves_nothing() {
    use rustix::process::Signal;
    for (signal, code) in [
        (Signal::TERM, 143),
        (Signal::INT, 130),
        (Signal::HUP, 129),
        (Signal::USR1, 138),
        (Signal::ALARM, 142),
        (Signal::QUIT, 131),
    ] {
        let place = Place::new();
        let (temporary, nap) = (place.path("tmp"), format!("1000.{}{code}", std::process::id()));
        std::fs::create_dir(&temporary).expect("there is room");
        let inputs = place.path("in");
        std::fs::create_dir(&inputs).expect("there is room");
        std::fs::write(inputs.join("app.conf"), "x\n").expect("there is room");
        let mut check = gate_command();
        check.env("TMPDIR", &temporary).args(["check", "--validate", &format!("sleep {nap}")]).arg(&inputs);
        let mut child = check.stdout(Stdio::piped()).spawn().expect("it starts");
        eventually("the checker runs", || !is_gone(&format!("sleep\0{nap}")));
        let left = || std::fs::read_dir(&temporary).expect("it is there").flatten().collect::<Vec<_>>();
        let mode = left()[0].metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "others may not read them");
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).expect("it runs");
        assert_eq!(child.wait().expect("it ends").code(), Some(code));
        let mut said = String::new();
        child.stdout.take().expect("it is piped").read_to_string(&mut said).expect("it is text");
        assert!(left().is_empty(), "{:?} {said}", left());
        eventually("the checker is gone", || is_gone(&format!("sleep\0{nap}")));
    }
}

/// Configurations that let their program execute a command, or code: each shows `EXECUTED` in an error if it did.
const EXECUTIONS: [(&str, &str, &str); 4] = [
    ("haproxy", "haproxy.cfg", "lua-load /etc/app/x.lua"),
    ("haproxy", "haproxy.cfg", "l\"ua\"-load /etc/app/x.lua"),
    ("dnsmasq", "dnsmasq.conf", "conf-script=/bin/echo EXECUTED"),
    ("lighttpd", "lighttpd.conf", "include_shell \"echo include EXECUTED\""),
];

/// A ConfigMap with such a configuration, and a pod of the program.
fn execution(program: &str, name: &str, line: &str) -> String {
    let section = if program == "haproxy" { "global" } else { "#" };
    format!(
        r"apiVersion: v1
kind: ConfigMap
metadata: {{ name: c }}
data:
  {name}: |
    {section}
      {line}
  x.lua: error('EXECUTED')
---
apiVersion: v1
kind: Pod
metadata: {{ name: p }}
spec:
  containers: [{{ name: app, image: {program}, volumeMounts: [{{ name: c, mountPath: /etc/app }}] }}]
  volumes: [{{ name: c, configMap: {{ name: c }} }}]
"
    )
}

/// Words of a command in a user namespace in which no view can be made.
pub(crate) fn without_view() -> Vec<&'static str> {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \"$@\"";
    vec!["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
}

#[test]
fn a_configuration_executes_nothing_without_permission() {
    needs!("haproxy", "unshare", "setpriv");
    let place = Place::new();
    for (program, name, line) in EXECUTIONS {
        if !installed(program) {
            skip(&format!("{program} is not installed"));
            continue;
        }
        let file = place.write("pr.yaml", &execution(program, name, line));
        let run = |before: &[&str], more: &[&str]| {
            let gate = env!("CARGO_BIN_EXE_reload-gate");
            let words = [before, &[gate, "check"], more, &[file.to_str().expect("it is UTF-8")]].concat();
            let output = command(words[0]).args(&words[1..]).output().expect("it starts");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let app = format!("--app={program}");
        for before in [vec![], without_view()] {
            let said = run(&before, &[]);
            if said.contains("unshare failed") {
                return skip("no user namespace can be made");
            }
            assert!(!said.contains("EXECUTED") && said.contains("would execute or load"), "{program}: {said}");
            let said = run(&before, &[&app]);
            assert!(!said.contains("EXECUTED") && said.contains("command-not-allowed"), "{program}: {said}");
        }
        let said = run(&[], &["--allow-commands", &app]);
        assert!(said.contains("EXECUTED"), "{program}: {said}");
    }
}

#[test]
fn without_a_view_a_program_that_may_execute_something_does_not_run() {
    needs!("haproxy", "unshare", "setpriv");
    let place = Place::new();
    let file = place.write("haproxy.cfg", "global\n  nonsense\n");
    let words = [&without_view()[..], &[env!("CARGO_BIN_EXE_reload-gate"), "check"]].concat();
    let output = command(words[0]).args(&words[1..]).arg(file).output().expect("it starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if said.contains("unshare failed") {
        return skip("no user namespace can be made");
    }
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("view-not-possible") && !said.contains("unknown keyword"), "{said}");
}
