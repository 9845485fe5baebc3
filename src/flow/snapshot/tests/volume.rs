//! Volumes in every state in which a kubelet may leave them for an instant (`pkg/volume/util/atomic_writer.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::*;
use super::{at, snapshot, source};

/// One step of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpdateStep {
    /// A new timestamped directory is made and filled.
    Stage,
    /// The link to it is made under another name.
    Prepare,
    /// The links of new keys are made.
    Link,
    /// The link is renamed to `..data`.
    Swap,
    /// The links of removed keys are removed.
    Unlink,
    /// The old directory is removed, file by file; this many are left.
    Remove { left: usize },
}
use UpdateStep::{Link, Prepare, Remove, Stage, Swap, Unlink};

const OLDER: [UpdateStep; 7] = [Stage, Prepare, Link, Swap, Unlink, Remove { left: 1 }, Remove { left: 0 }];
const NEWER: [UpdateStep; 7] = [Stage, Prepare, Swap, Link, Unlink, Remove { left: 1 }, Remove { left: 0 }];

type Files = BTreeMap<String, String>;

/// A generation: these keys, all with that content.
fn generation(keys: &[&str], content: &str) -> Files {
    keys.iter().map(|key| ((*key).to_owned(), content.to_owned())).collect()
}

/// A volume in the middle of an update.
struct KubeletVolume {
    directory: TempDir,
    count: u32,
}

