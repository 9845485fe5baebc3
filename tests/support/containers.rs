//! Real containers, by podman: an application and the gate's image, which share processes and network as in a pod.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::{Duration, Instant};

use super::{Gate, PATIENCE, command, eventually, installed};

/// The image that `make image` built; its variant that is root has another tag.
pub(crate) const NOBODY_IMAGE: &str = "localhost/reload-gate:latest";
pub(crate) const ROOT_IMAGE: &str = "localhost/reload-gate:root";

/// What a container runtime gives to a container that says nothing (`DefaultLinuxCapabilities` in containerd's `oci/spec.go`).
pub(crate) const DEFAULT_CAPABILITIES: &str = "CHOWN,DAC_OVERRIDE,FSETID,FOWNER,MKNOD,NET_RAW,SETGID,SETUID,SETFCAP,\
                                               SETPCAP,NET_BIND_SERVICE,SYS_CHROOT,KILL,AUDIT_WRITE";

/// podman, with the settings under which it works without a daemon on any machine.
pub(crate) fn podman() -> Command {
    let mut podman = command("podman");
    podman.env("CONTAINERS_CONF", Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/containers.conf"));
    podman
}

/// What a podman command prints; it must succeed.
#[track_caller]
pub(crate) fn podman_says(arguments: &[&str]) -> String {
    let output = podman().args(arguments).output().expect("podman is installed");
    assert!(output.status.success(), "podman {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is UTF-8").trim().to_owned()
}

/// Why no container can be run here, if none can.
pub(crate) fn no_containers() -> Option<&'static str> {
    static WHY: OnceLock<Option<&str>> = OnceLock::new();
    *WHY.get_or_init(|| match () {
        () if !rustix::process::geteuid().is_root() => Some("only root can be several users"),
        () if !installed("podman") || !installed("runc") => Some("podman and runc are not installed"),
        () if [NOBODY_IMAGE, ROOT_IMAGE].iter().any(|image| !has_image(image)) => {
            Some("there is no image: `make image`")
        }
        () => None,
    })
}

fn has_image(image: &str) -> bool {
    podman().args(["image", "exists", image]).status().is_ok_and(|status| status.success())
}

/// Ends a test here where no container can be run.
macro_rules! needs_containers {
    () => {
        if let Some(why) = crate::support::no_containers() {
            return crate::support::skip(why);
        }
    };
}
pub(crate) use needs_containers;

/// An image for applications: nothing but the directories and users that programs expect. The programs are this machine's,
/// and mounted ([`programs`]).
pub(crate) fn application_image() -> &'static str {
    const NAME: &str = "localhost/reload-gate-test-application";
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = tempfile::tempdir().expect("there is room");
        let script = "mkdir -p etc/nginx tmp run usr root srv var/lib/nginx var/log/nginx\n\
                      for link in bin sbin lib lib64; do [ ! -e /usr/$link ] || ln -s usr/$link $link; done\n\
                      printf 'root:x:0:0::/:/bin/sh\\nwww-data:x:33:33::/:/bin/false\\nnobody:x:65534:65534::/:/bin/false\\n' > etc/passwd\n\
                      printf 'root:x:0:\\nwww-data:x:33:\\nnogroup:x:65534:\\n' > etc/group\n\
                      cp /etc/nginx/mime.types etc/nginx/ 2>/dev/null || :\n\
                      cp -r /etc/ld.so.cache /etc/alternatives etc/\n\
                      chmod 1777 tmp run var/lib/nginx var/log/nginx\n\
                      chmod 755 . && tar --create --file - . | podman import --quiet - \"$0\"";
        let mut shell = command("sh");
        shell.args(["-euc", script, NAME]).current_dir(root.path());
        shell.env("CONTAINERS_CONF", Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/containers.conf"));
        assert!(shell.stdout(Stdio::null()).status().expect("there is a shell").success());
    });
    NAME
}

/// The mounts of this machine's programs. Not of all of /usr: an image may have its configuration in /usr/local.
pub(crate) fn programs() -> Vec<String> {
    let directories = ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/share"];
    let there = directories.into_iter().filter(|directory| Path::new(directory).is_dir());
    there.map(|directory| mount(directory, directory, true)).collect()
}

/// The user and the capabilities of a container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Privileges<'a> {
    /// `UID:GID`.
    pub(crate) user: &'a str,
    /// Its capabilities, with commas between them.
    pub(crate) capabilities: &'a str,
    /// Whether it is as the restricted Pod Security Standard wants it: no new privileges, the default seccomp profile. And a
    /// root that cannot be written to.
    pub(crate) confined: bool,
}

