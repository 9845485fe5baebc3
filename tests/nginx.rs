//! The flow on a real nginx.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{
    Background, Cage, Gate, Nginx, ask, command, eventually, free_port, gate_command, needs, served, skip,
    without_containers,
};

fn gate(nginx: &Nginx) -> Gate {
    let watch = nginx.volume.path().to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", watch]);
    gate.wait_for("verified");
    gate
}

#[test]
fn the_variables_of_the_shell_sidecar_reload_nginx() {
    needs!("nginx", "pgrep");
    let _alone = without_containers();
    let is_alone = || !command("pgrep").args(["-x", "nginx"]).output().expect("it is installed").status.success();
    // The checker of another test bears that name for an instant.
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_alone() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    if !is_alone() {
        return skip("another nginx is running here, and the old variables could not tell them apart");
    }
    let mut nginx = Nginx::called("nginx");
    let mut sidecar = gate_command();
    sidecar.arg("run").env("FILE", nginx.volume.file("nginx.conf")).env("PROCESS", "nginx").env("SIGNAL", "HUP");
    let mut gate = Gate::start(sidecar);
    gate.wait_for("verified");
    nginx.write("two", "");
    let reloaded = gate.wait_for("reloaded");
    assert_eq!(reloaded["pid"], nginx.process.pid());
    assert_eq!(reloaded["signal"], "SIGHUP");
    assert_eq!(reloaded["changed"], serde_json::json!(["nginx.conf"]));
    gate.wait_for("verified");
    eventually("nginx serves the new configuration", || nginx.serves("two"));
    assert_eq!(gate.stop(), 0);
}

#[test]
fn a_bad_configuration_is_rejected_and_a_revert_recovers_without_a_signal() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate(&nginx);
    nginx.write("two", "");
    gate.wait_for("verified");
    let signals = nginx.signals();

    nginx.write("three", "lisen 80;");
    let rejected = gate.wait_for("rejected");
    let finding = &rejected["findings"][0];
    assert_eq!(finding["message"], "unknown directive \"lisen\"");
    assert_eq!(finding["file"], nginx.volume.file("nginx.conf").to_str().expect("it is UTF-8"));
    assert_eq!(finding["line"], 6);
    assert_eq!(rejected["level"], "error");

    nginx.write("two", "");
    let recovered = gate.wait_for("recovered");
    assert_eq!(recovered["previous"], rejected["digest"]);
    assert_eq!(nginx.signals(), signals, "neither the rejection nor the revert was a reason for a signal");
    assert!(nginx.serves("two"));

    nginx.write("four", "");
    gate.wait_for("verified");
    eventually("nginx serves the new configuration", || nginx.serves("four"));
    assert_eq!(gate.count("rejected"), 1);
}

#[test]
fn a_good_one_after_a_bad_one_is_reloaded() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate(&nginx);
    nginx.write("two", "nonsense;");
    gate.wait_for("rejected");
    nginx.write("three", "");
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    eventually("nginx serves the new configuration", || nginx.serves("three"));
}

#[test]
fn a_change_without_effect_is_not_signalled() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate(&nginx);
    let signals = nginx.signals();
    nginx.write("one", "");
    gate.wait_for("unchanged");
    assert_eq!(nginx.signals(), signals);
}

#[test]
fn a_reload_that_nginx_refuses_is_unverified() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate =
        Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--verify-timeout", "1s"]);
    gate.wait_for("verified");
    nginx.write("two", "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/s;");
    gate.wait_for("verified");
    // `nginx -t` knows nothing of the zones of the running master, in which the key cannot be changed.
    nginx.write("three", "limit_req_zone $uri zone=one:1m rate=1r/s;");
    gate.wait_for("accepted");
    let unverified = gate.wait_for_any(&["unverified", "verified"]);
    assert_eq!(unverified["event"], "unverified", "{}", nginx.log());
    assert!(nginx.serves("two"), "nginx goes on with what it has");
}

