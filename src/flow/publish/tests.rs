//! An end after any step leaves one generation to read, and the next beginning goes on from there.

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(name, content)| (name.into(), content.as_bytes().to_vec())).collect()
}

fn volume() -> (tempfile::TempDir, Volume) {
    // In memory where possible: every publication waits for its disk.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("there is room");
    let volume = Volume::new(directory.path().to_path_buf(), VolumeLimits::default());
    (directory, volume)
}

/// The files that an application can read: all that are visible and lead somewhere.
fn readable(volume: &Volume) -> Tree {
    let (mut tree, mut directories) = (Tree::new(), vec![PathBuf::new()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(volume.path().join(&directory)).expect("it is there").flatten() {
            let name = directory.join(entry.file_name());
            let Ok(metadata) = std::fs::metadata(entry.path()) else { continue };
            if entry.file_name().to_string_lossy().starts_with("..") {
                continue;
            } else if metadata.is_dir() {
                directories.push(name);
            } else {
                tree.insert(name, std::fs::read(entry.path()).expect("it is there"));
            }
        }
    }
    tree
}

fn publish(volume: &Volume, tree: &Tree) -> Generation {
    let generation = volume.stage(tree).expect("there is room");
    volume.publish(&generation).expect("there is room");
    generation
}

#[test]
fn a_published_tree_is_the_one_that_is_read() {
    let (_directory, volume) = volume();
    let one = tree(&[("nginx.conf", "one"), ("conf.d/a.conf", "a"), ("conf.d/deep/b.conf", "b")]);
    let two = tree(&[("nginx.conf", "two"), ("other/c.conf", "")]);
    publish(&volume, &one);
    assert_eq!(readable(&volume), one);
    publish(&volume, &two);
    assert_eq!(readable(&volume), two);
    assert!(volume.path().join("conf.d").symlink_metadata().is_err(), "removed names are gone");
    let (_, live) = volume.live().expect("it can be read").expect("there is one");
    assert_eq!(live, two);
    assert_eq!(volume.good().expect("it can be read"), None);
}

#[test]
fn a_link_that_is_only_a_name_is_published_as_that_link() {
    let (_directory, volume) = volume();
    let mut one = tree(&[("nginx.conf", "load_module modules/x.so;")]);
    one.link("modules".into(), "/usr/lib/nginx/modules".into());
    one.link("conf.d/logs".into(), "/var/log/nginx".into());
    let generation = publish(&volume, &one);
    for (name, target) in one.links() {
        let found = volume.path().join("..data").join(name).read_link().expect("it is a link");
        assert_eq!(&found, target, "{name:?}");
    }
    let (live, tree) = volume.live().expect("it can be read").expect("there is one");
    assert_eq!((live, tree), (generation.clone(), one.clone()));
    assert_eq!(volume.stage(&one).expect("there is room"), generation, "it is recognised as whole");
    // A link that another program changed makes it torn.
    let path = volume.path_of(&generation).join("modules");
    std::fs::remove_file(&path).and_then(|()| std::os::unix::fs::symlink("/elsewhere", path)).expect("there is room");
    assert_eq!(volume.live().expect("it can be read"), None);
}

#[test]
fn only_the_live_and_the_good_generation_stay() {
    let (_directory, volume) = volume();
    for number in 0..5 {
        publish(&volume, &tree(&[("a", &number.to_string())]));
        if number == 1 {
            volume.keep().expect("there is room");
        }
    }
    volume.stage(&tree(&[("a", "4")])).expect("there is room");
    let generations = volume.entries().expect("it can be read").iter().filter_map(|name| Generation::of(name)).count();
    assert_eq!(generations, 2);
    let (_, good) = volume.good().expect("it can be read").expect("there is one");
    assert_eq!(good, tree(&[("a", "1")]));
}

#[test]
fn nothing_foreign_is_touched() {
    let (_directory, volume) = volume();
    std::fs::write(volume.path().join("theirs"), "theirs").expect("there is room");
    publish(&volume, &tree(&[("a", "1")]));
    let clash = volume.stage(&tree(&[("a", "2"), ("theirs", "ours")])).expect("staging clashes with nothing");
    let error = volume.publish(&clash).expect_err("the name is taken");
    assert!(error.to_string().contains("/theirs` was not written by reload-gate"), "{error}");
    publish(&volume, &tree(&[("b", "3")]));
    assert_eq!(readable(&volume), tree(&[("b", "3"), ("theirs", "theirs")]));
}

#[test]
fn a_link_named_like_a_generation_is_not_followed() {
    let (_directory, volume) = volume();
    let precious = tempfile::tempdir().expect("there is room");
    std::fs::write(precious.path().join("a"), "theirs").expect("there is room");
    for name in ["..sha256-theirs", "..staging-theirs"] {
        std::os::unix::fs::symlink(precious.path(), volume.path().join(name)).expect("there is room");
    }
    publish(&volume, &tree(&[("a", "1")]));
    publish(&volume, &tree(&[("a", "2")]));
    assert_eq!(std::fs::read_to_string(precious.path().join("a")).expect("it is there"), "theirs");
    let error = volume.stage(&tree(&[("..good", "x")])).expect_err("it is a name of the volume's");
    assert!(error.to_string().contains("`..good` begins with `..`"), "{error}");
}

#[test]
fn several_volumes_change_together_or_not_at_all() {
    let ((_one, first), (_two, second)) = (volume(), volume());
    let volumes = vec![first.clone(), second.clone()];
    let publication = Publication::new(volumes, vec!["/a".into(), "/b".into()]);
    let whole = |content: &str, more: &[&str]| {
        let names = ["/a/x", "/b/x"].iter().chain(more);
        names.map(|name| (PathBuf::from(name), content.as_bytes().to_vec())).collect::<Tree>()
    };
    let publish = |tree: &Tree| publication.publish(&publication.stage(tree)?);
    assert!(publish(&whole("1", &[])).expect("there is room"));
    publication.keep().expect("there is room");
    std::fs::write(second.path().join("theirs"), "theirs").expect("there is room");
    publish(&whole("2", &["/b/theirs"])).expect_err("the name is taken");
    assert_eq!(readable(&first), tree(&[("x", "1")]));

    // Nor does what could not be foreseen leave half of it.
    let staged = publication.stage(&whole("2", &[])).expect("there is room");
    let taken = |number: usize| {
        second.path().join(format!("{NEXT}{}", if number == 0 { String::new() } else { format!(".{number}") }))
    };
    (0..MOST_TAKEN).for_each(|number| std::fs::create_dir(taken(number)).expect("there is room"));
    publication.publish(&staged).expect_err("something is in the way of the link");
    assert_eq!(readable(&first), tree(&[("x", "1")]));
    (0..MOST_TAKEN).for_each(|number| std::fs::remove_dir(taken(number)).expect("it is ours"));

    // An end between the two leaves a mixture, which the next gate does not let stand.
    let half = publication.stage(&whole("3", &[])).expect("there is room");
    first.publish(&half[0]).expect("there is room");
    assert!(publication.repair().expect("it can be repaired"));
    assert_eq!(readable(&first), tree(&[("x", "1")]));
}

#[test]
fn names_that_another_program_removed_are_made_again() {
    let (_directory, volume) = volume();
    let publication = Publication::new(vec![volume.clone()], vec![PathBuf::new()]);
    let one = tree(&[("a", "1"), ("b", "2")]);
    publish(&volume, &one);
    std::fs::remove_file(volume.path().join("a")).expect("it is there");
    assert!(!publication.repair().expect("it can be repaired"));
    assert_eq!(readable(&volume), one);
}

#[test]
fn the_volume_of_a_kubelet_is_left_alone() {
    let (_directory, volume) = volume();
    std::fs::create_dir(volume.path().join("..2026_01_01")).expect("there is room");
    std::os::unix::fs::symlink("..2026_01_01", volume.path().join("..data")).expect("there is room");
    let error = volume.stage(&tree(&[("a", "1")])).expect_err("it is not ours");
    assert!(error.help().contains("emptyDir"), "{}", error.help());
}

#[test]
fn what_cannot_be_removed_stops_no_publication() {
    let (_directory, volume) = volume();
    let publication = Publication::new(vec![volume.clone()], vec![PathBuf::new()]);
    let deep = format!("{GENERATION}planted");
    for name in [&deep, STAGING, NEXT] {
        std::fs::create_dir_all(volume.path().join(name).join("d/".repeat(100))).expect("there is room");
    }
    for content in ["1", "2", "3"] {
        let one = tree(&[("a", content)]);
        publication.publish(&publication.stage(&one).expect("there is room")).expect("there is room");
        publication.keep().expect("there is room");
        assert_eq!(readable(&volume), one);
    }
    let mut said: Vec<_> = publication.leftovers().into_iter().map(|finding| finding.message).collect();
    said.sort();
    let expected = [NEXT, &deep, STAGING].map(|name| {
        let reason = "it has more than 64 levels of directories";
        format!("`{}` was left over, since it cannot be removed: {reason}", volume.path().join(name).display())
    });
    assert_eq!(said, expected);
    publication.stage(&tree(&[("a", "4")])).expect("there is room");
    assert!(publication.leftovers().is_empty(), "each is reported once");
}

#[test]
fn a_name_that_is_none_of_a_volume_is_refused() {
    let (_directory, volume) = volume();
    let deep = |names: usize| "d/".repeat(names - 1) + "a";
    volume.stage(&tree(&[(&deep(48), "1")])).expect("there is room");
    for name in ["/etc/a", "./..data", "a/../b", &deep(49), &deep(2000)] {
        let mut link = Tree::new();
        link.link(name.into(), "a".into());
        for tree in [tree(&[(name, "1")]), link] {
            let error = volume.stage(&tree).expect_err("it is refused");
            assert!(matches!(error, PublishError::Unfit(_)), "{name}: {error}");
        }
    }
}

#[test]
fn a_torn_generation_is_never_used() {
    let (_directory, volume) = volume();
    let one = tree(&[("a", "1"), ("b", "2")]);
    let generation = publish(&volume, &one);
    volume.keep().expect("there is room");
    std::fs::write(volume.path_of(&generation).join("a"), "").expect("there is room");
    assert_eq!(volume.live().expect("it can be read"), None);
    assert_eq!(volume.good().expect("it can be read"), None);
    let anew = publish(&volume, &one);
    assert_ne!(anew, generation);
    assert_eq!(readable(&volume), one);
}

#[test]
fn a_generation_of_another_shape_or_size_is_torn() {
    let (_directory, volume) = volume();
    let elsewhere = tempfile::tempdir().expect("there is room");
    std::fs::write(elsewhere.path().join("a"), "theirs").expect("there is room");
    let name = format!("{GENERATION}{}", "a".repeat(64));
    let generation = Generation(name.clone());
    let path = volume.path().join(&name);
    std::os::unix::fs::symlink(elsewhere.path(), &path).expect("there is room");
    std::os::unix::fs::symlink(&name, volume.path().join(LIVE)).expect("there is room");
    assert_eq!(volume.read(&generation).expect("it is there"), None, "the link is not followed");
    assert_eq!(volume.live().expect("it can be read"), None);
    volume.publish(&generation).expect_err("nor are the names of its target published");
    std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)).expect("it is ours");
    rustix::fs::mknodat(rustix::fs::CWD, path.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("room");
    assert_eq!(volume.read(&generation).expect("it is there"), None, "a FIFO is not opened");
    std::fs::remove_file(path.join("pipe")).expect("it is there");
    std::fs::File::create(path.join("sparse")).and_then(|file| file.set_len(8 << 30)).expect("there is room");
    assert_eq!(volume.read(&generation).expect("it is there"), None, "a file of 8 GiB is not read");
    std::fs::remove_file(path.join("sparse")).expect("it is there");
    let small = Volume::new(volume.path().to_path_buf(), VolumeLimits { bytes: 3, files: 2 });
    let write = |name: &str, content: &str| std::fs::write(path.join(name), content).expect("there is room");
    write("a", "1");
    write("b", "22");
    assert_eq!(small.read(&generation).expect("it is there"), Some(tree(&[("a", "1"), ("b", "22")])));
    write("c", "");
    assert_eq!(small.read(&generation).expect("it is there"), None, "there are three files");
    std::fs::remove_file(path.join("c")).expect("it is there");
    write("a", "11");
    assert_eq!(small.read(&generation).expect("it is there"), None, "there are four bytes");
    let error = small.stage(&tree(&[("a", "1111")])).expect_err("it would not be read again");
    assert!(matches!(error, PublishError::TooLarge(_)), "{error}");
}

