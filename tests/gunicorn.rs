//! A bad configuration never reaches gunicorn, which would die of it.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{
    Background, Gate, Gunicorn, command, copy, eventually, free_port, needs, python, served, skip, unique,
};

#[test]
fn a_bad_configuration_is_rejected_and_gunicorn_lives() {
    needs!("gunicorn");
    let mut gunicorn = Gunicorn::start();
    let watch = gunicorn.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", "gunicorn", "--process", &gunicorn.name, "--watch", &watch]);
    gate.wait_for("verified");

    let bad = gunicorn.config("two") + "workers = undefined_name\n";
    gunicorn.write_text(&bad);
    let rejected = gate.wait_for("rejected");
    let finding = &rejected["findings"][0];
    assert!(finding["message"].as_str().expect("there is one").contains("NameError"), "{finding}");
    assert_eq!(finding["file"], gunicorn.volume.file("gunicorn.conf.py").to_str().expect("it is UTF-8"));
    assert_eq!(finding["line"], 4);
    assert!(gunicorn.process.is_alive() && gunicorn.serves("one"));

    gunicorn.write("three");
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    eventually("gunicorn serves the new configuration", || gunicorn.serves("three"));
    assert!(gunicorn.process.is_alive());
}

#[test]
fn workers_that_die_while_they_start_prove_nothing() {
    needs!("gunicorn");
    let mut gunicorn = Gunicorn::start();
    let mut gate = gate(&gunicorn);
    // `--check-config` runs no hook.
    let hook = "def post_worker_init(worker):\n    sum(range(10 ** 7))\n    raise RuntimeError('no database')\n";
    gunicorn.write_text(&(gunicorn.config("two") + hook));
    gate.wait_for("reloaded");
    let outcome = gate.wait_for_any(&["unverified", "verified"]);
    assert_eq!(outcome["event"], "unverified", "{}", gate.story());
}

#[test]
fn without_gunicorn_a_configuration_is_not_rejected_for_the_words_of_its_command_line() {
    needs!("gunicorn");
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("gunicorn.conf.py"), "bind = '127.0.0.1:0'\n").expect("there is room");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--app", "gunicorn", "--process", &unique("gunicorn"), "--watch", watch]);
    let verdict = gate.wait_for_any(&["rejected", "inconclusive", "target_missing"]);
    assert_ne!(verdict["event"], "rejected", "{}", gate.story());
    std::fs::write(directory.path().join("gunicorn.conf.py"), "bind = undefined\n").expect("there is room");
    gate.wait_for("rejected");
}

/// A gate of what lies beside this gunicorn's configuration; it has been verified.
fn gate(gunicorn: &Gunicorn) -> Gate {
    let watch = gunicorn.volume.path().to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--app", "gunicorn", "--process", &gunicorn.name, "--watch", watch]);
    gate.wait_for("verified");
    gate
}

/// Returns the message with which a gate said, before any change, what a reload cannot bring into effect.
fn said_at_the_start(gate: &Gate) -> String {
    let warned = gate.events.iter().find(|event| event["event"] == "watch_degraded");
    warned.unwrap_or_else(|| panic!("{}", gate.story()))["message"].as_str().unwrap_or_default().to_owned()
}

/// The change does not come into effect by a reload, and is verified after a restart with these arguments.
fn takes_a_restart(mut gunicorn: Gunicorn, mut gate: Gate, arguments: &[&str], why: &str) {
    gate.wait_for("reloaded");
    let unverified = gate.wait_for_any(&["unverified", "verified"]);
    assert!(unverified["message"].as_str().is_some_and(|message| message.contains(why)), "{unverified}");
    assert_eq!(unverified["event"], "unverified");
    assert!(gunicorn.serves("one"));
    gunicorn.restart(arguments);
    gate.wait_for("verified");
    gate.wait_for("recovered");
    eventually("gunicorn serves the new configuration", || gunicorn.serves("two"));
}

