//! The command `doctor`, on real processes of several users. The gate then has to do as it reports.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::privileges::{NOBODY, Place, Target, needs_root};
use crate::support::{Cage, Gate, Nginx, command, free_port, gate_command, needs, skip, unique};

/// Report and exit code of `doctor`.
struct Diagnosis {
    report: Value,
    code: i32,
}

impl Diagnosis {
    #[track_caller]
    fn of(mut doctor: Command, arguments: &[&str]) -> Self {
        let output = doctor.arg("doctor").args(arguments).args(["--format", "json"]).output().expect("it starts");
        let (text, code) = (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code());
        let report = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {text}{}", String::from_utf8_lossy(&output.stderr)));
        let diagnosis = Self { report, code: code.expect("it ends by itself") };
        diagnosis.expect_remedies();
        diagnosis
    }

    /// Expects a remedy for each check that has failed or warns.
    #[track_caller]
    fn expect_remedies(&self) {
        for check in self.report["checks"].as_array().expect("there are some") {
            let has_help = check["help"].as_str().is_some_and(|help| !help.is_empty());
            assert!(check["status"] == "ok" || has_help, "no remedy: {check:#}");
        }
    }

    fn tier(&self) -> &str {
        self.report["tier"].as_str().expect("there is one")
    }

    /// The first check of that name.
    #[track_caller]
    fn check(&self, name: &str) -> &Value {
        let checks = self.report["checks"].as_array().expect("there are some");
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name}: {:#}", self.report))
    }

    /// Expects the result of a check, and words in its message and its help.
    #[track_caller]
    fn expect(&self, name: &str, status: &str, message: &str, help: &str) {
        let check = self.check(name);
        let says = |key: &str, words: &str| check[key].as_str().unwrap_or_default().contains(words);
        assert_eq!(check["status"], status, "{:#}", self.report);
        assert!(says("message", message) && says("help", help), "`{message}`, `{help}`: {check:#}");
    }
}

#[test]
fn beside_an_nginx_of_the_same_user_its_own_checker_validates() {
    needs!("nginx");
    let nginx = Nginx::start();
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let listen = format!("127.0.0.1:{}", free_port());
    let arguments = ["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--listen", &listen];
    let found = Diagnosis::of(gate_command(), &arguments);
    let pid = nginx.process.pid();
    assert_eq!((found.tier(), found.code, &found.report["version"]), ("target-root", 0, &Value::from(1)));
    for (check, message) in [
        ("source", "number of files: 1".to_owned()),
        ("watch", "inotify reports changes".to_owned()),
        ("target", format!("pid {pid} (`nginx: master process ")),
        ("judge", format!("validated by `nginx -t`, as the user of pid {pid}")),
        ("signal", format!("the gate may send SIGHUP to pid {pid}, which has a handler for it")),
        ("proof", format!("number of workers of pid {pid}: 1")),
        ("listen", format!("`{listen}` is free")),
    ] {
        found.expect(check, "ok", &message, "");
    }
    assert_eq!(nginx.signals(), 0, "no signal was sent");
    // The address may belong to a running gate, and to no other program.
    let mut gate = Gate::run(&arguments);
    gate.wait_for("verified");
    Diagnosis::of(gate_command(), &arguments).expect("listen", "ok", "a gate already listens on", "");
    drop(gate);
    let other = TcpListener::bind(&listen).expect("it is free again");
    let found = Diagnosis::of(gate_command(), &arguments);
    found.expect("listen", "fail", "cannot listen on", "give this one another port");
    assert_eq!((found.tier(), found.code), ("target-root", 1));
    drop(other);
}

#[test]
fn the_report_names_the_lines_that_the_pod_lacks_for_the_next_tier() {
    needs_root!();
    needs!("nginx");
    let (place, cage) = (Place::new(), Cage::with_nginx());
    let watch = cage.volume.path().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--app", "nginx", "--process", &cage.name, "--watch", &watch, "--mount", "/config"];
    let pid = cage.process.pid();
    // Privileges, tier, and words of the help.
    let cases: [(&[&str], &str, &str); 3] = [
        (&[], "target-root", ""),
        (&["--bounding-set=-sys_chroot"], "builtin", "`securityContext.capabilities.add: [SYS_CHROOT]`"),
        (&NOBODY, "none", "`securityContext: {runAsUser: 0, runAsGroup: 0}`, and run `doctor` again"),
    ];
    for (privileges, tier, help) in cases {
        let found = Diagnosis::of(place.gate(privileges), &arguments);
        assert_eq!((found.tier(), found.code), (tier, i32::from(tier == "none")), "{:#}", found.report);
        let works = tier == "target-root";
        let message = if works { format!("validated by `nginx -t`, in the root of pid {pid}") } else { String::new() };
        found.expect("target-root", if works { "ok" } else { "warn" }, &message, help);
        found.expect("judge", if works { "ok" } else { "warn" }, "", help);
        // The gate does as reported.
        let mut gate = place.gate(privileges);
        gate.arg("run").args(arguments).arg("--observe");
        let accepted = Gate::start(gate).wait_for("accepted");
        let by = if works {
            "validated by `nginx -t`, in the root of pid"
        } else {
            "validated by the bundled nginx checker"
        };
        assert!(accepted.to_string().contains(by), "{accepted}");
    }
}

