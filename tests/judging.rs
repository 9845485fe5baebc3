//! Validators that hang, fork, fail or are not there.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Gate, eventually, needs, python, unique};

/// A directory with one file, gated by `check` for nobody: the judging itself is what is looked at.
fn gate(directory: &Path, check: &str, more: &[&str]) -> Gate {
    let watch = directory.join("config");
    std::fs::create_dir_all(&watch).expect("there is room");
    std::fs::write(watch.join("app.conf"), "one").expect("there is room");
    let watch = watch.to_str().expect("it is UTF-8");
    let arguments = ["--watch", watch, "--validate", check, "--signal", "none", "--settle", "20ms"];
    Gate::run(&[&arguments, more].concat())
}

fn is_running(marker: &str) -> bool {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let cmdlines = pids.filter_map(|pid| std::fs::read_to_string(pid.path().join("cmdline")).ok());
    cmdlines.into_iter().any(|cmdline| cmdline.split('\0').any(|word| word == marker))
}

#[test]
fn a_hanging_validator_is_killed_with_all_it_started() {
    let directory = tempfile::tempdir().expect("there is room");
    // No other process sleeps for so long.
    let (child, stray) =
        (format!("{}.5", 100_000 + std::process::id()), format!("{}.25", 100_000 + std::process::id()));
    let check = format!("sh -c 'sleep {child} & setsid sleep {stray} & wait'");
    let mut gate = gate(directory.path(), &check, &["--timeout", "500ms"]);
    eventually("the validator has started its sleepers", || is_running(&child) && is_running(&stray));
    let inconclusive = gate.wait_for("inconclusive");
    assert_eq!(inconclusive["findings"][0]["code"], "checker-timeout");
    assert_eq!(gate.count("rejected"), 0);
    eventually("all of it is dead, but for the next try", || {
        gate.events.len() == 2 && !is_running(&child) && !is_running(&stray)
    });
    eventually("it is tried again", || is_running(&child));
    let started = Instant::now();
    assert_eq!(gate.stop(), 0);
    assert!(started.elapsed() < Duration::from_secs(5), "the loop stays responsive");
    eventually("nothing is left behind", || !is_running(&child) && !is_running(&stray));
}

#[test]
fn a_validator_that_is_not_there_is_no_verdict() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut gate = gate(directory.path(), "no-such-checker {config}", &[]);
    let inconclusive = gate.wait_for("inconclusive");
    let finding = &inconclusive["findings"][0];
    assert_eq!(finding["code"], "checker-missing");
    assert!(
        finding["message"].as_str().expect("there is one").contains("`no-such-checker` is not installed"),
        "{finding}"
    );
    assert!(finding["help"].as_str().expect("there is one").contains("install it"), "{finding}");
}

#[test]
fn a_validator_sees_the_file_and_is_believed() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut gate = gate(directory.path(), "grep -q good {config}", &[]);
    gate.wait_for("rejected");
    std::fs::write(directory.path().join("config/app.conf"), "good").expect("there is room");
    gate.wait_for("accepted");
    gate.wait_for("recovered");
}

#[test]
fn a_validator_knows_nothing_of_the_gates_environment() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut command = crate::support::gate_command();
    let watch = directory.path().join("config");
    std::fs::create_dir(&watch).expect("there is room");
    std::fs::write(watch.join("app.conf"), "one").expect("there is room");
    command.env("SECRET", "hunter2").args(["run", "--signal", "none", "--validate", "sh -c 'env; exit 1'", "--watch"]);
    let mut gate = Gate::start({
        command.arg(&watch);
        command
    });
    let rejected = gate.wait_for("rejected");
    assert!(!rejected.to_string().contains("hunter2"), "{rejected}");
}

#[test]
fn a_content_that_moves_while_it_is_judged_is_judged_again() {
    let directory = tempfile::tempdir().expect("there is room");
    let (begun, go_on) = (directory.path().join("begun"), directory.path().join("go-on"));
    let check = format!("sh -c 'touch {}; while ! test -e {}; do sleep 0.01; done'", begun.display(), go_on.display());
    let mut gate = gate(directory.path(), &check, &[]);
    eventually("the judging has begun", || begun.exists());
    std::fs::write(directory.path().join("config/app.conf"), "two").expect("there is room");
    std::fs::write(&go_on, "").expect("there is room");
    let accepted = gate.wait_for("accepted");
    gate.listen(Duration::from_millis(300));
    assert_eq!(gate.count("accepted"), 1, "the judgement of what has moved is nothing worth: {}", gate.story());
    std::fs::write(directory.path().join("config/app.conf"), "two").expect("there is room");
    let unchanged = gate.wait_for("unchanged");
    assert_eq!(unchanged["digest"], accepted["digest"], "what was accepted is the last");
}