#[test]
fn a_directory_that_becomes_a_link_leads_no_step_out_of_the_volume() {
    let (_directory, volume) = volume();
    let victim = tempfile::tempdir().expect("there is room");
    let precious = victim.path().join("a");
    std::fs::write(&precious, "theirs").expect("there is room");
    let names = || std::fs::read_dir(victim.path()).expect("it is there").count();
    // Between the plan and its steps.
    let one = tree(&[("d/new", "1")]);
    let (_, steps) = volume.plan_stage(&one).expect("it can be read");
    let directory = volume.directory().expect("it is there");
    for step in &steps {
        let _ = step.perform(&directory);
        let staged = volume.path().join(STAGING).join("d");
        if staged.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            std::fs::remove_dir_all(&staged).expect("it is ours");
            std::os::unix::fs::symlink(victim.path(), &staged).expect("there is room");
        }
    }
    assert_eq!(names(), 1, "nothing is written there");
    let link = volume.path().join("d");
    std::os::unix::fs::symlink(victim.path(), &link).expect("there is room");
    for step in [
        VolumeStep::Directory("d/directory".into()),
        VolumeStep::File("d/file".into(), b"x"),
        VolumeStep::Link { name: "d/link".into(), to: "x".into() },
        VolumeStep::Rename("d/a".into(), "b".into()),
        VolumeStep::Unlink("d/a".into()),
        VolumeStep::RemoveTree("d".into()),
        VolumeStep::Unlink("../a".into()),
    ] {
        assert!(step.perform(&directory).is_err(), "{step}");
    }
    // What is removed has a link in it: the link goes, its target stays.
    let old = volume.path().join("..sha256-old");
    std::fs::create_dir_all(old.join("deep/deeper")).expect("there is room");
    std::os::unix::fs::symlink(victim.path(), old.join("deep/link")).expect("there is room");
    VolumeStep::RemoveTree("..sha256-old".into()).perform(&directory).expect("it is there");
    assert!(old.symlink_metadata().is_err(), "all of it is removed");
    assert_eq!((names(), std::fs::read_to_string(&precious).expect("it is there")), (1, "theirs".to_owned()));
}

