//! Published volumes that another program changes, and sources that become unreadable.

use std::path::{Path, PathBuf};

use super::{Pod, readable, text};
use crate::support::{Gate, eventually, needs, served};

/// A gate that has published `good 1`, which it compares with what lies there every 200 ms; with the watched and the published directory.
fn compared(directory: &Path) -> (Gate, PathBuf, PathBuf) {
    let (watch, publish) = (directory.join("watch"), directory.join("published"));
    std::fs::create_dir_all(&watch).and_then(|()| std::fs::create_dir(&publish)).expect("there is room");
    std::fs::write(watch.join("app.conf"), "good 1").expect("there is room");
    let arguments = ["--watch", text(&watch), "--publish", text(&publish), "--poll", "200ms"];
    let means = ["--validate", "grep -q good {config}", "--reload-command", "true", "--verify-command", "true"];
    let mut gate = Gate::run(&[&arguments[..], &means].concat());
    gate.wait_for("verified");
    (gate, watch, publish)
}

/// Another program writes through a name, points `..data` elsewhere, or removes a name: it is published again and reported.
#[test]
fn a_volume_that_another_program_changes_is_published_again() {
    let write = |publish: &Path| std::fs::write(publish.join("app.conf"), "theirs").expect("there is room");
    let swap = |publish: &Path| {
        std::fs::create_dir(publish.join("..sha256-other")).expect("there is room");
        std::fs::write(publish.join("..sha256-other/app.conf"), "theirs").expect("there is room");
        std::os::unix::fs::symlink("..sha256-other", publish.join("..next")).expect("there is room");
        std::fs::rename(publish.join("..next"), publish.join("..data")).expect("there is room");
    };
    let remove = |publish: &Path| std::fs::remove_file(publish.join("app.conf")).expect("it is there");
    type Change<'a> = &'a dyn Fn(&Path);
    let changes: [(&str, Change<'_>); 3] = [
        ("are not those that the gate wrote", &write),
        ("leads to `..sha256-other`", &swap),
        ("names are missing", &remove),
    ];
    for (reason, change) in changes {
        let directory = tempfile::tempdir().expect("there is room");
        let (mut gate, _, publish) = compared(directory.path());
        change(&publish);
        let restored = gate.wait_for("restored");
        let message = restored["message"].as_str().expect("it has one");
        assert!(message.starts_with("another program changed what is published: "), "{message}");
        assert!(message.contains(reason), "{message}");
        assert!(restored["help"].as_str().is_some_and(|help| help.contains("readOnly")), "{restored:#}");
        assert_eq!(readable(&publish), [("app.conf".into(), "good 1".into())].into(), "{reason}");
        gate.wait_for("verified");
        assert_eq!((gate.count("restored"), gate.count("published")), (1, 1), "{}", gate.story());
    }
}

#[test]
fn a_volume_that_another_program_changes_is_published_again_while_a_rejection_is_open() {
    let directory = tempfile::tempdir().expect("there is room");
    let (mut gate, watch, publish) = compared(directory.path());
    std::fs::write(watch.join("app.conf"), "bad").expect("there is room");
    gate.wait_for("rejected");
    std::fs::remove_file(publish.join("app.conf")).expect("it is there");
    gate.wait_for("restored");
    assert_eq!(readable(&publish), [("app.conf".into(), "good 1".into())].into());
    gate.wait_for("verified");
    assert_eq!((gate.count("rejected"), gate.count("recovered")), (1, 0), "{}", gate.story());
}

/// A gate whose sources are unreadable still watches and verifies the application that runs what it published.
#[test]
fn a_restart_while_the_sources_are_missing_is_verified_on_what_is_published() {
    needs!("nginx");
    let mut pod = Pod::new();
    pod.init();
    let published = pod.published();
    let first = pod.start(&published).expect("it starts");
    let mut gate = pod.gate(&[]);
    gate.wait_for("verified");
    let (here, away) = (pod.config_map.path().to_path_buf(), pod.directory.path().join("away"));
    std::fs::rename(&here, &away).expect("it is there");
    gate.wait_for("inconclusive");
    drop(first);
    let _second = pod.start(&published).expect("it starts");
    gate.wait_for("target_replaced");
    gate.wait_for("verified");
    std::fs::rename(&away, &here).expect("it is there");
    pod.write("two", "");
    gate.wait_for("recovered");
    eventually("it serves the new content", || served(pod.port, "two"));
}