#[test]
fn a_preloaded_application_takes_a_restart() {
    needs!("gunicorn");
    let application = "BODY = open('config/value').read().strip().encode()\ndef app(environ, start_response):\n    \
                       start_response('200 OK', [])\n    return [BODY]\n";
    let port = free_port();
    let config = format!("bind = '127.0.0.1:{port}'\nworkers = 1\n");
    let files = |value: &'static str| [("gunicorn.conf.py", config.as_str()), ("value", value)];
    let mut gunicorn = Gunicorn::run(application, &["--preload"], port, &files("one"));
    let gate = gate(&gunicorn);
    let said = said_at_the_start(&gate);
    assert!(said.contains("`--preload`"), "{said}");
    gunicorn.volume.write(&files("two"));
    takes_a_restart(gunicorn, gate, &["--preload"], "gunicorn has loaded the application in its master");
}

#[test]
fn a_module_that_the_configuration_imports_takes_a_restart() {
    needs!("gunicorn");
    for import in [
        "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nfrom settings import body",
        "import os, sys; sys.path.insert(0, os.path.dirname(__file__)); from settings import *",
    ] {
        let port = free_port();
        let config = format!("{import}\nbind = '127.0.0.1:{port}'\nworkers = 1\nraw_env = ['BODY=' + body]\n");
        let files = |settings: &'static str| [("gunicorn.conf.py", config.as_str()), ("settings.py", settings)];
        let mut gunicorn = Gunicorn::run(Gunicorn::APP, &[], port, &files("body = 'one'\n"));
        let gate = gate(&gunicorn);
        let said = said_at_the_start(&gate);
        assert!(said.contains("`settings.py`"), "{import}: {said}");
        // Of another size: Python takes a compiled file for a source of its size and second.
        gunicorn.volume.write(&files("body = 'two'  # changed\n"));
        takes_a_restart(gunicorn, gate, &[], "gunicorn's configuration imports it");
    }
}

#[test]
fn a_compiled_file_of_the_same_time_and_size_hides_no_change_from_the_gate() {
    needs!("gunicorn");
    let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("gunicorn-test"), free_port());
    let (here, config) = (directory.path(), directory.path().join("config"));
    std::fs::write(here.join("application.py"), Gunicorn::APP)
        .and_then(|()| std::fs::create_dir(&config))
        .expect("room");
    // As an archive or `rsync -t` of a build with fixed times leaves it.
    let write = |body: &str| {
        let text = format!("bind = '127.0.0.1:{port}'\nworkers = 1\nraw_env = ['BODY={body}']\n");
        std::fs::write(here.join("next"), text).expect("there is room");
        let file = std::fs::File::open(here.join("next")).expect("it is there");
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).expect("it is ours");
        std::fs::rename(here.join("next"), config.join("gunicorn.conf.py")).expect("there is room");
    };
    write("one");
    let mut gunicorn = command(copy("gunicorn", here, &name));
    gunicorn.arg("-c").arg(config.join("gunicorn.conf.py")).arg("application:app").current_dir(here);
    let _gunicorn = Background::start(gunicorn.env_remove("PYTHONDONTWRITEBYTECODE").stderr(Stdio::null()));
    eventually("gunicorn serves", || served(port, "one"));
    let watch = config.to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--app", "gunicorn", "--process", &name, "--watch", watch]);
    gate.wait_for("verified");
    // Of the size of the good one.
    write("']]");
    gate.wait_for("rejected");
    write("two");
    gate.wait_for("reloaded");
    let unverified = gate.wait_for_any(&["unverified", "verified"]);
    assert!(
        unverified["message"].as_str().is_some_and(|message| message.contains("__pycache__/gunicorn.conf")),
        "{unverified}"
    );
    assert!(served(port, "one"), "{unverified}");
    // Another size is another file to Python.
    write("three");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    eventually("gunicorn serves the new configuration", || served(port, "three"));
}