#[test]
fn a_worker_in_place_of_one_that_died_proves_nothing() {
    needs!("nginx", "pgrep");
    let mut nginx = Nginx::start();
    let zone = |key: &str| format!("limit_req_zone {key} zone=one:1m rate=1r/s;");
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate =
        Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--verify-timeout", "2s"]);
    gate.wait_for("verified");
    nginx.write("two", &zone("$uri"));
    gate.wait_for("verified");
    nginx.write("three", &zone("$request_uri"));
    gate.wait_for("reloaded");
    let workers = command("pgrep").args(["-P", &nginx.process.pid().to_string()]).output().expect("it is installed");
    let workers = String::from_utf8(workers.stdout).expect("it is text");
    eventually("nginx has refused it", || nginx.log().contains("while previously it used"));
    let worker = workers.split_whitespace().next().and_then(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?));
    let worker = worker.expect("there is a worker");
    rustix::process::kill_process(worker, rustix::process::Signal::KILL).expect("it is ours");
    let judged = gate.wait_for_any(&["verified", "unverified"]);
    assert_eq!(judged["event"], "unverified", "{judged}");
    assert!(nginx.serves("two"));
}

#[test]
fn of_twenty_swaps_in_a_tenth_of_a_second_the_last_is_running() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate(&nginx);
    for swap in 1..=20 {
        nginx.write(&format!("swap {swap}"), "");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    eventually("the last is running", || nginx.serves("swap 20"));
    gate.listen(Duration::from_secs(1));
    let flow: Vec<_> = gate.events.iter().filter_map(|event| event["event"].as_str()).collect();
    let flow: Vec<_> = flow.into_iter().filter(|name| matches!(*name, "reloaded" | "verified")).collect();
    let two_at_once = flow.windows(2).any(|pair| pair == ["reloaded", "reloaded"]);
    assert!(!two_at_once, "no reload begins before the one before it is proven: {flow:?}");
    assert!(gate.count("reloaded") <= 6, "{}", gate.story());
}

#[test]
fn a_file_written_in_two_halves_is_signalled_once_and_whole() {
    needs!("nginx");
    let nginx = Nginx::start();
    // A plain directory, as with a bind mount: there is no commit point.
    let plain = nginx.directory().join("plain");
    std::fs::create_dir(&plain).expect("there is room");
    std::fs::write(plain.join("nginx.conf"), nginx.config("one", "")).expect("there is room");
    let mut nginx_command = command(nginx.directory().join(&nginx.name));
    nginx_command.arg("-t").arg("-q").arg("-c").arg(plain.join("nginx.conf"));
    assert!(nginx_command.status().expect("it starts").success());
    let check = format!("{} -t -q -c {{config}}", nginx.directory().join(&nginx.name).display());
    let watch = plain.to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--process", &nginx.name, "--watch", watch, "--validate", &check, "--signal", "HUP"]);
    gate.wait_for("accepted");
    gate.listen(Duration::from_millis(300));
    let signals = nginx.signals();

    let whole = nginx.config("two", "");
    let (half, rest) = whole.split_at(whole.len() / 2);
    std::fs::write(plain.join("nginx.conf"), half).expect("there is room");
    gate.wait_for("rejected");
    assert_eq!(nginx.signals(), signals, "half a file is no reason for a signal");
    let mut file = std::fs::OpenOptions::new().append(true).open(plain.join("nginx.conf")).expect("it is there");
    std::io::Write::write_all(&mut file, rest.as_bytes()).expect("there is room");
    drop(file);
    gate.wait_for("reloaded");
    eventually("the whole file is signalled", || nginx.signals() == signals + 1);
}

#[test]
fn a_key_that_is_added_is_judged_with_the_others() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate(&nginx);
    let include = format!("include {}/*.inc;", nginx.volume.path().display());
    let config = nginx.config("two", &include);
    nginx.volume.write(&[("nginx.conf", &config), ("extra.inc", "server_tokens off;\n")]);
    gate.wait_for("verified");
    nginx.volume.write(&[("nginx.conf", &config), ("extra.inc", "\nserver_token off;\n")]);
    let rejected = gate.wait_for("rejected");
    assert_eq!(rejected["changed"], serde_json::json!(["extra.inc"]));
    let finding = &rejected["findings"][0];
    let file = finding["file"].as_str().expect("it is known");
    assert!(file.ends_with("/extra.inc"), "{file}");
    assert_eq!(finding["line"], 2);
}

#[test]
fn a_missing_include_is_no_verdict_on_the_configuration() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate(&nginx);
    let missing = nginx.directory().join("later.inc");
    let include = format!("include {};", missing.display());
    nginx.write("two", &include);
    let inconclusive = gate.wait_for("inconclusive");
    assert_eq!(inconclusive["findings"][0]["line"], 6);
    // It is tried again, and the file has come meanwhile.
    std::fs::write(&missing, "server_tokens off;\n").expect("there is room");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    assert_eq!(gate.count("rejected"), 0);
}

