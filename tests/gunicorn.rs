//! A bad configuration never reaches gunicorn, which would die of it.

use std::process::Stdio;

use crate::support::{Background, Gate, Gunicorn, command, eventually, needs, python, unique};

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