#[test]
fn an_application_that_a_variable_preloads_takes_a_restart() {
    needs!("gunicorn");
    let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("gunicorn-test"), free_port());
    let (here, config) = (directory.path(), directory.path().join("config"));
    let application = "BODY = open('config/value').read().strip().encode()\ndef app(environ, start_response):\n    \
                       start_response('200 OK', [])\n    return [BODY]\n";
    std::fs::create_dir(&config)
        .and_then(|()| std::fs::write(here.join("application.py"), application))
        .and_then(|()| {
            std::fs::write(config.join("gunicorn.conf.py"), format!("bind = '127.0.0.1:{port}'\nworkers = 1\n"))
        })
        .and_then(|()| std::fs::write(config.join("value"), "one"))
        .expect("there is room");
    let mut gunicorn = command(copy("gunicorn", here, &name));
    gunicorn.arg("-c").arg(config.join("gunicorn.conf.py")).arg("application:app").current_dir(here);
    let _gunicorn = Background::start(gunicorn.env("GUNICORN_CMD_ARGS", "--preload").stderr(Stdio::null()));
    eventually("gunicorn serves", || served(port, "one"));
    let watch = config.to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--app", "gunicorn", "--process", &name, "--watch", watch]);
    gate.wait_for("verified");
    let said = said_at_the_start(&gate);
    assert!(said.contains("`--preload`"), "{said}");
    std::fs::write(config.join("value"), "two").expect("there is room");
    let unverified = gate.wait_for_any(&["unverified", "verified"]);
    assert_eq!(unverified["event"], "unverified", "{}", gate.story());
}

/// Sends a signal to a process.
fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("it is one");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

#[test]
fn the_new_master_of_an_upgrade_is_the_target() {
    needs!("gunicorn");
    let mut gunicorn = Gunicorn::start();
    let mut gate = gate(&gunicorn);
    let old = gunicorn.process.pid();
    signal(old, rustix::process::Signal::USR2);
    let log = gunicorn.directory().join("log");
    let listening = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter_map(|line| Some(line.split_once("Listening at: ")?.1.to_owned())).collect::<Vec<_>>()
    };
    eventually("the new master listens", || listening().len() == 2);
    let new: u32 =
        listening()[1].rsplit('(').next().and_then(|pid| pid.trim_end_matches(')').parse().ok()).expect("a pid");
    gunicorn.write("two");
    assert_eq!(gate.wait_for("reloaded")["pid"], new, "{}", gate.story());
    gate.wait_for("verified");
    signal(old, rustix::process::Signal::TERM);
    eventually("the new master serves alone", || gunicorn.serves("two"));
    gunicorn.write("three");
    assert_eq!(gate.wait_for("reloaded")["pid"], new, "{}", gate.story());
    gate.wait_for("verified");
    eventually("it serves the newest", || gunicorn.serves("three"));
    assert_eq!(gate.count("target_missing"), 0, "{}", gate.story());
}

#[test]
fn a_module_that_an_interpreter_runs_is_found_by_its_name() {
    needs!("gunicorn", "python3");
    let (directory, port) = (tempfile::tempdir().expect("there is room"), free_port());
    let (here, config) = (directory.path(), directory.path().join("config"));
    let write = |body: &str| {
        let text = format!("bind = '127.0.0.1:{port}'\nworkers = 1\nraw_env = ['BODY={body}']\n");
        std::fs::write(config.join("gunicorn.conf.py"), text).expect("there is room");
    };
    std::fs::create_dir(&config)
        .and_then(|()| std::fs::write(here.join("application.py"), Gunicorn::APP))
        .expect("there is room");
    write("one");
    let mut gunicorn = command("/usr/bin/python3");
    gunicorn.args(["-m", "gunicorn", "-c"]).arg(config.join("gunicorn.conf.py")).arg("application:app");
    let gunicorn = Background::start(gunicorn.current_dir(here).stderr(Stdio::null()));
    eventually("gunicorn serves", || served(port, "one"));
    // Another gunicorn of this machine may have the same name.
    let (watch, place) = (config.to_str().expect("it is UTF-8"), here.display().to_string());
    let mut gate = Gate::run(&["--app", "gunicorn", "--process", "gunicorn", "--cmdline", &place, "--watch", watch]);
    gate.wait_for("verified");
    write("']]");
    gate.wait_for("rejected");
    write("two, and more");
    assert_eq!(gate.wait_for("reloaded")["pid"], gunicorn.pid(), "{}", gate.story());
    gate.wait_for("verified");
    eventually("gunicorn serves the new configuration", || served(port, "two, and more"));
}