#[test]
fn nginx_in_another_root_is_judged_there() {
    needs!("nginx", "ldd", "chroot");
    if !rustix::process::geteuid().is_root() {
        return skip("only root may chroot");
    }
    let mut cage = Cage::with_nginx();
    let watch = cage.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", "nginx", "--process", &cage.name, "--watch", &watch, "--mount", "/config"]);
    gate.wait_for("verified");
    cage.write("two", "");
    let accepted = gate.wait_for("accepted");
    let by = accepted["message"].as_str().expect("it says who judged");
    assert!(by.contains(&format!("in the root of pid {}", cage.process.pid())), "{by}");
    gate.wait_for("verified");
    cage.write("three", "nonsense;");
    let rejected = gate.wait_for("rejected");
    assert_eq!(rejected["findings"][0]["file"], "/config/nginx.conf");
    assert_eq!(rejected["findings"][0]["line"], 6);
}

#[test]
fn nginx_that_sees_something_else_is_not_judged() {
    needs!("nginx", "ldd", "chroot");
    if !rustix::process::geteuid().is_root() {
        return skip("only root may chroot");
    }
    let cage = Cage::with_nginx();
    let directory = tempfile::tempdir().expect("there is room");
    let other = directory.path().join("nginx.conf");
    std::fs::write(&other, "nonsense;\n").expect("there is room");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let gate = |mount: &str| {
        Gate::run(&["--app", "nginx", "--process", &cage.name, "--watch", watch, "--mount", mount, "--root", "target"])
    };
    let pid = cage.process.pid();
    // Whatever is there, the application's own configuration is right: a command that judges in its root would accept that.
    for (mount, sight) in [("/config", "something else"), ("/srv", "nothing")] {
        let mut gate = gate(mount);
        let finding = gate.wait_for_any(&["inconclusive", "accepted"])["findings"][0].clone();
        assert_eq!(finding["code"], "not-what-the-target-sees");
        assert_eq!(finding["message"], format!("pid {pid} sees {sight} at `{mount}/nginx.conf`"));
        let help = finding["help"].as_str().expect("it says what to do");
        assert!(help.contains("`--mount DIR`"), "{help}");
    }
    // It is looked at again: once both see the same, that is judged.
    let mut gate = gate("/config");
    gate.wait_for("inconclusive");
    std::fs::copy(cage.volume.file("nginx.conf"), &other).expect("there is room");
    gate.wait_for("accepted");
    gate.wait_for("verified");
}

#[test]
fn a_candidate_that_nginx_does_not_see_is_not_published() {
    needs!("nginx", "ldd", "chroot");
    if !rustix::process::geteuid().is_root() {
        return skip("only root may chroot");
    }
    let cage = Cage::with_nginx();
    let directory = tempfile::tempdir().expect("there is room");
    let (watch, publish) = (cage.volume.path(), directory.path().join("live"));
    std::fs::create_dir(&publish).expect("there is room");
    let [watch, publish] = [watch, &publish].map(|path| path.to_str().expect("it is UTF-8"));
    let arguments =
        ["--app", "nginx", "--process", &cage.name, "--watch", watch, "--mount", "/config", "--publish", publish];
    let mut gate = Gate::run(&arguments);
    let event = gate.wait_for_any(&["inconclusive", "accepted"]);
    assert_eq!(event["findings"][0]["code"], "not-what-the-target-sees", "{event}");
}

/// An nginx that is started with its configuration in `directory`, below a prefix of its own.
fn start_on(nginx: &Nginx, config: &Path) -> Background {
    let mut other = command(nginx.directory().join(&nginx.name));
    other.arg("-c").arg(config).arg("-p").arg(nginx.directory()).args(["-g", "daemon off;"]);
    Background::start(other.stderr(std::process::Stdio::null()))
}

/// Ends the running nginx, and starts it on another configuration.
fn restart_on(nginx: &mut Nginx, config: &Path) {
    // The port is free only when the old one has ended.
    nginx.process = Background::start(command("sleep").arg("1000"));
    nginx.process = start_on(nginx, config);
}