fn trees() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![Just("a"), Just("b"), Just("d/a"), Just("d/b"), Just("e/f/g")];
    let files =
        prop::collection::btree_map(name.prop_map(PathBuf::from), prop::collection::vec(any::<u8>(), 0..3), 1..5);
    files.prop_map(|files| files.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The gate ends after any number of steps, again and again: what can be read is at each moment the old tree or the new.
    #[test]
    fn an_end_after_any_step_leaves_one_generation(
        contents in prop::collection::vec((trees(), 0..12_usize, any::<bool>()), 1..8)
    ) {
        let (_directory, volume) = volume();
        let mut before = Tree::new();
        for (tree, until, keep) in contents {
            let mut left = until;
            let mut go = |steps: &[VolumeStep<'_>]| {
                let directory = volume.directory().expect("it is there");
                for step in steps.iter().take(left) {
                    step.perform(&directory).expect("there is room");
                    let now = readable(&volume);
                    assert!(now == before || now == tree, "{step}: {now:?}");
                }
                left = left.saturating_sub(steps.len());
                left > 0
            };
            let (generation, steps) = volume.plan_stage(&tree).expect("it can be read");
            if go(&steps) && go(&volume.plan_publish(&generation).expect("it can be read")) && keep {
                go(&volume.plan_keep().expect("it can be read"));
            }
            before = readable(&volume);
        }
        let last = Tree::from([("last".into(), b"last".to_vec())]);
        publish(&volume, &last);
        prop_assert_eq!(readable(&volume), last);
    }
}