impl KubeletVolume {
    fn new(files: &Files) -> Self {
        let mut volume = Self { directory: tempfile::tempdir().expect("there is room"), count: 0 };
        volume.steps(&NEWER, files);
        volume
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn directory_of(&self, count: u32) -> PathBuf {
        self.path().join(format!("..2026_11_23_03_52_40.{count:010}"))
    }

    fn steps(&mut self, steps: &[UpdateStep], files: &Files) {
        steps.iter().for_each(|step| self.step(*step, files));
    }

    fn step(&mut self, step: UpdateStep, files: &Files) {
        let link = |name: &str| self.path().join(name);
        match step {
            Stage => {
                self.count += 1;
                for (name, content) in files {
                    let path = self.directory_of(self.count).join(name);
                    fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
                    fs::write(path, content).expect("there is room");
                }
            }
            Prepare => {
                let directory = self.directory_of(self.count);
                symlink(directory.file_name().expect("it has one"), link("..data_tmp")).expect("there is room");
            }
            Link => {
                for name in files.keys().map(|name| name.split('/').next().expect("it has one")) {
                    // It may be there already.
                    let _ = symlink(Path::new("..data").join(name), link(name));
                }
            }
            Swap => fs::rename(link("..data_tmp"), link("..data")).expect("it can be swapped"),
            Unlink => {
                for entry in fs::read_dir(self.path()).expect("ours").flatten() {
                    let is_key = !entry.file_name().as_encoded_bytes().starts_with(b"..");
                    if is_key && !entry.path().exists() {
                        fs::remove_file(entry.path()).expect("ours");
                    }
                }
            }
            Remove { left } => self.remove(left),
        }
    }

    fn remove(&self, left: usize) {
        let old = self.directory_of(self.count - 1);
        let files: Vec<_> = fs::read_dir(&old).into_iter().flatten().flatten().collect();
        for file in files.iter().skip(left) {
            let _ = fs::remove_file(file.path()).or_else(|_| fs::remove_dir_all(file.path()));
        }
        if left == 0 && old.exists() {
            fs::remove_dir(old).expect("ours");
        }
    }
}

/// The files of a snapshot, as a generation.
fn files(snapshot: &Snapshot) -> Files {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
    snapshot.tree.iter().map(|(name, content)| (name.display().to_string(), text(content))).collect()
}

#[test]
fn every_state_of_an_update_is_one_generation() {
    // A key that stays, one that goes, one that comes; and directories of them (`items[].path`).
    let old = generation(&["gone.conf", "kept.conf", "sites/a.conf"], "old");
    let new = generation(&["came.conf", "kept.conf", "sites/a.conf", "sites/b.conf"], "new");
    for order in [OLDER, NEWER] {
        let mut volume = KubeletVolume::new(&old);
        let before = snapshot(at(volume.path()));
        assert!(before.settled);
        assert_eq!(files(&before), old);
        let mut swapped = false;
        for (index, step) in order.into_iter().enumerate() {
            volume.step(step, &new);
            swapped |= step == Swap;
            let now = snapshot(at(volume.path()));
            let expected = if swapped { &new } else { &old };
            assert_eq!(&files(&now), expected, "after {:?}", &order[..=index]);
            // Unsettled is what is seen otherwise than it was committed: links that are missing, or lead nowhere.
            let agrees = match order {
                OLDER => [true, true, false, false, true, true, true],
                _ => [true, true, false, false, true, true, true],
            };
            assert_eq!(now.settled, agrees[index], "after {:?}", &order[..=index]);
        }
        let after = snapshot(at(volume.path()));
        assert!(after.delivered >= before.delivered);
    }
}

#[test]
fn a_projection_of_the_same_content_is_the_same_digest() {
    let content = generation(&["a", "d/b"], "1");
    let mut volume = KubeletVolume::new(&content);
    let before = snapshot(at(volume.path()));
    for order in [OLDER, NEWER] {
        volume.steps(&order, &content);
        let after = snapshot(at(volume.path()));
        assert_eq!(after.revision.digest(), before.revision.digest());
    }
    // The same files without a volume around them are the same configuration.
    let plain = super::plain(&[("a", "1"), ("d/b", "1")]);
    assert_eq!(super::digest(plain.path()), before.revision.digest());
}

#[test]
fn a_key_alone_is_followed_through_every_state() {
    let (old, new) = (generation(&["app.conf", "gone"], "old"), generation(&["app.conf", "came"], "new"));
    for order in [OLDER, NEWER] {
        let mut volume = KubeletVolume::new(&old);
        for (index, step) in order.into_iter().enumerate() {
            volume.step(step, &new);
            let swapped = order[..=index].contains(&Swap);
            let content = if swapped { "new" } else { "old" };
            let alone = snapshot(at(&volume.path().join("app.conf")));
            assert_eq!(files(&alone), [("app.conf".to_owned(), content.to_owned())].into());
            // A key that is named by the sidecar's variable `FILE` means the whole volume.
            let whole = Source { whole_volume: true, ..source(&volume.path().join("app.conf")) };
            let whole = snapshot(scan(&[whole], &ReadOptions::default()));
            assert_eq!(&files(&whole), if swapped { &new } else { &old });
        }
    }
}

#[test]
fn a_new_or_removed_key_is_not_missing_until_the_update_is_over() {
    let (old, new) = (generation(&["gone"], "old"), generation(&["came"], "new"));
    for order in [OLDER, NEWER] {
        let mut volume = KubeletVolume::new(&old);
        let mut scans = Vec::new();
        for step in order {
            volume.step(step, &new);
            scans.push(["came", "gone"].map(|key| match at(&volume.path().join(key)).result {
                Ok(_) => "there",
                Err(error) if error.settled => "missing",
                Err(_) => "moving",
            }));
        }
        let expected = match order {
            OLDER => [
                ["missing", "there"],
                ["missing", "there"],
                ["moving", "there"],
                ["there", "moving"],
                ["there", "missing"],
                ["there", "missing"],
                ["there", "missing"],
            ],
            _ => [
                ["missing", "there"],
                ["missing", "there"],
                ["moving", "moving"],
                ["there", "moving"],
                ["there", "missing"],
                ["there", "missing"],
                ["there", "missing"],
            ],
        };
        assert_eq!(scans, expected, "{order:?}");
    }
}

/// Many directories, each of which is empty for an instant before it is removed.
fn many(directory: &str) -> Vec<String> {
    (0..20).map(|key| format!("{directory}{key}/key")).collect()
}

/// Changes a volume with these keys without a pause, and looks at the sources in or beside it meanwhile, which hold `all` files,
/// until `enough` looks have found something.
fn race(keys: &[String], sources: impl Fn(&Path) -> Vec<Source>, all: usize, enough: usize) {
    let generation = |content: &str| keys.iter().map(|key| (key.clone(), content.to_owned())).collect();
    let mut volume = KubeletVolume::new(&generation("0"));
    let sources = sources(volume.path());
    let done = AtomicBool::new(false);
    let deadline = Instant::now() + Duration::from_secs(60);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for content in 1.. {
                // No key comes or goes, so there is nothing to link.
                volume.steps(&[Stage, Prepare, Swap, Remove { left: 0 }], &generation(&content.to_string()));
                if done.load(Ordering::Relaxed) || Instant::now() > deadline {
                    break;
                }
            }
        });
        let (mut read, mut newest) = (0, 0);
        while read < enough && Instant::now() < deadline {
            // A reader that is outrun reports sources that are not at rest.
            let looked = scan(&sources, &ReadOptions::default()).result;
            let Ok(snapshot) = looked.map_err(|error| assert!(!error.settled, "{error:?}")) else { continue };
            let files = files(&snapshot);
            let contents: BTreeSet<u32> = files.values().map(|content| content.parse().expect("a number")).collect();
            let is_whole = files.len() == all && contents.len() == 1 && contents.first() >= Some(&newest);
            done.fetch_or(!is_whole, Ordering::Relaxed);
            assert!(is_whole, "{files:?} is no generation since {newest}");
            (read, newest) = (read + 1, contents.first().copied().expect("there is one"));
        }
        done.store(true, Ordering::Relaxed);
        assert!(read == enough, "it was read {read} times only");
    });
}