/// An nginx that has put itself into the background; killed when the test ends.
struct Daemon(std::path::PathBuf);

impl Daemon {
    fn pid(&self) -> Option<rustix::process::Pid> {
        let pid = std::fs::read_to_string(&self.0).ok()?.trim().parse().ok()?;
        rustix::process::Pid::from_raw(pid)
    }

    fn signal(pid: rustix::process::Pid, signal: rustix::process::Signal) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.pid().into_iter().for_each(|pid| Self::signal(pid, rustix::process::Signal::TERM));
    }
}

#[test]
fn a_release_that_is_older_than_the_process_is_reloaded() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    // Capistrano, git-sync: both releases were there before nginx started.
    let releases = nginx.directory().join("releases");
    for (name, body) in [("1", "release 1"), ("2", "release 2")] {
        std::fs::create_dir_all(releases.join(name)).expect("there is room");
        std::fs::write(releases.join(name).join("nginx.conf"), nginx.config(body, "")).expect("there is room");
    }
    let directory = nginx.directory().to_path_buf();
    let current = directory.join("current");
    let point_to = |release: &str| {
        let next = directory.join("next");
        std::os::unix::fs::symlink(releases.join(release), &next).expect("there is room");
        std::fs::rename(next, &current).expect("there is room");
    };
    point_to("2");
    let config = current.join("nginx.conf");
    restart_on(&mut nginx, &config);
    eventually("it serves the second release", || nginx.serves("release 2"));
    let watch = current.to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", &watch]);
    gate.wait_for("verified");
    point_to("1");
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    eventually("it serves the first release", || nginx.serves("release 1"));
}

#[test]
fn a_restart_on_a_rejected_configuration_is_followed() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--require", "needed.conf"];
    let one = nginx.config("one", "");
    nginx.volume.write(&[("nginx.conf", &one), ("needed.conf", "")]);
    let mut gate = Gate::run(&arguments);
    gate.wait_for("verified");
    // Rejected by the gate, and good enough for nginx, which is started anew and reads it.
    nginx.write("two", "");
    gate.wait_for("rejected");
    let config = nginx.volume.file("nginx.conf");
    let old = nginx.process.pid();
    restart_on(&mut nginx, &config);
    let replaced = gate.wait_for("target_replaced");
    assert!(replaced["message"].as_str().expect("there is one").contains(&format!("of pid {old}")), "{replaced}");
    eventually("it serves the rejected one", || nginx.serves("two"));
    nginx.volume.write(&[("nginx.conf", &one), ("needed.conf", "")]);
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    eventually("it serves the good one again", || nginx.serves("one"));
}

#[test]
fn a_target_that_restarts_is_verified_again() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate(&nginx);
    let signals = nginx.signals();
    let config = nginx.volume.file("nginx.conf");
    restart_on(&mut nginx, &config);
    gate.wait_for("target_replaced");
    let verified = gate.wait_for("verified");
    let message = verified["message"].as_str().expect("there is one");
    assert!(message.contains("after the gate saw this content; no signal is needed"), "{message}");
    assert!(message.contains("is a worker of pid"), "{message}");
    assert_eq!(nginx.signals(), signals);
}

#[test]
fn an_upgraded_master_takes_the_reload() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    nginx.process = Background::start(command("sleep").arg("1000"));
    // nginx ignores USR2 as long as the process lives that has started it, so it has to be a daemon.
    let mut daemon = command(nginx.directory().join(&nginx.name));
    daemon.arg("-c").arg(nginx.volume.file("nginx.conf")).arg("-p").arg(nginx.directory());
    assert!(daemon.status().expect("it starts").success());
    let daemon = Daemon(nginx.directory().join("pid"));
    eventually("it serves", || nginx.serves("one") && daemon.pid().is_some());
    let mut gate = gate(&nginx);
    let old = daemon.pid().expect("it runs");
    Daemon::signal(old, rustix::process::Signal::USR2);
    eventually("the new master runs", || daemon.pid().is_some_and(|pid| pid != old));
    let new = daemon.pid().expect("it runs");
    nginx.write("two", "");
    let reloaded = gate.wait_for("reloaded");
    assert_eq!(reloaded["pid"], new.as_raw_pid());
    gate.wait_for("verified");
    Daemon::signal(old, rustix::process::Signal::QUIT);
    eventually("only the new one is left", || {
        let mut answers = (0..20).map(|_| nginx.serves("two"));
        answers.all(|answer| answer)
    });
}