#[test]
fn a_volume_has_one_publication_that_claims_it() {
    let directory = tempfile::tempdir().expect("there is room");
    let publication = || {
        Publication::new(
            vec![Volume::new(directory.path().to_path_buf(), VolumeLimits::default())],
            vec![PathBuf::new()],
        )
    };
    let (first, second) = (publication(), publication());
    first.claim().expect("it is free");
    first.clone().claim().expect("it is its own");
    let error = second.claim().expect_err("it is taken");
    assert!(error.to_string().starts_with("another gate publishes in `"), "{error}");
    drop(first);
    second.claim().expect("it is free again");
}

#[test]
fn a_lock_that_needs_no_write_access_prevents_no_publication() {
    use rustix::fs::{FlockOperation, flock};

    let directory = tempfile::tempdir().expect("there is room");
    let volume = Volume::new(directory.path().to_path_buf(), VolumeLimits::default());
    let publication = Publication::new(vec![volume], vec![PathBuf::new()]);
    let reader = std::fs::File::open(directory.path()).expect("it is there");
    flock(&reader, FlockOperation::NonBlockingLockShared).expect("it is free");
    publication.claim().expect("a reader is no gate");
    let mode = directory.path().join(claim::LOCK).symlink_metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o200, "no reader can open it");
    drop(publication);
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o775)).expect("it is ours");
    let volume = Volume::new(directory.path().to_path_buf(), VolumeLimits::default());
    let publication = Publication::new(vec![volume], vec![PathBuf::new()]);
    publication.claim().expect("it is free");
    let mode = directory.path().join(claim::LOCK).symlink_metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o220, "a gate of the group can open it");
    assert!(publication.volumes[0].links().expect("it can be read").is_empty(), "it is no content");
}

