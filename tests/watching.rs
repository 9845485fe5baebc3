//! Sources that come, go and are replaced; and what happens without inotify.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::support::{Gate, Kubelet, Volume, command, gate_command, needs, skip};

const JUDGE_ONLY: [&str; 4] = ["--signal", "none", "--settle", "20ms"];

fn gate(watched: &[&Path]) -> Gate {
    let watched = watched.iter().flat_map(|path| ["--watch", path.to_str().expect("it is UTF-8")]);
    Gate::run(&watched.chain(JUDGE_ONLY).collect::<Vec<_>>())
}

#[test]
fn a_source_that_does_not_exist_yet_is_waited_for() {
    let directory = tempfile::tempdir().expect("there is room");
    let later = directory.path().join("not/yet/there");
    let mut gate = gate(&[&later]);
    let nothing = gate.wait_for("inconclusive");
    assert_eq!(nothing["findings"][0]["code"], "missing-source");
    std::fs::create_dir_all(&later).expect("there is room");
    std::fs::write(later.join("app.conf"), "one").expect("there is room");
    gate.wait_for("accepted");
    gate.wait_for("recovered");
}

#[test]
fn a_change_that_met_no_free_descriptor_is_read_soon_after() {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("app.conf"), "one").expect("there is room");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&[&["--watch", watch, "--poll", "10m"][..], &JUDGE_ONLY].concat());
    gate.wait_for("accepted");
    let pid = i32::try_from(gate.pid()).ok().and_then(rustix::process::Pid::from_raw);
    let limit = |current| {
        let limits = rustix::process::Rlimit { current: Some(current), maximum: Some(1024) };
        rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limits).expect("it is ours")
    };
    let before = limit(3);
    std::fs::write(directory.path().join("app.conf"), "two").expect("there is room");
    let report = gate.wait_for("inconclusive");
    assert!(report["message"].as_str().is_some_and(|message| message.contains("Too many open files")), "{report}");
    // No event and no poll comes after this.
    limit(before.current.unwrap_or(1024).min(1024));
    gate.wait_for("accepted");
    gate.wait_for("recovered");
    assert_eq!(gate.events.iter().filter(|event| event["event"] == "inconclusive").count(), 1, "{}", gate.story());
}

#[test]
fn a_directory_that_is_replaced_is_watched_on() {
    let directory = tempfile::tempdir().expect("there is room");
    let source = directory.path().join("config");
    std::fs::create_dir(&source).expect("there is room");
    std::fs::write(source.join("app.conf"), "one").expect("there is room");
    let mut gate = gate(&[&source]);
    gate.wait_for("accepted");
    std::fs::rename(&source, directory.path().join("old")).expect("it can be moved");
    std::fs::create_dir(&source).expect("there is room");
    std::fs::write(source.join("app.conf"), "two").expect("there is room");
    gate.wait_for("accepted");
    std::fs::write(source.join("app.conf"), "three").expect("there is room");
    gate.wait_for("accepted");
}

#[test]
fn a_link_that_is_led_elsewhere_is_followed() {
    let directory = tempfile::tempdir().expect("there is room");
    for (revision, content) in [("a", "one"), ("b", "two")] {
        std::fs::create_dir(directory.path().join(revision)).expect("there is room");
        std::fs::write(directory.path().join(revision).join("app.conf"), content).expect("there is room");
    }
    let current = directory.path().join("current");
    symlink("a", &current).expect("there is room");
    let mut gate = gate(&[&current]);
    gate.wait_for("accepted");
    symlink("b", directory.path().join("next")).expect("there is room");
    std::fs::rename(directory.path().join("next"), &current).expect("it can be swapped");
    let accepted = gate.wait_for("accepted");
    assert_eq!(accepted["changed"], serde_json::json!(["app.conf"]));
}

#[test]
fn nested_directories_are_watched_and_new_ones_too() {
    let directory = tempfile::tempdir().expect("there is room");
    let source = directory.path().join("config");
    std::fs::create_dir_all(source.join("conf.d/deep")).expect("there is room");
    std::fs::write(source.join("conf.d/deep/a.conf"), "one").expect("there is room");
    let mut gate = gate(&[&source]);
    gate.wait_for("accepted");
    std::fs::write(source.join("conf.d/deep/a.conf"), "two").expect("there is room");
    gate.wait_for("accepted");
    std::fs::create_dir_all(source.join("new")).expect("there is room");
    std::fs::write(source.join("new/b.conf"), "one").expect("there is room");
    gate.wait_for("accepted");
    std::fs::write(source.join("new/b.conf"), "two").expect("there is room");
    let accepted = gate.wait_for("accepted");
    assert_eq!(accepted["changed"], serde_json::json!(["new/b.conf"]));
}

#[test]
fn several_volumes_make_one_tree() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut one = Volume::new(directory.path().join("one"), Kubelet::Old, &[("a.conf", "1")]);
    let mut two = Volume::new(directory.path().join("two"), Kubelet::New, &[("b.conf", "1")]);
    let (first, second) = (one.path().to_owned(), two.path().to_owned());
    let mut gate = gate(&[&first, &second]);
    gate.wait_for("accepted");
    two.write(&[("b.conf", "2")]);
    let accepted = gate.wait_for("accepted");
    assert_eq!(accepted["changed"], serde_json::json!([second.join("b.conf")]));
    one.write(&[("a.conf", "2"), ("new.conf", "1")]);
    let accepted = gate.wait_for("accepted");
    assert_eq!(accepted["changed"], serde_json::json!([first.join("a.conf"), first.join("new.conf")]));
}