#[test]
fn a_reader_racing_a_kubelet_never_mixes_generations() {
    race(&many(""), |volume| vec![source(volume)], 20, 500);
}

#[test]
fn a_reader_of_a_directory_in_a_volume_never_mixes_generations() {
    race(&many("sites/"), |volume| vec![source(&volume.join("sites"))], 20, 500);
}

#[test]
fn links_into_a_volume_lead_into_the_generation_that_is_read() {
    let links = tempfile::tempdir().expect("there is room");
    let sources = |volume: &Path| {
        for key in 0..20 {
            symlink(volume.join(key.to_string()), links.path().join(key.to_string())).expect("there is room");
        }
        vec![source(links.path()), source(volume)]
    };
    race(&many(""), sources, 40, 200);
}

#[test]
fn a_volume_that_leads_out_of_itself_is_refused() {
    let volume = tempfile::tempdir().expect("there is room");
    for target in ["/etc", "../elsewhere", "..generation/deeper"] {
        let _ = fs::remove_file(volume.path().join("..data"));
        symlink(target, volume.path().join("..data")).expect("there is room");
        let said = super::refused(at(volume.path()));
        assert!(said.starts_with("escaping-link: ") && said.contains(&format!("to `{target}`")), "{said}");
    }
}

#[test]
fn a_volume_whose_directory_is_gone_is_moving() {
    let volume = KubeletVolume::new(&generation(&["a"], "1"));
    fs::remove_dir_all(volume.directory_of(1)).expect("ours");
    let error = at(volume.path()).result.expect_err("there is nothing to read");
    assert!(!error.settled);
    assert!(error.findings[0].message.ends_with("keeps vanishing while it is read"), "{error:?}");
}

/// Asserts that a reading of the newest generation gives the same as one of everything.
#[track_caller]
fn is_as_a_whole_scan(newest: &Snapshot, volume: &KubeletVolume) {
    let whole = snapshot(at(volume.path()));
    assert_eq!(files(newest), files(&whole));
    assert_eq!(newest.revision, whole.revision);
    assert_eq!(newest.delivered, whole.delivered);
    assert_eq!(newest.in_memory, whole.in_memory);
    assert_eq!((newest.settled, newest.committed), (whole.settled, whole.committed));
}

#[test]
fn the_newest_generation_is_read_as_everything_is() {
    let mut volume = KubeletVolume::new(&generation(&["a.conf", "b.conf"], "one"));
    let mut scanner = Scanner::new(vec![source(volume.path())], ReadOptions::default());
    assert!(scanner.newest_at_once().is_none(), "nothing is known before the first scan");
    let first = snapshot(scanner.scan());
    let again = scanner.newest_at_once().expect("nothing has changed");
    assert!(Arc::ptr_eq(&again.tree, &first.tree), "a generation never changes");
    for content in ["two", "three", ""] {
        volume.steps(&NEWER, &generation(&["a.conf", "b.conf"], content));
        let newest = scanner.newest_at_once().expect("only the contents have changed");
        is_as_a_whole_scan(&newest, &volume);
    }
    // One file may be far larger than its predecessor.
    volume.steps(&NEWER, &generation(&["a.conf", "b.conf"], &"x".repeat(300 << 10)));
    assert!(scanner.newest_at_once().is_none(), "so much takes time");
    is_as_a_whole_scan(&scanner.newest_in_time().expect("only the contents have changed"), &volume);
}

