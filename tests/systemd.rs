//! A real systemd as the first process of namespaces of its own: `systemctl reload nginx` with the drop-in, and the gate as a service.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::support::{Background, command, eventually, needs, report_skipped};

const SYSTEMD: &str = "/lib/systemd/systemd";

/// The preparations of the first process. Nothing of the machine may change: `/etc` and `/var/log` are copies in memory, and only the
/// units of this test are started, without `sysinit.target`, which would empty `/tmp`.
const SETUP: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs none /run
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/lock /run/up /run/work /run/systemd/system/nginx.service.d /run/systemd/system/reload-gate.service.d
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/up,workdir=/run/work /etc
mount -t tmpfs none /var/log
mkdir -p /var/log/nginx /etc/nginx /etc/reload-gate
cp "$0"/system/* /run/systemd/system
cp "$0/drop-in.conf" /run/systemd/system/nginx.service.d/reload-gate.conf
cp "$0/plain.conf" /run/systemd/system/reload-gate.service.d/plain.conf
cp "$0/nginx.conf" /etc/nginx
cp "$0/gates.yaml" /etc/reload-gate
exec env container=test /lib/systemd/systemd --system --unit=test.target --show-status=false --log-target=null
"#;

const NGINX: &str = "[Unit]
DefaultDependencies=no
[Service]
Type=forking
PIDFile=/run/nginx.pid
ExecStart=/usr/sbin/nginx
StandardOutput=append:/var/log/said
StandardError=append:/var/log/said
";

const CONFIG: &str = "pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {}
http {
    access_log off;
    server { listen 80; }
}
";

/// A machine that runs systemd.
struct Machine {
    systemd: String,
    _directory: tempfile::TempDir,
    _unshare: Background,
}

impl Machine {
    /// Starts it; `None` where that is not possible.
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("there is room");
        let here = directory.path();
        write_units(here);
        let mut unshare = command("unshare");
        unshare.args(["--pid", "--fork", "--kill-child", "--mount", "--net", "--cgroup", "--mount-proc"]);
        unshare.args(["sh", "-c", SETUP]).arg(here);
        let mut unshare = Background::start(&mut unshare);
        let children = format!("/proc/{0}/task/{0}/children", unshare.pid());
        let child = || std::fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
        let executes = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let is_systemd = |exe: PathBuf| exe.ends_with("systemd/systemd");
        eventually("systemd is executed, or cannot be", || {
            !unshare.is_alive() || executes(&child()).is_some_and(is_systemd)
        });
        let machine = Self { systemd: child(), _directory: directory, _unshare: unshare };
        let mut is_up = false;
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !is_up && !machine.systemd.is_empty() && std::time::Instant::now() < deadline {
            is_up = machine.run(&["systemctl", "is-active", "test.target"]).status.success();
        }
        is_up.then_some(machine)
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut enter = command("nsenter");
        enter.args(["--target", &self.systemd, "--pid", "--mount", "--net", "--cgroup"]).args(words);
        enter.env("SYSTEMD_PAGER", "").output().expect("nsenter is installed (util-linux)")
    }

    /// What a command prints, and its exit code.
    fn said(&self, words: &[&str]) -> (String, Option<i32>) {
        let output = self.run(words);
        (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.code())
    }

    /// Replaces a word of nginx's configuration.
    fn replace(&self, word: &str, by: &str) {
        let command = format!("s/{word} 80/{by} 80/");
        let (text, code) = self.said(&["sed", "-i", &command, "/etc/nginx/nginx.conf"]);
        assert_eq!(code, Some(0), "{text}");
    }

    /// The lines that nginx and its reloads have printed.
    fn journal(&self) -> String {
        self.said(&["cat", "/var/log/said"]).0
    }
}

fn write_units(here: &Path) {
    let ours = |text: &str| text.replace("/usr/bin/reload-gate", env!("CARGO_BIN_EXE_reload-gate"));
    let write = |name: &str, text: &str| std::fs::write(here.join(name), text).expect("there is room");
    std::fs::create_dir(here.join("system")).expect("there is room");
    write("system/test.target", "[Unit]\nDefaultDependencies=no\n");
    write("system/nginx.service", NGINX);
    write("system/reload-gate.service", &ours(include_str!("../deploy/systemd/reload-gate.service")));
    write("drop-in.conf", &ours(include_str!("../deploy/systemd/nginx.conf")));
    write("plain.conf", "[Unit]\nDefaultDependencies=no\n");
    write("nginx.conf", CONFIG);
    write("gates.yaml", "gates:\n  - app: nginx\n    watch: [/etc/nginx]\n    pid-file: /run/nginx.pid\n");
}

#[test]
fn a_reload_by_systemctl_fails_with_the_reason_and_a_gate_is_a_service() {
    needs!("nginx", "unshare", "nsenter", "systemctl");
    if !rustix::process::geteuid().is_root() || !Path::new(SYSTEMD).exists() {
        return report_skipped("only root may start a systemd, where there is one");
    }
    let Some(machine) = Machine::start() else {
        return report_skipped("systemd does not start in namespaces of its own here");
    };
    let (text, code) = machine.said(&["systemctl", "start", "nginx"]);
    assert_eq!(code, Some(0), "{text}");
    let (text, code) = machine.said(&["systemctl", "reload", "nginx"]);
    assert_eq!(code, Some(0), "{text}{}", machine.journal());
    assert!(machine.journal().contains("nginx: reloaded: pid "), "{}", machine.journal());

    machine.replace("listen", "lisen");
    let (text, code) = machine.said(&["systemctl", "reload", "nginx"]);
    assert!(code == Some(1) && text.contains("Job for nginx.service failed"), "{text}");
    let reason = "rejected, not reloaded: /etc/nginx/nginx.conf:6: unknown directive \"lisen\"";
    assert!(machine.journal().contains(reason), "{}", machine.journal());
    let (state, _) = machine.said(&["systemctl", "is-active", "nginx"]);
    assert_eq!(state, "active\n");

    machine.replace("lisen", "listen");
    let (text, code) = machine.said(&["systemctl", "start", "reload-gate"]);
    assert_eq!(code, Some(0), "{text}");
    let binary = env!("CARGO_BIN_EXE_reload-gate");
    // The unit is confined, so it has a mount namespace of its own.
    let (text, code) = machine.said(&[binary, "status", "--wait", "20s"]);
    assert!(code == Some(0) && text.starts_with("nginx: live, running "), "{text}");
    machine.replace("listen", "lisen");
    let status = || machine.said(&["systemctl", "show", "--property", "StatusText", "reload-gate"]).0;
    eventually("systemd shows the rejection", || status().contains("nginx: rejected: /etc/nginx/nginx.conf:6:"));
    assert_eq!(machine.said(&[binary, "status"]).1, Some(1));
    machine.replace("lisen", "listen");
    let (text, code) = machine.said(&["systemctl", "reload", "reload-gate"]);
    assert_eq!(code, Some(0), "{text}");
    eventually("the gate is live again", || status().contains("nginx: live"));
    let (text, code) = machine.said(&["systemctl", "stop", "reload-gate"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(machine.said(&["systemctl", "is-failed", "reload-gate"]).0, "inactive\n");
}
