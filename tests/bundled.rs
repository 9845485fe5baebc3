//! The bundled nginx checker at the gate of a real nginx, which needs no nginx in its own reach.

use crate::support::{Gate, Nginx, eventually, gate_command, needs, skip};

/// A gate which could not start any program.
fn gate(nginx: &Nginx) -> Gate {
    let mut gate = gate_command();
    gate.env("PATH", "").args(["run", "--builtin", "nginx", "--process", &nginx.name, "--signal", "HUP"]);
    gate.args(["--verify", "workers", "--watch"]).arg(nginx.volume.path());
    let mut gate = Gate::start(gate);
    gate.wait_for("verified");
    gate
}

#[test]
fn without_any_nginx_it_judges_what_nginx_will_read() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let include = nginx.directory().join("beside.conf");
    std::fs::write(&include, "map $uri $known { default 1; }\n").expect("there is room");
    let include = format!("include {};", include.display());
    let mut gate = gate(&nginx);
    let change = |nginx: &mut Nginx, body: &str, included: &str| {
        let config = nginx.config(body, &format!("{include} include {}/*.inc;", nginx.volume.path().display()));
        nginx.volume.write(&[("nginx.conf", &config), ("more.inc", included)]);
    };

    change(&mut nginx, "two", "add_header X-Known $known;\n");
    gate.wait_for("verified");
    eventually("what is included in and beside the volume is known", || nginx.serves("two"));

    let signals = nginx.signals();
    change(&mut nginx, "three", "add_header X-Known $unknown;\nadd_heder X-Four 4;\n");
    let rejected = gate.wait_for("rejected");
    let finding = &rejected["findings"][0];
    let places = [&finding["file"], &finding["line"], &finding["column"], &finding["message"], &finding["help"]];
    let file = nginx.volume.file("more.inc");
    let expected = [
        serde_json::json!(file),
        2.into(),
        1.into(),
        "unknown directive \"add_heder\"".into(),
        "did you mean `add_header`?".into(),
    ];
    assert_eq!(places, expected.each_ref(), "{rejected}");
    assert_eq!(nginx.signals(), signals);
    assert!(nginx.serves("two"));

    // It goes by the nginx that runs: Debian's has no stream without its module.
    let debian = crate::support::command("nginx").arg("-V").output().expect("it is installed").stderr;
    if String::from_utf8_lossy(&debian).contains("--with-stream=dynamic") {
        let config = nginx.config("five", "").replace("events {}", "events {}\nstream {}");
        nginx.volume.write(&[("nginx.conf", &config), ("more.inc", "")]);
        let rejected = gate.wait_for("rejected");
        assert_eq!(rejected["findings"][0]["message"], "unknown directive \"stream\"", "{rejected}");
    }

    change(&mut nginx, "four", "");
    gate.wait_for("recovered");
    eventually("the good one is served", || nginx.serves("four"));
}

#[test]
fn a_file_that_is_not_included_is_not_accepted_unread() {
    // Its package brings the `/etc/nginx/nginx.conf` that is begun with, which knows nothing of the watched directory.
    needs!("nginx");
    let directory = tempfile::tempdir().expect("there is room");
    for name in ["a.conf", "b.conf"] {
        std::fs::write(directory.path().join(name), "garbage {{{").expect("there is room");
    }
    let mut gate = gate_command();
    gate.args([
        "run",
        "--once",
        "--app",
        "nginx",
        "--builtin",
        "nginx",
        "--process",
        "no-such-nginx",
        "--root",
        "local",
    ]);
    let output = gate.arg("--watch").arg(directory.path()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("\"not-read\""), "{said}");
}

#[test]
fn the_bundled_checker_validates_where_nginx_may_not_run() {
    needs!("nginx", "setpriv");
    if !rustix::process::geteuid().is_root() {
        return skip("only root has privileges that could be missing");
    }
    let mut nginx = Nginx::start();
    let mut gate = crate::support::command("setpriv");
    gate.args(["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_reload-gate"), "run", "--app", "nginx"]);
    gate.args(["--process", &nginx.name, "--watch"]).arg(nginx.volume.path());
    let mut gate = Gate::start(gate);
    let accepted = gate.wait_for("accepted");
    let note = &accepted["findings"][0];
    assert_eq!((&note["code"], &note["severity"]), (&"root-not-entered".into(), &"note".into()), "{accepted}");
    assert!(note["message"].as_str().expect("there is one").starts_with("validated by the bundled nginx checker: "));
    gate.wait_for("verified");
    nginx.write("two", "lisen 80;");
    let rejected = gate.wait_for("rejected");
    assert!(rejected["message"].as_str().expect("there is one").contains("unknown directive \"lisen\""), "{rejected}");
    nginx.write("three", "");
    gate.wait_for("recovered");
    eventually("the good one is served", || nginx.serves("three"));
}