#[test]
fn a_reload_by_another_program_on_a_rejected_content_is_noticed() {
    needs!("gunicorn");
    let gunicorn = Gunicorn::start();
    let watch = gunicorn.directory().join("plain");
    std::fs::create_dir(&watch).expect("there is room");
    let write = |text: &str| std::fs::write(watch.join("policy"), text).expect("there is room");
    write("good");
    let refuse = ["--validate", "sh -c '! grep -q forbidden \"$0\"' {config}", "--root", "local", "--app", "none"];
    let target = ["--process", &gunicorn.name, "--signal", "HUP", "--verify", "workers", "--poll", "500ms"];
    let place = ["--watch", watch.to_str().expect("it is UTF-8"), "--settle", "20ms"];
    let mut gate = Gate::run(&[&refuse[..], &target, &place].concat());
    gate.wait_for("verified");
    write("forbidden");
    gate.wait_for("rejected");
    signal(gunicorn.process.pid(), rustix::process::Signal::HUP);
    let replaced = gate.wait_for("target_replaced");
    assert!(replaced["message"].as_str().is_some_and(|said| said.contains("the gate did not cause")), "{replaced}");
    // The revert is no mere recovery: the rejected content may run.
    write("good");
    gate.wait_for("reloaded");
    gate.wait_for("verified");
}

/// Imitates setproctitle(3) (PyPI): the title is the command name, and lies over the command line (`arg_start` and
/// `arg_end` in proc_pid_stat(5)).
const TITLED: &str = "import os, signal, sys\n\
    signal.signal(signal.SIGHUP, lambda *_: open('told', 'w'))\n\
    title = (os.path.basename(sys.argv[0]) + ': master [app:app]').encode()\n\
    open('/proc/self/comm', 'wb').write(title)\n\
    start, end = map(int, open('/proc/self/stat').read().rsplit(')', 1)[1].split()[45:47])\n\
    memory = open('/proc/self/mem', 'r+b', 0)\n\
    memory.seek(start)\n\
    memory.write(title[:end - start].ljust(end - start, b'\\0'))\n\
    open('ready', 'w')\n\
    while True:\n    signal.pause()\n";

#[test]
fn a_title_in_place_of_the_command_line_is_no_verdict_and_says_what_to_do() {
    needs!("python3");
    let (directory, name) = (tempfile::tempdir().expect("there is room"), unique("stp"));
    let here = directory.path();
    let mut target = python(here, &name, TITLED);
    eventually("it shows its title", || here.join("ready").exists());
    let watch = here.join("config");
    std::fs::create_dir(&watch).and_then(|()| std::fs::write(watch.join("gunicorn.conf.py"), "")).expect("room");
    let arguments = ["--app", "gunicorn", "--process", &name, "--watch", watch.to_str().expect("it is UTF-8")];
    let mut gate = Gate::run(&arguments);
    let finding = gate.wait_for("inconclusive")["findings"][0].clone();
    let pid = target.pid();
    let message =
        format!("pid {pid} shows the title `{name}: master [app:app]` in place of its command line (setproctitle)");
    assert_eq!((&finding["code"], &finding["message"]), (&"checker-obstacle".into(), &message.into()));
    let help = "give the command: `--validate 'gunicorn --check-config -c {config} MODULE:APP'`";
    assert_eq!(finding["help"], help);
    assert!(!here.join("told").exists());
    // What it says helps: by its title it is found.
    let mut gate = Gate::run(&[&arguments[..], &["--validate", "test -f {config}"]].concat());
    assert_eq!(gate.wait_for("reloaded")["pid"], pid);
    eventually("it is told", || here.join("told").exists());
    assert!(target.is_alive());
}

/// The well-known sidecar, as people copy it.
const SHELL_SIDECAR: &str = "while true; do \
    REAL=$(readlink -f \"$FILE\"); \
    echo watching; \
    inotifywait -qq -e create -e modify -e delete -e move \"$REAL\"; \
    kill \"-$SIGNAL\" \"$(pgrep -o \"$PROCESS\")\"; \
    done";