#[test]
fn a_log_below_the_watched_directory_is_no_endless_reload() {
    needs!("nginx");
    let nginx = Nginx::start();
    let (conf, log) = (nginx.directory().join("etc/conf"), nginx.directory().join("etc/error.log"));
    std::fs::create_dir_all(&conf).expect("there is room");
    let write = |body: &str| {
        let config = nginx.config(body, "").replace(
            &format!("error_log {}", nginx.directory().join("error.log").display()),
            &format!("error_log {}", log.display()),
        );
        std::fs::write(conf.join("new"), config).expect("there is room");
        std::fs::rename(conf.join("new"), conf.join("nginx.conf")).expect("there is room");
    };
    write("two");
    let (name, directory) = (nginx.name.clone(), nginx.directory().join("etc"));
    let mut other = nginx;
    restart_on(&mut other, &conf.join("nginx.conf"));
    eventually("it serves", || other.serves("two"));
    let signals = || std::fs::read_to_string(&log).unwrap_or_default().matches("signal 1 (SIGHUP) received").count();
    let watch = directory.to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", "nginx", "--process", &name, "--watch", &watch, "--main", "conf/nginx.conf"]);
    gate.wait_for("verified");
    gate.listen(Duration::from_secs(3));
    // The configuration names it as a log.
    assert_eq!((signals(), gate.count("deferred")), (1, 0), "{}", gate.story());
    let before = signals();
    let config = other.config("three", "");
    let config = config.replace(
        &format!("error_log {}", other.directory().join("error.log").display()),
        &format!("error_log {}", log.display()),
    );
    std::fs::write(conf.join("new"), config).expect("there is room");
    std::fs::rename(conf.join("new"), conf.join("nginx.conf")).expect("there is room");
    gate.wait_for("verified");
    eventually("the change is live", || other.serves("three"));
    gate.listen(Duration::from_secs(3));
    assert_eq!(signals() - before, 1, "one change is one reload: {}", gate.story());
}

#[test]
fn edits_right_after_each_reload_are_all_taken() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let (etc, port) = (nginx.directory().join("etc"), free_port());
    std::fs::create_dir_all(etc.join("conf.d")).expect("there is room");
    let main = nginx.config("main", &format!("include {}/conf.d/*.conf;", etc.display()));
    std::fs::write(etc.join("nginx.conf"), main).expect("there is room");
    let edit = |body: &str| {
        let site = format!("server {{ listen 127.0.0.1:{port}; return 200 '{body}'; }}\n");
        std::fs::write(etc.join("new"), site).expect("there is room");
        std::fs::rename(etc.join("new"), etc.join("conf.d/site.conf")).expect("there is room");
    };
    edit("0");
    restart_on(&mut nginx, &etc.join("nginx.conf"));
    eventually("it serves", || served(port, "0"));
    let watch = etc.to_str().expect("it is UTF-8").to_owned();
    let metrics = free_port();
    let listen = format!("127.0.0.1:{metrics}");
    let mut gate = Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--listen", &listen]);
    gate.wait_for("verified");
    for number in 1..7 {
        edit(&number.to_string());
        gate.wait_for("reloaded");
    }
    eventually("the last edit is live", || served(port, "6"));
    assert_eq!(gate.count("deferred"), 0, "{}", gate.story());
    eventually("the number of lingering workers is shown", || {
        ask(metrics, "GET", "/metrics").is_some_and(|page| page.body.contains("reload_gate_lingering_workers{gate="))
    });
}

