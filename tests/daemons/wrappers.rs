//! The right process behind a wrapper that has started it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal};

use super::is_there;
use crate::support::{
    Background, Gate, Nginx, command, copy, eventually, free_port, install, needs, script, served, unique,
};

/// An nginx below a wrapper. Its master may be in a session of its own, which does not end with the wrapper.
struct Wrapped {
    name: String,
    port: u16,
    master: Pid,
    _process: Background,
    directory: tempfile::TempDir,
}

impl Wrapped {
    /// Starts `wrap` of the directory, the name and the command line of nginx.
    fn start(wrap: impl FnOnce(&Path, &str, &[&str]) -> Vec<String>) -> Self {
        let (directory, name, port) = (tempfile::tempdir().expect("there is room"), unique("wra"), free_port());
        let (here, config) = (directory.path(), directory.path().join("config"));
        fs::create_dir(&config).expect("there is room");
        write(here, port, "one");
        let (binary, main) = (copy("nginx", here, &name), config.join("nginx.conf"));
        let [binary, prefix, main] = [&*binary, here, &*main].map(|path| path.to_str().expect("it is UTF-8"));
        let words = wrap(here, &name, &[binary, "-p", prefix, "-g", "daemon off;", "-c", main]);
        let mut wrapper = command(&words[0]);
        wrapper.args(&words[1..]).current_dir(here).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Background::start(&mut wrapper);
        eventually(&format!("nginx serves below {words:?}"), || served(port, "one"));
        let pid = fs::read_to_string(here.join("pid")).expect("nginx has written it");
        let master = pid.trim().parse().ok().and_then(Pid::from_raw).expect("it is one");
        Self { name, port, master, _process: process, directory }
    }

    /// A change is signalled to the master, and to no other process.
    fn is_found(&self) {
        let watch = self.directory.path().join("config");
        let watch = watch.to_str().expect("it is UTF-8");
        let mut gate = Gate::run(&["--app", "nginx", "--process", &self.name, "--watch", watch]);
        gate.wait_for("verified");
        write(self.directory.path(), self.port, "two");
        let reloaded = gate.wait_for_any(&["reloaded", "target_refused", "target_missing"]);
        assert_eq!(reloaded["pid"], self.master.as_raw_pid(), "{reloaded}");
        gate.wait_for("verified");
        eventually("nginx serves the new configuration", || served(self.port, "two"));
    }
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.master, Signal::TERM);
    }
}

fn write(here: &Path, port: u16, body: &str) {
    fs::write(here.join("next"), Nginx::text(here, port, body, "")).expect("there is room");
    fs::rename(here.join("next"), here.join("config/nginx.conf")).expect("there is room");
}

/// Owns the words of a command line.
fn words(wrapper: &[&str], nginx: &[&str]) -> Vec<String> {
    wrapper.iter().chain(nginx).map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_master_is_found_below_a_wrapper() {
    needs!("nginx", "setsid");
    let wrappers: [&[&str]; 6] = [
        &["sh", "-c", "exec \"$@\"", "sh"],
        &["sh", "-c", "\"$@\"; true", "sh"],
        &["setsid", "--wait"],
        &["tini", "--"],
        &["tini", "-s", "-g", "--"],
        &["dumb-init", "sh", "-c", "\"$@\"; true", "sh"],
    ];
    for wrapper in wrappers.into_iter().filter(|wrapper| is_there(wrapper[0])) {
        Wrapped::start(|_, _, nginx| words(wrapper, nginx)).is_found();
    }
}

/// A shell script of this name that starts its arguments.
fn script_called(here: &Path, name: &str) -> PathBuf {
    let (text, script) = (here.join("script"), here.join("bin").join(name));
    fs::write(&text, "#!/bin/sh\n\"$@\"\n").and_then(|()| fs::create_dir(here.join("bin"))).expect("there is room");
    install(&text, &script);
    script
}

#[test]
fn a_wrapper_with_the_name_of_the_program_is_not_the_master() {
    needs!("nginx");
    let wrapped = Wrapped::start(|here, name, nginx| {
        let wrapper = script_called(here, name);
        words(&[wrapper.to_str().expect("it is UTF-8")], nginx)
    });
    wrapped.is_found();
}

/// A parent as the init process of an image is: it starts its arguments, and waits for whatever ends.
const INIT: &str = "import os, sys\n\
    if os.fork() == 0:\n    os.execv(sys.argv[1], sys.argv[1:])\n\
    while True:\n    try:\n        os.wait()\n    except ChildProcessError:\n        break\n";

#[test]
fn the_master_is_found_below_an_init_process() {
    needs!("nginx", "python3");
    let wrapped = Wrapped::start(|here, _, nginx| {
        let init = script(here, &unique("ini"), INIT);
        words(&[init.to_str().expect("it is UTF-8")], nginx)
    });
    wrapped.is_found();
}

#[test]
fn the_master_is_found_below_supervisord() {
    needs!("nginx");
    if !is_there("supervisord") {
        return;
    }
    let wrapped = Wrapped::start(|here, _, nginx| {
        let quoted: Vec<_> = nginx.iter().map(|word| format!("'{word}'")).collect();
        let config = format!(
            "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={}/supervisord.pid\n[program:web]\n\
             command={}\n",
            here.display(),
            quoted.join(" ")
        );
        let file = here.join("supervisord.conf");
        fs::write(&file, config).expect("there is room");
        words(&["supervisord", "-c", file.to_str().expect("it is UTF-8")], &[])
    });
    wrapped.is_found();
}