#[test]
fn the_same_change_under_the_shell_sidecar_kills_it() {
    needs!("gunicorn", "inotifywait", "pgrep");
    let mut gunicorn = Gunicorn::start();
    let log = gunicorn.directory().join("sidecar.log");
    let mut sidecar = command("sh");
    sidecar.args(["-c", SHELL_SIDECAR]).env("FILE", gunicorn.volume.file("gunicorn.conf.py"));
    sidecar.env("PROCESS", format!("^{}$", gunicorn.name)).env("SIGNAL", "HUP");
    sidecar.stdout(std::fs::File::create(&log).expect("there is room")).stderr(Stdio::null());
    let sidecar = Background::start(&mut sidecar);
    eventually("the sidecar watches", || {
        let children = format!("/proc/{0}/task/{0}/children", sidecar.pid());
        let child = std::fs::read_to_string(children).unwrap_or_default();
        let fds = std::fs::read_dir(format!("/proc/{}/fdinfo", child.trim())).into_iter().flatten().flatten();
        fds.into_iter().any(|fd| std::fs::read_to_string(fd.path()).is_ok_and(|info| info.contains("inotify wd:")))
    });
    let bad = gunicorn.config("two") + "workers = undefined_name\n";
    gunicorn.write_text(&bad);
    eventually("gunicorn is dead", || !gunicorn.process.is_alive());
    eventually("the site is down", || !gunicorn.serves("one"));
}

/// Releases of an application, with a link to the current one, as Capistrano and git-sync leave them.
struct Releases {
    directory: tempfile::TempDir,
    name: String,
    port: u16,
}

