//! Sources that come, go and are replaced; and what happens without inotify.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Gate, Kubelet, Volume, command, eventually, gate_command, needs, python, skip, unique};

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

#[test]
fn a_source_that_is_unmounted_and_mounted_again_is_watched_on() {
    needs!("unshare", "mount", "umount");
    let may = command("unshare").args(["-U", "-r", "-m", "true"]).status().is_ok_and(|status| status.success());
    if !may {
        return skip("user and mount namespaces are not allowed here");
    }
    let directory = tempfile::tempdir().expect("there is room");
    let (source, steps) = (directory.path().join("source"), directory.path().join("steps"));
    std::fs::create_dir(&source).expect("there is room");
    rustix::fs::mkfifoat(rustix::fs::CWD, &steps, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .expect("there is room");
    // As autofs, NFS or a CSI driver do it, in the namespace of the gate; each step waits for the test.
    let script = "cd \"$0\" && mount -t tmpfs none source && echo one > source/app.conf || exit\n\
        (read go < steps && umount source || exit\n\
        read go < steps && mount -t tmpfs none source && echo two > source/app.conf || exit\n\
        read go < steps && echo three > source/app.conf) &\n\
        exec \"$@\"";
    let mut mounted = command("unshare");
    mounted.args(["-U", "-r", "-m", "sh", "-c", script]).arg(directory.path());
    mounted.arg(gate_command().get_program()).args(["run", "--watch"]).arg(&source);
    // Only events count.
    let mut gate = Gate::start({
        mounted.args(JUDGE_ONLY).args(["--poll", "1h"]);
        mounted
    });
    let go = || std::fs::write(&steps, "go\n").expect("the script reads it");
    let one = gate.wait_for("accepted");
    go();
    assert_eq!(gate.wait_for("inconclusive")["findings"][0]["code"], "empty-source", "{}", gate.story());
    go();
    let two = gate.wait_for("accepted");
    assert_ne!(one["digest"], two["digest"]);
    gate.wait_for("recovered");
    go();
    assert_ne!(gate.wait_for("accepted")["digest"], two["digest"]);
}

/// Writes a file through a mapping whose descriptor is closed, when `go` exists. inotify(7): "The inotify API does not report file
/// accesses and modifications that may occur because of mmap(2)".
const MAPPED: &str = "import ctypes, os, time\n\
    libc = ctypes.CDLL(None)\n\
    libc.mmap.restype = ctypes.c_void_p\n\
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]\n\
    file = os.open('config/app.conf', os.O_RDWR)\n\
    memory = libc.mmap(None, 4, 3, 1, file, 0)\n\
    os.close(file)\n\
    open('ready', 'w')\n\
    while not os.path.exists('go'):\n    time.sleep(0.01)\n\
    ctypes.memmove(memory, b'two\\n', 4)\n\
    while True:\n    time.sleep(100)\n";

#[test]
fn what_no_event_reports_is_found_by_a_poll() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let here = directory.path();
    let (source, linked) = (here.join("config"), here.join("elsewhere"));
    std::fs::create_dir(&source)
        .and_then(|()| std::fs::write(source.join("app.conf"), "one\n"))
        .expect("there is room");
    std::fs::hard_link(source.join("app.conf"), &linked).expect("there is room");
    let _writer = python(here, &unique("map"), MAPPED);
    eventually("the file is mapped", || here.join("ready").exists());
    let watch = source.to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&[&["--watch", watch, "--poll", "500ms"][..], &JUDGE_ONLY].concat());
    gate.wait_for("accepted");
    std::fs::write(here.join("go"), "").expect("there is room");
    let mapped = gate.wait_for("accepted");
    // Nor does a watch on a directory see what is written by another name of its file.
    std::fs::write(&linked, "three\n").expect("there is room");
    assert_ne!(gate.wait_for("accepted")["digest"], mapped["digest"]);
    assert_eq!(std::fs::read_to_string(source.join("app.conf")).expect("it is there"), "three\n");
}

#[test]
fn sources_that_overlap_are_one_content() {
    let directory = tempfile::tempdir().expect("there is room");
    let (source, link) = (directory.path().join("config"), directory.path().join("link"));
    std::fs::create_dir_all(source.join("conf.d")).expect("there is room");
    let write = |content: &str| std::fs::write(source.join("conf.d/a.conf"), content).expect("there is room");
    std::fs::write(source.join("app.conf"), "main").and_then(|()| symlink("config", &link)).expect("there is room");
    let (part, again) = (source.join("conf.d"), source.join("../config"));
    for other in [&part, &link, &source.join("app.conf"), &again] {
        write("one");
        let mut gate = gate(&[&source, other]);
        gate.wait_for("accepted");
        write("two");
        let changed = gate.wait_for("accepted")["changed"].clone();
        let is_file = |name: &Value| name.as_str().is_some_and(|name| name.ends_with("conf.d/a.conf"));
        let all = changed.as_array().cloned().unwrap_or_default();
        assert!(!all.is_empty() && all.iter().all(is_file), "{}: {changed}", other.display());
        gate.listen(Duration::from_millis(200));
        assert_eq!(gate.count("accepted"), 2, "{}: {}", other.display(), gate.story());
    }
}

#[test]
fn gates_whose_sources_overlap_decide_each_for_itself() {
    let directory = tempfile::tempdir().expect("there is room");
    let source = directory.path().join("config");
    std::fs::create_dir_all(source.join("conf.d")).expect("there is room");
    std::fs::write(source.join("app.conf"), "one").expect("there is room");
    std::fs::write(source.join("conf.d/a.conf"), "one").expect("there is room");
    let settings = directory.path().join("gates.yaml");
    let text = format!(
        "gates:\n  - name: whole\n    watch: [{0}]\n    signal: none\n    settle: 20ms\n  - name: part\n    watch: [{0}/conf.d]\n    \
         signal: none\n    settle: 20ms\n    validate: [\"grep -q good {{config}}\"]\n",
        source.display()
    );
    std::fs::write(&settings, text).expect("there is room");
    let mut gate = Gate::run(&["--config", settings.to_str().expect("it is UTF-8")]);
    let mut counts = |whole: usize, part: usize| {
        eventually(&format!("the gates have accepted {whole} and {part}"), || {
            gate.listen(Duration::from_millis(20));
            let is = |name: &str, event: &Value| event["gate"] == name && event["event"] == "accepted";
            let count = |name: &str| gate.events.iter().filter(|event| is(name, event)).count();
            (count("whole"), count("part")) == (whole, part)
        });
    };
    counts(1, 0);
    std::fs::write(source.join("conf.d/a.conf"), "good").expect("there is room");
    counts(2, 1);
    std::fs::write(source.join("app.conf"), "two").expect("there is room");
    counts(3, 1);
    gate.listen(Duration::from_millis(200));
    assert_eq!(gate.count("accepted"), 4, "{}", gate.story());
}
