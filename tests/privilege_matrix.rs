//! Privileges of a sidecar beside an nginx in another container: tried by the gate, predicted by the doctor, and
//! written into `docs/privileges.md` (`UPDATE_DOCS=1` writes it; without, the page must agree).

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{
    Container, DEFAULT_CAPABILITIES, Gate, Kubelet, Privileges, ROOT_IMAGE, Volume, application_image, gate_container,
    mount, needs_containers, podman, programs,
};

const NOBODY: Privileges<'static> = Privileges { user: "65532:65532", capabilities: "", confined: false };

/// An nginx, as its container runs it.
struct Application {
    about: &'static str,
    privileges: Privileges<'static>,
    port: u16,
    sidecars: &'static [Sidecar],
}

/// A gate beside it.
struct Sidecar {
    about: &'static str,
    privileges: Privileges<'static>,
    /// It runs in the application's image.
    own_image: bool,
    expected: Row,
}

/// Operations that are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    signal: bool,
    root: bool,
    checker: bool,
    tier: &'static str,
}

const fn root(capabilities: &'static str) -> Privileges<'static> {
    Privileges { user: "0:0", capabilities, confined: false }
}

const fn beside(about: &'static str, privileges: Privileges<'static>, expected: Row) -> Sidecar {
    Sidecar { about, privileges, own_image: false, expected }
}

const fn row(signal: bool, root: bool, checker: bool, tier: &'static str) -> Row {
    Row { signal, root, checker, tier }
}

const FULL: Row = row(true, true, true, "target-root");
const SIGNAL: Row = row(true, false, false, "builtin");
const NOTHING: Row = row(false, false, false, "none");

const UNPRIVILEGED: Privileges<'static> = Privileges { user: "101:101", capabilities: "", confined: true };
const WITH_PTRACE: &str = "CHOWN,DAC_OVERRIDE,FSETID,FOWNER,MKNOD,NET_RAW,SETGID,SETUID,SETFCAP,SETPCAP,NET_BIND_SERVICE,\
                           SYS_CHROOT,KILL,AUDIT_WRITE,SYS_PTRACE";
const LEAST: &str = "CHOWN,DAC_OVERRIDE,NET_BIND_SERVICE,SETGID,SETUID";

const MATRIX: &[Application] = &[
    Application {
        about: "root, default capabilities",
        privileges: root(DEFAULT_CAPABILITIES),
        port: 80,
        sidecars: &[
            beside("root, default capabilities", root(DEFAULT_CAPABILITIES), FULL),
            beside(
                "root, default capabilities; read-only root, no new privileges, `RuntimeDefault` seccomp",
                Privileges { confined: true, ..root(DEFAULT_CAPABILITIES) },
                FULL,
            ),
            beside("root, `drop: [ALL]`", root(""), SIGNAL),
            beside("root, `drop: [ALL]`, `add: [KILL]`", root("KILL"), SIGNAL),
            beside(
                "root, `drop: [ALL]`, `add: [KILL, SYS_PTRACE]`",
                root("KILL,SYS_PTRACE"),
                row(true, true, false, "builtin"),
            ),
            beside(
                "root, `drop: [ALL]`, `add: [KILL, SYS_PTRACE, SYS_CHROOT]`",
                root("KILL,SYS_PTRACE,SYS_CHROOT"),
                row(true, true, false, "none"),
            ),
            beside(
                "root, `drop: [ALL]`, `add: [KILL, SYS_PTRACE, SYS_CHROOT, CHOWN, DAC_OVERRIDE, NET_BIND_SERVICE]`",
                root("KILL,SYS_PTRACE,SYS_CHROOT,CHOWN,DAC_OVERRIDE,NET_BIND_SERVICE"),
                FULL,
            ),
            beside("another user, whatever is added", NOBODY, NOTHING),
        ],
    },
    Application {
        about: "root, `drop: [ALL]`, `add: [CHOWN, DAC_OVERRIDE, NET_BIND_SERVICE, SETGID, SETUID]`",
        privileges: root(LEAST),
        port: 80,
        sidecars: &[
            beside(
                "root, the same and `SYS_CHROOT`; read-only root, no new privileges, `RuntimeDefault` seccomp",
                Privileges { confined: true, ..root("CHOWN,DAC_OVERRIDE,NET_BIND_SERVICE,SETGID,SETUID,SYS_CHROOT") },
                FULL,
            ),
            beside("root, the same", root(LEAST), row(true, true, false, "builtin")),
        ],
    },
    Application {
        about: "user 101, `drop: [ALL]` (the restricted standard)",
        privileges: UNPRIVILEGED,
        port: 8080,
        sidecars: &[
            Sidecar {
                about: "the same user and group in the application's own image, `--root local`, restricted too",
                privileges: UNPRIVILEGED,
                own_image: true,
                expected: row(true, true, false, "local"),
            },
            beside("the same user and group, restricted too", UNPRIVILEGED, row(true, true, false, "builtin")),
            beside("the same user, another group", Privileges { user: "101:102", ..NOBODY }, SIGNAL),
            beside("root, default capabilities", root(DEFAULT_CAPABILITIES), SIGNAL),
            beside("root, default capabilities and `add: [SYS_PTRACE]`", root(WITH_PTRACE), FULL),
            beside("root, `drop: [ALL]`", root(""), NOTHING),
            beside(
                "root, `drop: [ALL]`, `add: [KILL, SYS_PTRACE, SYS_CHROOT, SETGID, SETUID, DAC_READ_SEARCH]`",
                root("KILL,SYS_PTRACE,SYS_CHROOT,SETGID,SETUID,DAC_READ_SEARCH"),
                FULL,
            ),
            beside("another user, whatever is added", NOBODY, NOTHING),
        ],
    },
];

impl Application {
    fn config(&self, body: &str) -> String {
        let user = if self.privileges.user == "0:0" { "user nobody nogroup;\n" } else { "" };
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path /tmp/{name}; "));
        format!(
            "{user}pid /tmp/nginx.pid;\nerror_log stderr notice;\nevents {{}}\nhttp {{\n    access_log off;\n    {}\n    \
             server {{ listen {}; return 200 '{body}'; }}\n}}\n",
            temporary.concat(),
            self.port
        )
    }

    fn start(&self, volume: &Volume) -> Container {
        let mut arguments = vec!["--network=none".to_owned(), "--tmpfs=/tmp:mode=1777".to_owned()];
        arguments.push(mount(volume.path(), "/etc/nginx", true));
        arguments.extend(self.privileges.arguments());
        let container = Container::application(&arguments, &["nginx", "-g", "daemon off;"]);
        container.is_called("nginx");
        container
    }
}

impl Sidecar {
    /// The arguments of podman and of the gate, without the gate's command.
    fn arguments(&self, application: &Container, volume: &Volume) -> (Vec<String>, Vec<&'static str>) {
        let mut arguments = application.pod(true);
        arguments.push(mount(volume.path(), "/etc/nginx", true));
        arguments.extend(self.privileges.arguments());
        let mut flags = vec!["--app", "nginx", "--watch", "/etc/nginx"];
        if self.own_image {
            // As `reload-gate install` leaves it in a volume.
            arguments.extend(programs());
            arguments.extend([mount(env!("CARGO_BIN_EXE_reload-gate"), "/gate/reload-gate", true)]);
            arguments.extend(["--tmpfs=/tmp:mode=1777".to_owned(), "--entrypoint=/gate/reload-gate".to_owned()]);
            flags.extend(["--root", "local"]);
        }
        (arguments, flags)
    }

    fn image(&self) -> &'static str {
        if self.own_image { application_image() } else { ROOT_IMAGE }
    }

    fn diagnosis(&self, application: &Container, volume: &Volume) -> Value {
        let (arguments, flags) = self.arguments(application, volume);
        let mut doctor = podman();
        doctor.args(["run", "--rm"]).args(&arguments).args([self.image(), "doctor", "--format", "json"]).args(&flags);
        let output = doctor.output().expect("podman is installed");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn run(&self, application: &Container, volume: &Volume) -> Gate {
        let (arguments, flags) = self.arguments(application, volume);
        gate_container(self.image(), &arguments, &[&["run"], flags.as_slice()].concat())
    }
}

/// The observed result of a good change, compared with the doctor's prediction: the row, and the doctor's help.
fn observed(application: &Application, sidecar: &Sidecar) -> (Row, String) {
    let directory = tempfile::tempdir().expect("there is room");
    let files = |body| application.config(body);
    let mut volume = Volume::new(directory.path().join("config"), Kubelet::New, &[("nginx.conf", &files("one"))]);
    let container = application.start(&volume);
    let diagnosis = sidecar.diagnosis(&container, &volume);
    let mut gate = sidecar.run(&container, &volume);
    let first = gate.wait_for_any(&["accepted", "inconclusive"]);
    let judged = first["event"] == "accepted";
    let text = first.to_string();
    let mut signal = false;
    if judged {
        // What was there before nginx started needs no signal.
        gate.wait_for_any(&["verified", "target_refused"]);
        volume.write(&[("nginx.conf", &files("two"))]);
        gate.wait_for("accepted");
        let told = gate.wait_for_any(&["reloaded", "target_refused"]);
        signal = told["event"] == "reloaded";
        if signal {
            gate.wait_for("verified");
        }
    }
    let found = |name: &str| {
        let checks = diagnosis["checks"].as_array().expect("there are some");
        checks
            .iter()
            .find(|check| check["check"] == name)
            .map_or("", |check| check["status"].as_str().unwrap_or_default())
    };
    let checker = judged && text.contains("validated by `nginx -t`, in the root of pid");
    let tier = match () {
        () if !judged || !signal => "none",
        () if checker => "target-root",
        () if text.contains("validated by `nginx -t`, here") => "local",
        () => "builtin",
    };
    // Without a verdict no signal was sent, and the doctor alone has tried it.
    let signal = if judged { signal } else { found("signal") == "ok" };
    let root =
        !["cannot look into", "cannot see which file"].iter().any(|closed| diagnosis.to_string().contains(closed));
    let observed = Row { signal, root, checker, tier };
    let foretold = (found("signal") == "ok", found("target-root") == "ok", diagnosis["tier"].as_str());
    assert_eq!(foretold, (signal, checker, Some(tier)), "the doctor: {diagnosis:#}\nthe gate: {}", gate.story());
    let help = diagnosis["checks"].as_array().into_iter().flatten().filter(|check| check["status"] != "ok");
    let said = help.filter_map(|check| check["help"].as_str()).next().unwrap_or_default().to_owned();
    (observed, said)
}

impl Row {
    fn cells(self) -> String {
        let yes = |is: bool| if is { "yes" } else { "no" };
        let effect = match (self.tier, self.signal) {
            ("target-root", _) => "validated by `nginx -t` in the application's root",
            ("local", _) => "validated by `nginx -t` in the gate's own root",
            ("builtin", _) => "validated by the bundled validator",
            (_, true) => "stays closed: `nginx -t` runs, and lacks a privilege that it needs there",
            (_, false) => "stays closed: the application cannot be signalled",
        };
        format!("{} | {} | {} | {effect} | `{}`", yes(self.signal), yes(self.root), yes(self.checker), self.tier)
    }
}

#[test]
fn every_row_of_the_privileges_is_as_documented_and_as_the_doctor_says() {
    needs_containers!();
    let mut table = String::from(
        "| nginx runs as | the gate runs as | may signal | can read its root | `nginx -t` works there | a change is | tier |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for application in MATRIX {
        for sidecar in application.sidecars {
            let (row, _) = observed(application, sidecar);
            assert_eq!(row, sidecar.expected, "{} beside {}", sidecar.about, application.about);
            let _ = writeln!(table, "| {} | {} | {} |", application.about, sidecar.about, row.cells());
        }
    }
    crate::documents::agrees(Path::new("docs/privileges.md"), "privileges", &table);
}