#[test]
fn a_signal_by_another_program_is_noticed() {
    needs!("nginx");
    let nginx = Nginx::start();
    let watch = nginx.directory().join("plain");
    std::fs::create_dir(&watch).expect("there is room");
    let write = |body: &str| {
        std::fs::write(watch.join("part.conf"), format!("add_header X-Body {body};\n")).expect("there is room");
        body.to_owned()
    };
    write("good");
    // nginx takes it, and the policy of this checker does not.
    let refuse = ["--validate", "sh -c '! grep -q forbidden $0' {config}", "--root", "local"];
    let target =
        ["--process", &nginx.name, "--app", "none", "--signal", "HUP", "--verify", "workers", "--poll", "500ms"];
    let place = ["--watch", watch.to_str().expect("it is UTF-8"), "--settle", "20ms"];
    let mut gate = Gate::run(&[&refuse[..], &target, &place].concat());
    gate.wait_for("verified");
    write("forbidden");
    gate.wait_for("rejected");
    let signals = nginx.signals();
    let master = i32::try_from(nginx.process.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("it runs");
    rustix::process::kill_process(master, rustix::process::Signal::HUP).expect("it runs");
    let replaced = gate.wait_for("target_replaced");
    assert!(replaced["message"].as_str().is_some_and(|said| said.contains("the gate did not cause")), "{replaced}");
    // The revert is no mere recovery: the rejected content may run.
    write("good");
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    eventually("nginx was signalled by both", || nginx.signals() == signals + 2);
}

#[test]
fn two_gates_of_one_nginx_do_not_reload_it_for_ever() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--poll", "300ms"];
    let mut gates = [Gate::run(&arguments), Gate::run(&arguments)];
    for gate in &mut gates {
        gate.wait_for("verified");
    }
    nginx.write("two", "");
    for gate in &mut gates {
        gate.wait_for("verified");
    }
    // Each poll compares the workers. Another reload of the same content is seen by both, and answered by none.
    let signals = nginx.signals();
    let master = i32::try_from(nginx.process.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("it runs");
    let is_no_reason = |event: &serde_json::Value| {
        event["message"].as_str().is_some_and(|message| message.contains("they have read the content that is live"))
    };
    for _ in 0..2 {
        rustix::process::kill_process(master, rustix::process::Signal::HUP).expect("it runs");
        for gate in &mut gates {
            let replaced = gate.wait_for("target_replaced");
            assert!(is_no_reason(&replaced), "{replaced}\n{}", gate.story());
        }
    }
    eventually("nginx was signalled by the test alone", || nginx.signals() == signals + 2);
}

#[test]
fn workers_that_linger_on_defer_the_next_reload() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    // Each request is held by a server that never answers, as a websocket is.
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let (port, upstream) = (free_port(), silent.local_addr().expect("it is bound"));
    let held = format!("server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{upstream}; }} }}");
    let hold = || {
        let mut client = TcpStream::connect(("127.0.0.1", port)).expect("nginx listens");
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("nginx reads");
        (client, silent.accept().expect("nginx asks the server"))
    };
    nginx.write("one", &held);
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--max-lingering", "2"];
    let mut gate = Gate::run(&arguments);
    gate.wait_for("verified");
    let mut clients = Vec::new();
    for body in ["two", "three"] {
        eventually("nginx listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        clients.push(hold());
        nginx.write(body, &held);
        gate.wait_for("verified");
    }
    let signals = nginx.signals();
    nginx.write("four", &held);
    let deferred = gate.wait_for_any(&["deferred", "reloaded"]);
    assert!(
        deferred["message"].as_str().is_some_and(|message| message.starts_with("2 workers of earlier reloads")),
        "{deferred}"
    );
    gate.listen(Duration::from_secs(3));
    assert_eq!((gate.count("deferred"), nginx.signals()), (1, signals), "{}", gate.story());
    assert!(nginx.serves("three"));
    drop(clients);
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    eventually("nginx serves the new configuration", || nginx.serves("four"));
}

#[test]
fn a_rejection_by_a_file_that_is_not_watched_ends_with_its_cause() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let outside = tempfile::tempdir().expect("there is room");
    let file = outside.path().join("o.conf");
    std::fs::write(&file, "add_header X-A a;\n").expect("there is room");
    let watch = nginx.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", &watch, "--poll", "500ms"]);
    gate.wait_for("verified");
    std::fs::write(&file, "add_headr X-A a;\n").expect("there is room");
    nginx.write("two", &format!("include {}/*.conf;", outside.path().display()));
    let unwatched = gate.wait_for("watch_degraded");
    assert_eq!(unwatched["message"], format!("`{}` is read and not watched", file.display()), "{unwatched}");
    let rejected = gate.wait_for("rejected");
    assert_eq!(rejected["findings"][0]["file"], file.to_str().expect("it is UTF-8"), "{rejected}");
    std::fs::write(&file, "add_header X-A a;\n").expect("there is room");
    gate.wait_for("accepted");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    eventually("it serves the change", || nginx.serves("two"));
    assert_eq!((gate.count("rejected"), gate.count("watch_degraded")), (1, 1), "each is reported once");
}
