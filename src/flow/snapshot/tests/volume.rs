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