#[test]
fn a_validator_that_writes_into_its_sources_is_reported_and_decides() {
    let directory = tempfile::tempdir().expect("there is room");
    let log = directory.path().join("config/checker.log");
    let check = format!("sh -c 'echo checked >> {}; ! grep -q bad \"$0\"' {{config}}", log.display());
    let mut gate = gate(directory.path(), &check, &["--main", "app.conf", "--sandbox", "off"]);
    let deferred = gate.wait_for("deferred");
    let message = "`checker.log` changed after each of the last validations or reloads, so such changes are ignored";
    assert_eq!(deferred["message"], message);
    gate.wait_for("accepted");
    std::fs::write(directory.path().join("config/app.conf"), "bad").expect("there is room");
    gate.wait_for("rejected");
    let checked = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    let at_rest = checked();
    gate.listen(Duration::from_secs(2));
    assert!(checked() <= at_rest + 1, "it is validated on and on: {}", gate.story());
    assert_eq!((gate.count("deferred"), gate.count("rejected")), (1, 1), "{}", gate.story());
}

/// Replaces a file ten times a second while `work` lasts.
fn while_it_changes<T>(file: &Path, work: impl FnOnce() -> T) -> T {
    let (done, next) = (AtomicBool::new(false), file.parent().expect("it has one").with_extension("next"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for change in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                std::fs::write(&next, format!("change {change}")).expect("there is room");
                std::fs::rename(&next, file).expect("there is room");
                std::thread::park_timeout(Duration::from_millis(100));
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn a_content_that_changes_faster_than_its_validation_is_reported_once() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut gate = gate(directory.path(), "sleep 0.5", &[]);
    gate.wait_for("accepted");
    let file = directory.path().join("config/app.conf");
    while_it_changes(&file, || {
        let deferred = gate.wait_for_any(&["deferred", "accepted"]);
        assert_eq!(deferred["message"], "`app.conf` changes faster than it can be validated");
        assert!(deferred["help"].as_str().is_some_and(|help| help.contains("`--publish`")), "{deferred}");
        gate.listen(Duration::from_secs(3));
    });
    // What the application would read on a signal was never validated.
    assert_eq!((gate.count("deferred"), gate.count("accepted")), (1, 1), "{}", gate.story());
    gate.wait_for("accepted");
    gate.wait_for("recovered");
}

#[test]
fn a_published_content_is_decided_however_fast_the_next_one_comes() {
    let directory = tempfile::tempdir().expect("there is room");
    let published = directory.path().join("published");
    std::fs::create_dir(&published).expect("there is room");
    let volume = published.to_str().expect("it is UTF-8");
    let mut gate = gate(directory.path(), "sleep 0.5", &["--publish", volume]);
    gate.wait_for("published");
    let file = directory.path().join("config/app.conf");
    while_it_changes(&file, || {
        for _ in 0..3 {
            gate.wait_for("published");
            let content = std::fs::read_to_string(published.join("app.conf")).expect("it is published");
            assert!(content.starts_with("change "), "{content}");
        }
    });
    eventually("the last one is published", || {
        std::fs::read_to_string(published.join("app.conf")).ok() == std::fs::read_to_string(&file).ok()
    });
}

#[test]
fn a_validator_runs_as_the_target_does() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let name = unique("tgt");
    let ready = directory.path().join("ready");
    let program = format!(
        "import os, signal\nsignal.signal(signal.SIGHUP, lambda *_: None)\nif os.getuid() == 0:\n    os.setgroups([])\n    \
         os.setgid(65534)\n    os.chmod('.', 0o777)\n    os.setuid(65534)\nopen('{}', 'w')\nwhile True:\n    signal.pause()\n",
        ready.display()
    );
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("it is ours");
    let _target = python(directory.path(), &name, &program);
    eventually("the target is ready", || ready.exists());
    let check = "sh -c 'id -u; grep -E \"^(CapEff|NoNewPrivs)\" /proc/self/status; pwd; exit 1'";
    let mut gate = gate(directory.path(), check, &["--app", "none", "--process", &name, "--observe"]);
    let rejected = gate.wait_for("rejected");
    let said = rejected["findings"][0]["message"].as_str().expect("there is one");
    if rustix::process::geteuid().is_root() {
        assert!(said.starts_with("65534;"), "{said}");
        assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
    }
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
    assert!(said.ends_with(directory.path().to_str().expect("it is UTF-8")), "{said}");
}

#[test]
fn a_validator_that_runs_as_the_target_leaves_no_daemon_behind() {
    needs!("python3", "setsid");
    let directory = tempfile::tempdir().expect("there is room");
    let (name, ready) = (unique("dmn"), directory.path().join("ready"));
    let program = "import signal\nsignal.signal(signal.SIGHUP, lambda *_: None)\nopen('ready', 'w')\nsignal.pause()\n";
    let _target = python(directory.path(), &name, program);
    eventually("the target is ready", || ready.exists());
    let naps = [1, 2].map(|number| format!("{}.{number}", 3_000_000 + std::process::id()));
    let asleep = |nap: &str| {
        let processes = std::fs::read_dir("/proc").expect("it is mounted").flatten();
        let line = format!("sleep\0{nap}\0").into_bytes();
        processes.into_iter().any(|process| std::fs::read(process.path().join("cmdline")).is_ok_and(|own| own == line))
    };
    // Its parents are gone, and so is its session.
    let check = format!("sh -c '(setsid sleep {} &); sleep {}'", naps[0], naps[1]);
    let arguments = ["--app", "none", "--process", &name, "--observe", "--timeout", "1s"];
    let mut gate = gate(directory.path(), &check, &arguments);
    eventually("the daemon runs", || asleep(&naps[0]) && asleep(&naps[1]));
    assert_eq!(gate.wait_for("inconclusive")["findings"][0]["code"], "checker-timeout");
    eventually("nothing is left of it", || !naps.iter().any(|nap| asleep(nap)));
    drop(gate);
    // Neither is anything left of a checker that ends by itself.
    let begun = directory.path().join("begun");
    let daemon = format!("setsid sh -c \": > {0}; exec sleep {1}\" &", begun.display(), naps[0]);
    let check = format!("sh -c '({daemon}); while ! test -e {}; do :; done'", begun.display());
    let mut gate = self::gate(directory.path(), &check, &["--app", "none", "--process", &name, "--observe"]);
    gate.wait_for("accepted");
    assert!(begun.exists(), "the daemon never began");
    assert!(!asleep(&naps[0]), "{}", gate.story());
}

/// A gunicorn that is started in `directory` by these words, with `config` as its configuration.
fn gunicorn(directory: &Path, words: &[&str], config: &str) -> (crate::support::Background, std::path::PathBuf) {
    let volume = directory.join("config");
    std::fs::create_dir_all(&volume).expect("there is room");
    std::fs::write(volume.join("gunicorn.conf.py"), config).expect("there is room");
    let mut gunicorn = crate::support::command("/usr/bin/python3");
    gunicorn.args(words).current_dir(directory).env("PYTHONDONTWRITEBYTECODE", "1");
    let process = crate::support::Background::start(gunicorn.stderr(std::process::Stdio::null()));
    (process, volume)
}

#[test]
fn gunicorn_is_checked_with_the_environment_of_its_configuration() {
    needs!("gunicorn");
    let (directory, port) = (tempfile::tempdir().expect("there is room"), crate::support::free_port());
    let application = "import os\nBODY = os.environ['NEEDED'].encode()\ndef app(environ, start_response):\n    \
                       start_response('200 OK', [('Content-Length', str(len(BODY)))])\n    return [BODY]\n";
    std::fs::write(directory.path().join("application.py"), application).expect("there is room");
    let config = format!("bind = '127.0.0.1:{port}'\nraw_env = ['NEEDED=one']\nworkers = 1\n");
    let words = ["/usr/bin/gunicorn", "-c", "config/gunicorn.conf.py", "application:app"];
    let (process, volume) = gunicorn(directory.path(), &words, &config);
    eventually("gunicorn serves", || crate::support::served(port, "one"));
    let pid_file = directory.path().join("pid");
    std::fs::write(&pid_file, process.pid().to_string()).expect("there is room");
    let (pid_file, volume) = (pid_file.to_str().expect("it is UTF-8"), volume.to_str().expect("it is UTF-8"));
    let mut gate = Gate::run(&[
        "--app",
        "gunicorn",
        "--process",
        "python3",
        "--pid-file",
        pid_file,
        "--watch",
        volume,
        "--observe",
    ]);
    let first = gate.wait_for_any(&["accepted", "rejected", "inconclusive"]);
    assert_eq!(first["event"], "accepted", "{first}");
}

#[test]
fn an_application_of_ones_own_is_checked_without_binding_its_port() {
    needs!("gunicorn");
    let (directory, port) = (tempfile::tempdir().expect("there is room"), crate::support::free_port());
    let own = format!(
        "from gunicorn.app.base import BaseApplication\ndef app(environ, start_response):\n    start_response('200 OK', [('Content-Length', '3')])\n    \
         return [b'one']\nclass Own(BaseApplication):\n    def load_config(self):\n        self.cfg.set('bind', '127.0.0.1:{port}')\n        \
         self.cfg.set('proc_name', 'own')\n    def load(self):\n        with open('loads', 'a') as file: file.write('x')\n        return app\nOwn().run()\n"
    );
    std::fs::write(directory.path().join("own.py"), own).expect("there is room");
    let (process, volume) = gunicorn(directory.path(), &["own.py"], "");
    eventually("gunicorn serves", || crate::support::served(port, "one"));
    let before = std::fs::read_to_string(directory.path().join("loads")).unwrap_or_default().len();
    let pid_file = directory.path().join("pid");
    std::fs::write(&pid_file, process.pid().to_string()).expect("there is room");
    let (pid_file, volume) = (pid_file.to_str().expect("it is UTF-8"), volume.to_str().expect("it is UTF-8"));
    let arguments =
        ["--app", "gunicorn", "--process", "python3", "--pid-file", pid_file, "--watch", volume, "--observe"];
    let mut gate = Gate::run(&[&arguments[..], &["--timeout", "10s"]].concat());
    let first = gate.wait_for_any(&["accepted", "rejected", "inconclusive"]);
    let loaded = std::fs::read_to_string(directory.path().join("loads")).unwrap_or_default().len() - before;
    // The checker has loaded the application once and ended; it would serve, or fail for the port, otherwise.
    assert_eq!((&first["event"], loaded), (&"accepted".into(), 1), "{first}");
}