#[test]
fn a_target_that_sees_something_else_is_a_failure() {
    needs_root!();
    needs!("nginx");
    let (place, cage) = (Place::new(), Cage::with_nginx());
    let watch = cage.volume.path().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--app", "nginx", "--process", &cage.name, "--watch", &watch];
    let found = Diagnosis::of(place.gate(&[]), &arguments);
    assert_eq!((found.tier(), found.code), ("none", 1), "{:#}", found.report);
    let message = format!("pid {} sees nothing at `{watch}/nginx.conf`", cage.process.pid());
    found.expect("judge", "fail", &message, "`--mount DIR`");
}

#[test]
fn a_gate_that_validates_here_gets_no_advice_about_another_tier() {
    needs!("nginx");
    let nginx = Nginx::start();
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--root", "local"];
    let found = Diagnosis::of(gate_command(), &arguments);
    assert_eq!((found.tier(), found.code, &found.report["next"]), ("local", 0, &Value::Null), "{:#}", found.report);
    let checks = found.report["checks"].as_array().expect("there are some");
    assert!(checks.iter().all(|check| check["check"] != "target-root"), "{:#}", found.report);
    let sandbox = found.check("sandbox")["message"].as_str().expect("it is said");
    assert!(sandbox.contains("validator commands are"), "{sandbox}");
}

#[test]
fn no_help_asks_for_more_than_the_bundled_validator() {
    needs_root!();
    needs!("nginx", "setpriv");
    let (place, cage) = (Place::new(), Cage::with_nginx());
    let watch = cage.volume.path().to_str().expect("it is UTF-8").to_owned();
    // As in the gate's own image, nginx is not there.
    let programs = place.path().join("bin");
    std::fs::create_dir(&programs).expect("there is room");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let setpriv = std::env::split_paths(&path).map(|dir| dir.join("setpriv")).find(|path| path.exists());
    std::os::unix::fs::symlink(setpriv.expect("it is installed"), programs.join("setpriv")).expect("there is room");
    let mut gate = place.gate(&["--bounding-set=-sys_chroot"]);
    gate.env("PATH", &programs);
    let found =
        Diagnosis::of(gate, &["--app", "nginx", "--process", &cage.name, "--watch", &watch, "--mount", "/config"]);
    assert_eq!((found.tier(), found.code), ("builtin", 0), "{:#}", found.report);
    found.expect("target-root", "warn", "", "SYS_CHROOT");
    assert!(!found.report.to_string().contains("install"), "{:#}", found.report);
}

#[test]
fn a_missing_main_file_is_a_failure() {
    let place = Place::new();
    let watch = place.config().to_str().expect("it is UTF-8").to_owned();
    std::fs::write(place.config().join("b.conf"), "two").expect("there is room");
    let of = |main: &[&str]| {
        let arguments = ["--watch", &watch, "--signal", "none", "--validate", "grep -q . {config}"];
        Diagnosis::of(place.gate(&[]), &[&arguments[..], main].concat())
    };
    for (main, message) in
        [(&["--main", "no.conf"][..], "`no.conf` is not in the configuration"), (&[], "there are several files")]
    {
        let found = of(main);
        found.expect("judge", "fail", message, "--main");
        assert_eq!((found.tier(), found.code), ("none", 1), "{:#}", found.report);
        assert!(found.report["next"].is_string(), "{:#}", found.report);
    }
    assert_eq!(of(&["--main", "b.conf"]).code, 0);
}