impl Privileges<'_> {
    /// The same to podman.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--user={}", self.user), "--cap-drop=all".to_owned()];
        // For a user that is not root podman makes added capabilities ambient, so that it has them. In Kubernetes it has not.
        if self.user.starts_with("0:") {
            let capabilities = self.capabilities.split(',').filter(|capability| !capability.is_empty());
            arguments.extend(capabilities.map(|capability| format!("--cap-add={capability}")));
        }
        let confined = ["--read-only", "--read-only-tmpfs=false", "--security-opt=no-new-privileges"];
        match self.confined {
            true => arguments.extend(confined.map(str::to_owned)),
            false => arguments.push("--security-opt=seccomp=unconfined".to_owned()),
        }
        arguments
    }
}

/// A container that runs until the test ends.
pub(crate) struct Container {
    pub(crate) id: String,
    _program: RwLockReadGuard<'static, ()>,
}

/// Held while programs run in containers, where they bear the names that they have, and this machine sees them.
static PROGRAMS: RwLock<()> = RwLock::new(());

/// Waits until no program runs in a container, and keeps it so.
pub(crate) fn without_containers() -> RwLockWriteGuard<'static, ()> {
    let deadline = Instant::now() + 9 * PATIENCE;
    loop {
        // A test that waits in line would keep the second container from a test that has one.
        match PROGRAMS.try_write() {
            Ok(alone) => return alone,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(Duration::from_millis(50)),
        }
        assert!(Instant::now() < deadline, "containers never come to an end");
    }
}

/// A mark by which `.ci/test` removes the containers of a run that was interrupted.
fn label() -> String {
    format!("--label=reload-gate-test={}", std::env::temp_dir().display())
}

impl Container {
    /// Starts one with these arguments of `podman run`.
    #[track_caller]
    pub(crate) fn run<S: AsRef<str>>(arguments: &[S]) -> Self {
        let label = label();
        let mut words = vec!["run", "--detach", "--stop-timeout=0", &label];
        words.extend(arguments.iter().map(AsRef::as_ref));
        let program = PROGRAMS.read().unwrap_or_else(PoisonError::into_inner);
        Self { id: podman_says(&words), _program: program }
    }

    /// Starts a program of this machine in one, with these arguments of `podman run`.
    #[track_caller]
    pub(crate) fn application(arguments: &[String], command: &[&str]) -> Self {
        let mut words = [&programs(), arguments].concat();
        words.push(application_image().to_owned());
        words.extend(command.iter().map(|word| (*word).to_owned()));
        Self::run(&words)
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        let output = podman().args(["logs", &self.id]).output().expect("podman is installed");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// The process of the container, as this machine knows it.
    pub(crate) fn pid(&self) -> u32 {
        podman_says(&["inspect", "--format", "{{.State.Pid}}", &self.id]).parse().expect("a process id")
    }

    /// Waits until its program is called so: before, it is the container runtime.
    #[track_caller]
    pub(crate) fn is_called(&self, name: &str) {
        let pid = self.pid();
        let comm = format!("/proc/{pid}/comm");
        eventually(&format!("{name} runs: {}", self.log()), || {
            std::fs::read_to_string(&comm).is_ok_and(|comm| comm.trim() == name)
        });
    }

    /// The arguments that put a container into the same pod: one network and, if it is `shared`, one set of processes.
    pub(crate) fn pod(&self, shared: bool) -> Vec<String> {
        let mut arguments = vec![format!("--network=container:{}", self.id)];
        if shared {
            arguments.push(format!("--pid=container:{}", self.id));
        }
        arguments
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            super::show(&self.log());
        }
        let _ = podman().args(["rm", "--force", "--depend", "--time=0", &self.id]).stdout(Stdio::null()).status();
    }
}

/// A mount in the words of podman.
pub(crate) fn mount(from: impl Into<PathBuf>, to: &str, read_only: bool) -> String {
    format!("--volume={}:{to}:{}", from.into().display(), if read_only { "ro" } else { "rw" })
}

/// The gate's image, running: its events are read as those of a gate on this machine are.
pub(crate) fn gate_container<S: AsRef<str>>(image: &str, podman_arguments: &[S], arguments: &[&str]) -> Gate {
    let mut run = podman();
    run.args(["run", "--rm", &label()]).args(podman_arguments.iter().map(AsRef::as_ref)).arg(image).args(arguments);
    Gate::start(run)
}
