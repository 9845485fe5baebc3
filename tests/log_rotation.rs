//! Rotated logs: another gate of the same process makes nginx open them again (docs/configuration.md).

use std::process::Command;

use crate::support::{Gate, Nginx, command, eventually, gate_command, needs};

/// Starts both gates of the recipe.
fn gates(nginx: &Nginx) -> Command {
    let text = include_str!("../docs/configuration.md");
    let (_, rest) = text.split_once("# gates.yaml\ngates:\n  - app: nginx\n").expect("the recipe is there");
    let (recipe, _) = rest.split_once("```").expect("it ends");
    let recipe = format!("gates:\n  - app: nginx\n    process: {}\n{recipe}", nginx.name);
    let watch = nginx.volume.path().display().to_string();
    let recipe = recipe.replace("/etc/nginx\n", &format!("{watch}\n"));
    let recipe = recipe.replace("/var/log/nginx/rotated", &nginx.directory().join("rotated").display().to_string());
    let recipe = recipe.replace("process: nginx\n", &format!("process: {}\n", nginx.name));
    let file = nginx.directory().join("gates.yaml");
    std::fs::write(&file, recipe).expect("there is room");
    let mut gate = gate_command();
    gate.args(["run", "--config"]).arg(file);
    gate
}

#[test]
fn nginx_opens_its_log_again_after_a_rotation_and_reads_its_configuration_after_a_change() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let (log, rotated) = (nginx.directory().join("error.log"), nginx.directory().join("rotated"));
    let (_, before) =
        include_str!("../docs/configuration.md").split_once("# before the gate starts\n").expect("it is there");
    let (before, _) = before.split_once("```").expect("it ends");
    let before = before.replace("/var/log/nginx/rotated", &rotated.display().to_string());
    assert!(command("sh").args(["-c", &before]).status().expect("it is installed").success(), "{before}");
    let mut gate = Gate::start(gates(&nginx));
    let mut names = [gate.wait_for("reloaded"), gate.wait_for("reloaded")].map(|event| event["signal"].to_string());
    names.sort();
    assert_eq!(names, ["\"SIGHUP\"", "\"SIGUSR1\""]);

    std::fs::rename(&log, nginx.directory().join("error.log.1")).expect("it is there");
    std::fs::write(rotated.join("at"), "1").expect("there is room");
    let reloaded = gate.wait_for("reloaded");
    assert_eq!((reloaded["gate"].as_str(), reloaded["signal"].as_str()), (Some("nginx-logs"), Some("SIGUSR1")));
    eventually("nginx has opened its log again", || log.exists());

    nginx.write("two", "");
    let reloaded = gate.wait_for("reloaded");
    assert_eq!(reloaded["signal"], "SIGHUP");
    eventually("nginx serves the new configuration", || nginx.serves("two"));
    assert_eq!((gate.count("rejected"), gate.count("inconclusive")), (0, 0), "{}", gate.story());
}
