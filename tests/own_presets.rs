//! Presets from files of the user, and their test kit.

use std::path::{Path, PathBuf};

use crate::support::{Background, Gate, command, copy, eventually, gate_command, install, needs, python, unique};

/// A program with a checker: `app --check FILE` knows the key `port`.
const CHECKER: &str = r#"#!/bin/sh
n=0
while read -r key value; do
    n=$((n + 1))
    case $key in
        port) ;;
        host) echo "cannot resolve $value"; exit 1 ;;
        vague) echo "something is wrong"; exit 1 ;;
        *) echo "$2:$n: error: unknown key $key"; exit 1 ;;
    esac
done < "$2"
"#;

/// A directory with the program and a preset for it.
fn kit(process: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("there is room");
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("text"), CHECKER).expect("there is room");
    install(&at("text"), &at("checker"));
    let checker = at("checker").display().to_string();
    let preset = format!(
        "about: an application\nfiles: [app.conf]\nvalidate:\n  - name: app --check\n    command: [{checker}, --check, '{{config}}']\n    \
         findings:\n      - '(?m)^(?P<file>/[^\\n:]+):(?P<line>[0-9]+): (?P<severity>error): (?P<message>[^\\n]+)$'\n    \
         transient: [cannot resolve]\nprocess: {process}\nsignal: HUP\nverify: none\n"
    );
    std::fs::write(at("app.yaml"), preset).expect("there is room");
    for (place, text) in [("good/app.conf", "port 1\n"), ("bad/typo.conf", "port 1\nprot 2\n")] {
        let path = at(place);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
        std::fs::write(path, text).expect("there is room");
    }
    directory
}

fn says(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gate_command().current_dir(directory).args(arguments).output().expect("it starts");
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("it is UTF-8"))
}

#[test]
fn the_kit_tries_a_preset_on_good_and_bad_configurations() {
    let kit = kit("app");
    let test = || says(kit.path(), &["validators", "test", "app.yaml"]);
    let (code, text) = test();
    assert_eq!(code, Some(0), "{text}");
    let bad = kit.path().join("bad/typo.conf").display().to_string();
    assert!(text.contains("ok    good/app.conf: accepted\n"), "{text}");
    assert!(text.contains(&format!("ok    bad/typo.conf: rejected: {bad}:2: unknown key prot\n")), "{text}");
    for (place, content, expected) in [
        ("bad/vague.conf", "vague x\n", "FAIL  bad/vague.conf: rejected without a line"),
        ("bad/host.conf", "host x\n", "FAIL  bad/host.conf: inconclusive: "),
        ("bad/fine.conf", "port 2\n", "FAIL  bad/fine.conf: accepted, and should be rejected"),
        ("good/wrong.conf", "prot 2\n", "FAIL  good/wrong.conf: rejected, and should be accepted"),
    ] {
        let path: PathBuf = kit.path().join(place);
        std::fs::write(&path, content).expect("there is room");
        let (code, text) = test();
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(expected), "{text}");
        std::fs::remove_file(path).expect("it is ours");
    }
}