impl Releases {
    fn new() -> Self {
        let (directory, name, port) =
            (tempfile::tempdir().expect("there is room"), unique("gunicorn-test"), free_port());
        for release in ["one", "two", "three"] {
            let place = directory.path().join(release);
            let text = format!(
                "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{release}']\n"
            );
            std::fs::create_dir(&place)
                .and_then(|()| std::fs::write(place.join("application.py"), text))
                .and_then(|()| {
                    let config = format!("bind = '127.0.0.1:{port}'\nworkers = 1\n");
                    std::fs::write(place.join("gunicorn.conf.py"), config)
                })
                .expect("there is room");
        }
        copy("gunicorn", directory.path(), &name);
        let releases = Self { directory, name, port };
        releases.release("one");
        releases
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn release(&self, name: &str) {
        std::os::unix::fs::symlink(name, self.at("next")).expect("there is room");
        std::fs::rename(self.at("next"), self.at("current")).expect("there is room");
    }

    /// Starts it by a shell that waits in the first release.
    fn start(&self, pwd: Option<&str>, arguments: &[&str]) -> Background {
        let config = self.at("current/gunicorn.conf.py");
        let mut shell = command("sh");
        shell.args(["-c", "\"$@\" & wait", "sh", "env", "-u", "PWD"]);
        shell.args(pwd.map(|pwd| format!("PWD={}", self.at(pwd).display())));
        shell.arg(self.at(&self.name)).arg("-c").arg(config).args(arguments).arg("application:app");
        let started = Background::start(shell.current_dir(self.at("one")).stderr(Stdio::null()));
        eventually("gunicorn serves", || self.serves("one"));
        started
    }

    fn serves(&self, body: &str) -> bool {
        served(self.port, body)
    }

    fn gate(&self) -> Gate {
        let watch = self.at("current").display().to_string();
        let mut gate = Gate::run(&["--app", "gunicorn", "--process", &self.name, "--watch", &watch, "--poll", "500ms"]);
        gate.wait_for("verified");
        gate
    }
}

#[test]
fn an_application_that_would_come_from_the_old_release_is_not_reloaded() {
    needs!("gunicorn");
    let releases = Releases::new();
    let _gunicorn = releases.start(None, &[]);
    let mut gate = releases.gate();
    releases.release("two");
    let verdict = gate.wait_for_any(&["inconclusive", "reloaded"]);
    assert!(verdict["findings"][0]["message"].as_str().is_some_and(|said| said.contains("goes back to")), "{verdict}");
    assert!(releases.serves("one"));
}

#[test]
fn an_application_that_a_reload_finds_by_its_link_follows_the_releases() {
    needs!("gunicorn");
    for (pwd, arguments) in [(Some("current"), ""), (None, "current")] {
        let releases = Releases::new();
        let chdir = releases.at(arguments).display().to_string();
        let arguments: &[&str] = if arguments.is_empty() { &[] } else { &["--chdir", &chdir] };
        let _gunicorn = releases.start(pwd, arguments);
        let mut gate = releases.gate();
        // The check reads the new release too.
        std::fs::write(releases.at("two/application.py"), "app = undefined\n").expect("there is room");
        releases.release("two");
        let verdict = gate.wait_for_any(&["rejected", "reloaded", "inconclusive"]);
        assert_eq!(verdict["event"], "rejected", "{arguments:?}: {}", gate.story());
        releases.release("three");
        gate.wait_for("reloaded");
        gate.wait_for("verified");
        eventually("gunicorn serves the new release", || releases.serves("three"));
    }
}

#[test]
fn a_reload_that_would_find_no_directory_is_not_requested() {
    needs!("gunicorn");
    let releases = Releases::new();
    let chdir = releases.at("current").display().to_string();
    let _gunicorn = releases.start(None, &["--chdir", &chdir]);
    let mut gate = releases.gate();
    releases.release("two");
    gate.wait_for("verified");
    std::fs::remove_dir_all(releases.at("one")).expect("it is ours");
    releases.release("three");
    let verdict = gate.wait_for_any(&["inconclusive", "reloaded"]);
    assert!(verdict["findings"][0]["message"].as_str().is_some_and(|said| said.contains("is gone")), "{verdict}");
    assert!(releases.serves("two"), "{}", gate.story());
}

#[test]
fn a_worker_whose_master_was_killed_is_no_master() {
    needs!("gunicorn");
    let releases = Releases::new();
    let gunicorn = releases.start(None, &[]);
    let mut gate = releases.gate();
    let children = format!("/proc/{0}/task/{0}/children", gunicorn.pid());
    let master = std::fs::read_to_string(children).expect("the shell waits").trim().parse().expect("it is one");
    let workers = || std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
    eventually("the old worker has ended", || workers().split_whitespace().count() == 1);
    signal(master, rustix::process::Signal::KILL);
    let lost = gate.wait_for_any(&["target_missing", "target_replaced"]);
    assert_eq!(lost["event"], "target_missing", "{lost}");
}

#[test]
fn a_worker_that_waits_while_it_loads_its_application_proves_nothing() {
    needs!("gunicorn");
    let application =
        "import os, time\nwhile os.path.exists('down'):\n    time.sleep(0.05)\n".to_owned() + Gunicorn::APP;
    let port = free_port();
    let config = |body: &str| format!("bind = '127.0.0.1:{port}'\nworkers = 1\nraw_env = ['BODY={body}']\n");
    let mut gunicorn = Gunicorn::run(&application, &[], port, &[("gunicorn.conf.py", &config("one"))]);
    let watch = gunicorn.volume.path().to_str().expect("it is UTF-8").to_owned();
    let target = ["--app", "gunicorn", "--process", &gunicorn.name, "--watch", &watch];
    let mut gate = Gate::run(&[&target[..], &["--validate", "true {config}", "--verify-timeout", "2s"]].concat());
    gate.wait_for("verified");
    let down = gunicorn.directory().join("down");
    std::fs::write(&down, "").expect("there is room");
    // Of another size: Python takes the compiled file of a source of the same second and size.
    gunicorn.volume.write(&[("gunicorn.conf.py", &config("two, and more"))]);
    let outcome = gate.wait_for_any(&["verified", "unverified"]);
    let message = outcome["message"].as_str().unwrap_or_default();
    assert!(message.contains("which did not load its application"), "{outcome}");
    std::fs::remove_file(&down).expect("it is ours");
    gate.wait_for("verified");
    eventually("gunicorn serves the new configuration", || gunicorn.serves("two, and more"));
}

#[test]
fn workers_of_another_user_prove_a_reload_to_a_gate_without_the_right_to_look_into_them() {
    needs!("gunicorn", "setpriv");
    if !rustix::process::geteuid().is_root() {
        return skip("only root can start workers of another user");
    }
    let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("gunicorn-test"), free_port());
    let (here, config) = (directory.path(), directory.path().join("config"));
    std::fs::create_dir(&config).expect("there is room");
    for path in [here, &config] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
    }
    let write = |body: &str| {
        let text = format!("bind = '127.0.0.1:{port}'\nuser = 65534\ngroup = 65534\nraw_env = ['BODY={body}']\n");
        std::fs::write(config.join("gunicorn.conf.py"), text).expect("there is room");
    };
    std::fs::write(here.join("application.py"), Gunicorn::APP).expect("there is room");
    write("one");
    // The capabilities that a container has by default.
    let bounding = "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+sys_chroot";
    let mut gunicorn = command("setpriv");
    gunicorn.arg(bounding).arg(copy("gunicorn", here, &name)).arg("-c").arg(config.join("gunicorn.conf.py"));
    gunicorn.arg("application:app").current_dir(here);
    let _gunicorn = Background::start(gunicorn.stderr(Stdio::null()));
    eventually("gunicorn serves", || served(port, "one"));
    let mut gate = command("setpriv");
    gate.arg(bounding).arg(env!("CARGO_BIN_EXE_reload-gate")).args([
        "run",
        "--log-format",
        "json",
        "--app",
        "gunicorn",
    ]);
    gate.args(["--process", &name, "--verify-timeout", "5s", "--watch"]).arg(&config);
    let mut gate = Gate::start(gate);
    gate.wait_for("started");
    // Of another size: Python takes the compiled file of a source of the same second and size.
    write("two, and more");
    let outcome = gate.wait_for_any(&["verified", "unverified", "rejected"]);
    assert_eq!(outcome["event"], "verified", "{}", gate.story());
}