#[test]
fn a_rehearsal_reads_another_content_and_remembers_nothing() {
    let mut volume = KubeletVolume::new(&generation(&["a.conf", "b.conf"], "one"));
    let mut scanner = Scanner::new(vec![source(volume.path())], ReadOptions::default());
    assert!(scanner.rehearse().is_none(), "nothing is known before the first scan");
    let first = snapshot(scanner.scan());
    volume.step(Stage, &generation(&["a.conf", "b.conf"], "two"));
    let rehearsed = scanner.rehearse().expect("the generation that is known is there");
    assert_ne!(rehearsed.revision, first.revision, "it is a change");
    assert!(rehearsed.tree.keys().eq(first.tree.keys()));
    assert!(Arc::ptr_eq(&scanner.newest_at_once().expect("nothing has changed").tree, &first.tree));
    volume.steps(&[Prepare, Swap], &generation(&["a.conf", "b.conf"], "two"));
    is_as_a_whole_scan(&scanner.newest_at_once().expect("only the contents have changed"), &volume);
    let large = KubeletVolume::new(&generation(&["a.conf"], &"x".repeat(20 << 10)));
    let mut scanner = Scanner::new(vec![source(large.path())], ReadOptions::default());
    snapshot(scanner.scan());
    assert!(scanner.rehearse().is_none(), "so much takes time");
}

#[test]
fn other_names_and_other_files_need_a_scan_of_everything() {
    let keys = ["a.conf", "b.conf"];
    type Change<'a> = &'a dyn Fn(&mut KubeletVolume);
    let changes: [(&str, Change<'_>); 6] = [
        ("a key comes", &|volume| volume.steps(&NEWER, &generation(&["a.conf", "b.conf", "c.conf"], "two"))),
        ("a key goes", &|volume| volume.steps(&NEWER, &generation(&["a.conf"], "two"))),
        ("a directory takes the place of a file", &|volume| {
            volume.steps(&NEWER, &generation(&["a.conf", "b.conf/c"], "two"));
        }),
        ("a file may not be read", &|volume| {
            volume.steps(&[Stage, Prepare], &generation(&keys, "two"));
            let file = volume.directory_of(volume.count).join("a.conf");
            fs::remove_file(&file).and_then(|()| symlink("/etc/passwd", &file)).expect("ours");
            volume.step(Swap, &Files::new());
        }),
        ("the link leads elsewhere", &|volume| {
            symlink("../elsewhere", volume.path().join("..data_tmp")).expect("there is room");
            volume.step(Swap, &Files::new());
        }),
        ("the link goes", &|volume| fs::remove_file(volume.path().join("..data")).expect("ours")),
    ];
    for (what, change) in changes {
        let mut volume = KubeletVolume::new(&generation(&keys, "one"));
        let mut scanner = Scanner::new(vec![source(volume.path())], ReadOptions::default());
        snapshot(scanner.scan());
        change(&mut volume);
        assert!(scanner.newest_at_once().is_none(), "{what}");
        assert!(scanner.newest_in_time().is_none(), "{what}");
    }
}

#[test]
fn only_volumes_at_rest_have_a_newest_generation() {
    let mut volume = KubeletVolume::new(&generation(&["a.conf"], "one"));
    let plain = tempfile::tempdir().expect("there is room");
    fs::write(plain.path().join("b.conf"), "b").expect("there is room");
    let mut both = Scanner::new(vec![source(volume.path()), source(plain.path())], ReadOptions::default());
    snapshot(both.scan());
    assert!(both.newest_at_once().is_none(), "a plain directory has no generations");
    let mut scanner = Scanner::new(vec![source(volume.path())], ReadOptions::default());
    volume.steps(&[Stage, Prepare, Swap], &generation(&["a.conf", "new.conf"], "two"));
    assert!(!snapshot(scanner.scan()).settled, "the link of the new key is still to come");
    assert!(scanner.newest_at_once().is_none(), "it is not at rest");
}