#[test]
fn the_report_names_the_reason_that_a_process_cannot_be_signalled() {
    needs_root!();
    let (place, target) = (Place::new(), Target::start(&[]));
    let watch = place.config().to_str().expect("it is UTF-8").to_owned();
    let pid = target.process.pid();
    let named = |name: &'static str| ["--process", name, "--watch", &watch].map(str::to_owned).to_vec();
    let of =
        |signal: &str| ["--process", &target.name, "--watch", &watch, "--signal", signal].map(str::to_owned).to_vec();
    let caught = format!("pid {pid} does not catch SIGUSR1 and could be killed by it");
    let refused = format!("no permission to send SIGHUP to pid {pid} (uid 0) as uid 65534");
    type Case<'a> = (&'a [&'a str], Vec<String>, &'a str, &'a str, &'a str);
    let cases: [Case<'_>; 4] = [
        (&[], of("USR1"), "signal", &caught, "`--allow-uncaught`"),
        (&NOBODY, of("HUP"), "signal", &refused, "`securityContext.runAsUser: 0`"),
        (
            &[],
            [named("no-such-process"), vec!["--signal".into(), "HUP".into()]].concat(),
            "target",
            "there is no process",
            "",
        ),
        (&[], [named("nginx"), vec!["--pid-file".into(), "/no/such".into()]].concat(), "target", "cannot read", ""),
    ];
    for (privileges, arguments, check, message, help) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let found = Diagnosis::of(place.gate(privileges), &arguments);
        found.expect(check, "fail", message, help);
        assert_eq!(found.code, 1);
    }
    // Without a validator, that is the tier, and the report has it.
    let of = of("HUP");
    let arguments: Vec<&str> = of.iter().map(String::as_str).collect();
    let found = Diagnosis::of(place.gate(&[]), &arguments);
    found.expect("judge", "warn", "no validator is configured", "`--app NAME`");
    assert_eq!((found.tier(), found.code, target.hups()), ("signal-only", 0, 0));
}

#[test]
fn an_invisible_process_has_another_help_than_a_missing_one() {
    needs_root!();
    needs!("unshare", "mount");
    if !command("unshare").args(["--mount", "--pid", "--fork", "true"]).status().is_ok_and(|status| status.success()) {
        return skip("no namespace can be made here");
    }
    let (place, target) = (Place::new(), Target::start(&["--reuid=1234", "--regid=1234", "--clear-groups"]));
    let watch = place.config().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--process", &target.name, "--signal", "HUP", "--watch", &watch];
    let gate = place.path().join("reload-gate");
    let mut alone = command("unshare");
    alone.args(["--mount-proc", "--pid", "--fork"]).arg(&gate);
    let found = Diagnosis::of(alone, &arguments);
    found.expect("target", "fail", "there is no process", "`spec.shareProcessNamespace: true`");
    let mut blind = command("unshare");
    let hide = "mount -t proc -o hidepid=invisible proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" \"$@\"";
    blind.args(["--mount", "sh", "-c", hide]).arg(&gate);
    let found = Diagnosis::of(blind, &arguments);
    found.expect("target", "fail", "there is no process", "`hidepid`");
}

#[test]
fn a_volume_is_tried_out_beside_its_gate() {
    needs_root!();
    let place = Place::new();
    let watch = place.config().to_str().expect("it is UTF-8").to_owned();
    let volume = place.path().join("volume");
    std::fs::create_dir(&volume).expect("there is room");
    let publish = volume.to_str().expect("it is UTF-8");
    let arguments = ["--watch", &watch, "--signal", "none", "--validate", "grep -q one {config}", "--publish", publish];
    let mut running = Gate::run(&arguments);
    running.wait_for("published");
    let found = Diagnosis::of(place.gate(&[]), &arguments);
    found.expect("publish", "ok", "the gate can publish in", "");
    found.expect("local", "ok", "validated by `grep -q one {config}`, here", "");
    assert_eq!(running.stop(), 0);
}

#[test]
fn volumes_are_tried_out_and_left_unchanged() {
    needs_root!();
    let place = Place::new();
    let watch = place.config().to_str().expect("it is UTF-8").to_owned();
    let volume = place.path().join("volume");
    std::fs::create_dir(&volume).expect("there is room");
    let publish = volume.to_str().expect("it is UTF-8").to_owned();
    let arguments =
        ["--watch", &watch, "--signal", "none", "--validate", "grep -q one {config}", "--publish", &publish];
    let found = Diagnosis::of(place.gate(&[]), &arguments);
    found.expect("publish", "ok", "the gate can publish in", "");
    found.expect("local", "ok", "validated by `grep -q one {config}`, here", "");
    assert_eq!((found.tier(), found.code), ("local", 0));
    let left: Vec<_> =
        std::fs::read_dir(&volume).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("..sha256-")), "{left:?}");
    std::fs::set_permissions(&volume, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let found = Diagnosis::of(place.gate(&NOBODY), &arguments);
    found.expect("publish", "fail", "Permission denied", "`fsGroup`");
    assert_eq!((found.tier(), found.code), ("none", 1));
    std::fs::write(volume.join("..data"), "somebody else's").expect("there is room");
    Diagnosis::of(place.gate(&[]), &arguments).expect("publish", "fail", "was not written by reload-gate", "emptyDir");
}

