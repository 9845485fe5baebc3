//! A bad configuration never reaches gunicorn, which would die of it.

use std::process::Stdio;

use crate::support::{Background, Gate, Gunicorn, command, eventually, needs};

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