#[test]
fn a_change_without_effect_is_unchanged() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut volume = Volume::new(directory.path().join("volume"), Kubelet::New, &[("app.conf", "1")]);
    let plain = directory.path().join("plain");
    std::fs::create_dir(&plain).expect("there is room");
    std::fs::write(plain.join("b.conf"), "1").expect("there is room");
    let path = volume.path().to_owned();
    let mut gate = gate(&[&path, &plain]);
    gate.wait_for("accepted");
    volume.write(&[("app.conf", "1")]);
    gate.wait_for("unchanged");
    std::fs::write(plain.join("b.conf"), "1").expect("there is room");
    gate.wait_for("unchanged");
    std::fs::set_permissions(plain.join("b.conf"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("it is ours");
    gate.wait_for("unchanged");
    gate.listen(Duration::from_millis(200));
    assert_eq!(gate.count("accepted"), 1, "{}", gate.story());
}

#[test]
fn a_file_that_vanishes_and_returns_is_recovery() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut volume = Volume::new(directory.path().join("volume"), Kubelet::New, &[("app.conf", "1"), ("other", "1")]);
    let file = volume.file("app.conf");
    let mut gate = gate(&[&file]);
    gate.wait_for("accepted");
    volume.write(&[("other", "2")]);
    let nothing = gate.wait_for("inconclusive");
    assert_eq!(nothing["findings"][0]["code"], "missing-source");
    volume.write(&[("app.conf", "1"), ("other", "2")]);
    gate.wait_for("recovered");
}

#[test]
fn a_refused_file_is_named() {
    let directory = tempfile::tempdir().expect("there is room");
    let source = directory.path().join("config");
    std::fs::create_dir(&source).expect("there is room");
    std::fs::write(source.join("app.conf"), "one").expect("there is room");
    symlink("/etc/passwd", source.join("passwd")).expect("there is room");
    let watch = source.to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&[&["--watch", watch, "--links", "refuse"], &JUDGE_ONLY[..]].concat());
    let rejected = gate.wait_for("rejected");
    let finding = &rejected["findings"][0];
    assert_eq!(finding["code"], "escaping-link");
    assert_eq!(finding["file"], source.join("passwd").to_str().expect("it is UTF-8"));
    std::fs::remove_file(source.join("passwd")).expect("it is ours");
    gate.wait_for("accepted");
    gate.wait_for("recovered");
}

#[test]
fn without_inotify_changes_are_found_by_polling() {
    needs!("unshare");
    let may = command("unshare").args(["-U", "-r", "true"]).status().is_ok_and(|status| status.success());
    if !may {
        return skip("user namespaces are not allowed here");
    }
    for (limit, sysctl) in
        [("max_inotify_instances", "max_user_instances"), ("max_inotify_watches", "max_user_watches")]
    {
        let directory = tempfile::tempdir().expect("there is room");
        let mut volume = Volume::new(directory.path().join("volume"), Kubelet::New, &[("app.conf", "1")]);
        // In a user namespace of its own, the limit can be set for this process alone.
        let mut limited = command("unshare");
        let set = format!("echo 0 > /proc/sys/user/{limit} && exec \"$0\" \"$@\"");
        limited.args(["-U", "-r", "sh", "-c", &set]);
        limited.arg(gate_command().get_program()).args(["run", "--watch"]).arg(volume.path()).args(JUDGE_ONLY);
        let mut gate = Gate::start(limited);
        let degraded = gate.wait_for("watch_degraded");
        let message = degraded["message"].as_str().expect("there is one");
        assert!(message.contains("polling") && message.contains(sysctl), "{message}");
        gate.wait_for("accepted");
        volume.write(&[("app.conf", "2")]);
        gate.wait_for("accepted");
    }
}

#[test]
fn a_single_file_mount_is_warned_about() {
    needs!("unshare", "mount");
    let may = command("unshare").args(["-U", "-r", "-m", "true"]).status().is_ok_and(|status| status.success());
    if !may {
        return skip("user and mount namespaces are not allowed here");
    }
    let directory = tempfile::tempdir().expect("there is room");
    // Neither a blank in the name nor a link on the way hides it.
    let inside = directory.path().join("with a blank");
    std::fs::create_dir(&inside).and_then(|()| symlink(&inside, directory.path().join("link"))).expect("there is room");
    let (image, file) = (directory.path().join("image.conf"), inside.join("app.conf"));
    std::fs::write(&image, "one").and_then(|()| std::fs::write(&file, "")).expect("there is room");
    let mut mounted = command("unshare");
    mounted
        .args(["-U", "-r", "-m", "sh", "-c", "mount --bind \"$0\" \"$1\" && shift && exec \"$@\""])
        .arg(&image)
        .arg(&file);
    mounted
        .arg(gate_command().get_program())
        .args(["run", "--watch"])
        .arg(directory.path().join("link/app.conf"))
        .args(JUDGE_ONLY);
    let mut gate = Gate::start(mounted);
    let warned = gate.wait_for("watch_degraded");
    assert!(warned["message"].as_str().expect("there is one").contains("mount of a single file"), "{warned}");
    assert!(warned["help"].as_str().expect("there is one").contains("subPath"), "{warned}");
}