#[test]
fn an_application_is_validated_as_the_user_of_its_workers() {
    use std::os::unix::fs::PermissionsExt as _;
    needs!("gunicorn");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("gunicorn-test"), free_port());
    let (here, config) = (directory.path(), directory.path().join("config"));
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    std::fs::create_dir(&config).and_then(|()| std::fs::create_dir(here.join("log"))).expect("there is room");
    [here, &config].into_iter().for_each(|path| mode(path, 0o755));
    mode(&here.join("log"), 0o777);
    let write = |body: &str| {
        let text =
            format!("bind = '127.0.0.1:{port}'\nworkers = 1\nuser = 65534\ngroup = 65534\nraw_env = ['BODY={body}']\n");
        std::fs::write(config.join("gunicorn.conf.py"), text).expect("there is room");
        // The configuration itself is read by the master.
        mode(&config.join("gunicorn.conf.py"), 0o600);
    };
    let application = here.join("application.py");
    std::fs::write(&application, "open('log/app.log', 'a').close()\n".to_owned() + Gunicorn::APP)
        .expect("there is room");
    mode(&application, 0o644);
    write("one");
    let mut gunicorn = command(copy("gunicorn", here, &name));
    gunicorn.arg("-c").arg(config.join("gunicorn.conf.py")).arg("application:app").current_dir(here);
    let mut gunicorn = Background::start(gunicorn.stderr(Stdio::null()));
    eventually("gunicorn serves", || served(port, "one"));
    let watch = config.to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--app", "gunicorn", "--process", &name, "--watch", watch]);
    gate.wait_for("verified");
    // A file that the check creates is one of the workers.
    std::fs::remove_file(here.join("log/app.log")).expect("it is ours");
    // Of another size: Python takes the compiled file of a source of the same second and size.
    write("two, and more");
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    eventually("gunicorn serves the new configuration", || served(port, "two, and more"));
    // As with the umask 077 of a deployment.
    mode(&application, 0o600);
    write("three, and even more");
    let verdict = gate.wait_for_any(&["inconclusive", "rejected", "reloaded"]);
    let message = verdict["findings"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("Permission denied"), "{verdict}");
    assert!(gunicorn.is_alive() && served(port, "two, and more"), "{}", gate.story());
}