#[test]
fn a_tree_with_more_directories_than_are_read_again_is_refused() {
    let limits = VolumeLimits { files: 1, ..VolumeLimits::default() };
    let deep = |levels: usize| tree(&[(&*format!("{}a", "d/".repeat(levels)), "1")]);
    assert!(limits.permit(&deep(14)));
    assert!(!limits.permit(&deep(16)));
}

#[test]
fn an_older_gate_that_locks_the_directory_and_a_newer_one_exclude_each_other() {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;

    let directory = tempfile::tempdir().expect("there is room");
    let volume = Volume::new(directory.path().to_path_buf(), VolumeLimits::default());
    let publication = Publication::new(vec![volume], vec![PathBuf::new()]);
    let older = std::fs::File::open(directory.path()).expect("it is there");
    flock(&older, FlockOperation::NonBlockingLockExclusive).expect("it is free");
    let stat = rustix::fs::fstat(&older).expect("it is open");
    if crate::sys::proc::locks::exclusive_holder(&stat).is_some() {
        let error = publication.claim().expect_err("it is taken").to_string();
        assert!(error.ends_with(&format!("(process {}), so nothing was written", std::process::id())), "{error}");
    }
    flock(&older, FlockOperation::Unlock).expect("it is its own");
    publication.claim().expect("it is free");
    assert_eq!(flock(&older, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
}