#[test]
fn servers_and_programs_are_found_without_a_request() {
    let place = Place::new();
    let watch = place.config().to_str().expect("it is UTF-8").to_owned();
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = server.local_addr().expect("it is bound").port();
    let (there, gone) = (format!("http://localhost:{port}/-/reload"), format!("http://127.0.0.1:{}/", free_port()));
    let cases: [(&[&str], &str, &str, &str); 7] = [
        (&["--reload-url", &there], "reload", "ok", "can be reached"),
        (&["--reload-url", &gone], "reload", "fail", "cannot be reached: Connection refused"),
        (&["--reload-command", "true now"], "reload", "ok", "`true` is installed"),
        (&["--reload-command", "no-such-program"], "reload", "fail", "`no-such-program` is not installed here"),
        (&["--reload-command", "true", "--verify-command", "true"], "proof", "ok", "`true` succeeded"),
        (&["--reload-command", "true", "--verify-command", "test -d {dir}"], "proof", "ok", "` succeeded"),
        (&["--reload-command", "true", "--verify-command", "no-such"], "proof", "fail", "`no-such` is not installed"),
    ];
    for (arguments, check, status, message) in cases {
        let found = Diagnosis::of(place.gate(&[]), &[&["--watch", &watch], arguments].concat());
        found.expect(check, status, message, "");
    }
}

#[test]
fn a_frozen_or_unreadable_source_is_a_failure() {
    needs_root!();
    needs!("unshare", "mount");
    let place = Place::new();
    let watch = place.config().to_str().expect("it is UTF-8").to_owned();
    let mut sub_path = command("unshare");
    let mount = format!(
        "mount --bind \"$1/app.conf\" \"$1/app.conf\" && shift && exec \"{}\" \"$@\"",
        place.path().join("reload-gate").display()
    );
    sub_path.args(["--mount", "sh", "-c", &mount, "sh", &watch]);
    let found = Diagnosis::of(sub_path, &["--watch", &watch, "--signal", "none"]);
    found.expect("mount", "fail", "is a mount of a single file: the gate never sees a change", "leave out `subPath`");
    std::fs::set_permissions(place.config(), std::fs::Permissions::from_mode(0o700)).expect("it is ours");
    let found = Diagnosis::of(place.gate(&NOBODY), &["--watch", &watch, "--signal", "none"]);
    found.expect("source", "fail", "Permission denied", "give that user read access");
    let missing = place.path().join(unique("missing"));
    let found =
        Diagnosis::of(place.gate(&[]), &["--watch", missing.to_str().expect("it is UTF-8"), "--signal", "none"]);
    found.expect("source", "fail", "does not exist", "");
    assert_eq!((found.tier(), found.code), ("none", 1));
    assert!(found.report["next"].is_string(), "{:#}", found.report);
}

#[test]
fn people_read_the_same_and_mistakes_are_usage() {
    let place = Place::new();
    let output = place.gate(&[]).args(["doctor", "--signal", "none", "--watch"]).arg(place.config()).output();
    let text = String::from_utf8(output.expect("it starts").stdout).expect("it is UTF-8");
    assert!(text.starts_with("ok    identity  uid ") && text.contains("\ntier: signal-only ("), "{text}");
    let output = place.gate(&[]).args(["doctor", "--signal", "HUP"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let mut limited = command("unshare");
    limited.args(["-U", "-r", "sh", "-c", "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\""]);
    if !command("unshare").args(["-U", "-r", "true"]).status().is_ok_and(|status| status.success()) {
        return skip("no user namespace can be made here");
    }
    limited.arg(place.path().join("reload-gate"));
    let watch = place.config().to_str().expect("it is UTF-8").to_owned();
    let found = Diagnosis::of(limited, &["--watch", &watch, "--signal", "none"]);
    found.expect("watch", "warn", "inotify is unavailable", "scans every 30s (`--poll`)");
}