#[test]
fn a_preset_that_is_wrong_is_refused_with_its_line() {
    let directory = tempfile::tempdir().expect("there is room");
    for (text, expected) in [
        ("about: x\nvalidate: a {config}\nproces: x\n", "app.yaml:3:1: unknown key `proces`; did you mean `process`"),
        ("about: x\nvalidate: a {config}\nmaster: '('\n", "app.yaml:3:9: regex parse error"),
        ("about: [\n", "app.yaml:"),
        ("about: x\nprocess: y\n", "app.yaml:1:1: the preset has no validator"),
    ] {
        std::fs::write(directory.path().join("app.yaml"), text).expect("there is room");
        let (code, error) = says(
            directory.path(),
            &["run", "--preset", "app.yaml", "--watch", "/x", "--process", "y", "--signal", "HUP"],
        );
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let (code, error) = says(directory.path(), &["run", "--preset", "none.yaml", "--app", "nginx", "--watch", "/x"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("cannot read `none.yaml`") && error.contains("exclude each other"), "{error}");
}

#[test]
fn a_gate_and_a_check_use_it() {
    let name = unique("own");
    let kit = kit(&name);
    let program = "import signal, time\nsignal.signal(signal.SIGHUP, lambda *a: open('told', 'w'))\nopen('up', 'w')\n\
                   while True: time.sleep(60)\n";
    let _app = python(kit.path(), &name, program);
    eventually("it is up", || kit.path().join("up").exists());
    let config = kit.path().join("config");
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("app.conf"), "port 1\n").expect("there is room");
    let mut gate = gate_command();
    gate.current_dir(kit.path()).args(["run", "--preset", "app.yaml", "--settle", "20ms", "--watch"]).arg(&config);
    let mut gate = Gate::start(gate);
    let started = gate.wait_for("started");
    assert_eq!(started["gate"], name);
    gate.wait_for("reloaded");
    eventually("it was signalled", || kit.path().join("told").exists());
    std::fs::write(config.join("app.conf"), "prot 1\n").expect("there is room");
    assert_eq!(gate.wait_for("rejected")["findings"][0]["line"], 1);

    let (code, text) = says(kit.path(), &["check", "--preset", "app.yaml", "config/app.conf"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("unknown key prot"), "{text}");
}

/// Runs a gate once whose validator has these words where a process runs that is a program by that name.
fn judged(directory: &Path, name: &str, running: &str) -> (Option<i32>, String) {
    let config = directory.join("config");
    std::fs::create_dir_all(&config).expect("there is room");
    std::fs::write(config.join("app.conf"), "x\n").expect("there is room");
    let preset = format!(
        "about: an application\nfiles: [app.conf]\nvalidate:\n  - name: app --check\n    command: ['false']\n    running: {running}\n\
         process: {name}\nsignal: none\n"
    );
    std::fs::write(directory.join("app.yaml"), preset).expect("there is room");
    says(directory, &["run", "--once", "--preset", "app.yaml", "--watch", "config"])
}

/// A shell that waits, started by this file.
fn waiting_shell(file: &Path) -> Background {
    let shell = Background::start(command(file).args(["-c", "sleep 1000 & wait"]));
    let name = file.file_name().expect("it has one").to_string_lossy().into_owned();
    eventually("it runs", || {
        std::fs::read_to_string(format!("/proc/{}/comm", shell.pid())).is_ok_and(|comm| comm.trim() == name)
    });
    shell
}

#[test]
fn a_program_of_several_names_validates_by_the_name_of_the_process() {
    needs!("bash");
    let (directory, name) = (tempfile::tempdir().expect("there is room"), unique("nam"));
    let file = copy("bash", directory.path(), &unique("all"));
    let link = directory.path().join(&name);
    std::os::unix::fs::symlink(&file, &link).expect("there is room");
    let _shell = waiting_shell(&link);
    let running = format!(r#"["{{exe}}", -c, 'test "$0" = {} || {{ echo "I am $0"; exit 1; }}']"#, link.display());
    let (code, said) = judged(directory.path(), &name, &running);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn the_program_that_runs_validates_also_when_its_file_is_another_one() {
    needs!("bash", "true");
    let (directory, name) = (tempfile::tempdir().expect("there is room"), unique("rep"));
    let file = copy("bash", directory.path(), &name);
    let _shell = waiting_shell(&file);
    let rejects = |placeholder: &str| format!(r#"["{placeholder}", -c, 'echo "the old one says no"; exit 1']"#);
    let other = copy("true", directory.path(), &unique("new"));
    std::fs::rename(other, &file).expect("it is ours");
    let (code, said) = judged(directory.path(), &name, &rejects("{exe}"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the old one says no"), "{said}");
    // A program that executes its file anew at a reload will be the other one.
    let (code, said) = judged(directory.path(), &name, &rejects("{program}"));
    assert_eq!(code, Some(0), "{said}");
    std::fs::remove_file(&file).expect("it is ours");
    let (code, said) = judged(directory.path(), &name, &rejects("{exe}"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the old one says no"), "{said}");
}
