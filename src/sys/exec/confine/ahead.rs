//! Rules of a confinement that are made before the command comes. IO.
//!
//! A rule of Landlock is one for the file that lies at a path when the rule is made, and most of the time of a confinement is that of its
//! rules. So they are made while the process waits. When the command comes, it looks whether they would be the same now: by the links on
//! the way to the paths of the confinement, the times of the directories whose entries have rules, and the mounts.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landlock::RulesetCreated;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::sys::exec::ahead::is_awaited;

use super::{Confinement, Cover, DecidingPaths, ruleset};

/// Time after which a further change of a directory certainly has another time: file systems count in ticks of the kernel, of at most 10 ms.
const AT_REST: Duration = Duration::from_millis(50);
/// Number of looks for directories at rest.
const LOOKS: u32 = 4;

/// Device and inode of a file; and the times of its contents, in seconds and nanoseconds, where these matter.
type Stamp = (u64, u64, [(i64, i64); 2]);

/// Rules of a confinement that were made before its command came, with what they depend on.
pub(in crate::sys::exec) struct PreparedRules {
    confinement: Confinement,
    paths: DecidingPaths,
    covers: (Cover, Cover),
    stamps: Vec<Option<Stamp>>,
    /// The list of mounts, which poll(2) reports as changed (proc_pid_mounts(5)).
    mounts: File,
    /// Absent until the places are at rest.
    ruleset: Option<RulesetCreated>,
}

impl PreparedRules {
    /// Makes the rules; `None` where the command comes first, or where it would be unknown whether they still hold.
    pub(in crate::sys::exec) fn make(confinement: &Confinement, channel: Option<&OwnedFd>) -> Option<Self> {
        if confinement.only.is_some() {
            return None;
        }
        for _ in 0..LOOKS {
            let found = Self::find(confinement).ok()?;
            if found.is_at_rest() {
                let ruleset = ruleset(&found.covers.0, &found.covers.1).ok()?;
                return Some(Self { ruleset: Some(ruleset), ..found });
            }
            if is_awaited(channel, AT_REST) {
                return None;
            }
        }
        None
    }

    fn find(confinement: &Confinement) -> io::Result<Self> {
        let mounts = File::open("/proc/self/mountinfo")?;
        let paths = DecidingPaths::find(confinement)?;
        let first = paths.covers()?;
        let stamps = stamps(&paths, &first);
        // A directory that changes between the two has another time when the command comes.
        let covers = paths.covers()?;
        Ok(Self { confinement: confinement.clone(), paths, covers, stamps, mounts, ruleset: None })
    }

    fn is_at_rest(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let latest = self.stamps.iter().flatten().flat_map(|(.., times)| times).max();
        let latest = latest.and_then(|(seconds, nanoseconds)| {
            Some(Duration::new(u64::try_from(*seconds).ok()?, u32::try_from(*nanoseconds).ok()?))
        });
        latest.is_some_and(|latest| latest + AT_REST < now)
    }

    /// Returns the rules, if those for this confinement would be the same now.
    pub(super) fn for_confinement(self, confinement: &Confinement) -> Option<RulesetCreated> {
        if *confinement == self.confinement && self.holds() { self.ruleset } else { None }
    }

    fn holds(&self) -> bool {
        let now = Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        let mut mounts = [PollFd::new(&self.mounts, PollFlags::PRI)];
        matches!(poll(&mut mounts, now.as_ref()), Ok(0))
            && DecidingPaths::find(&self.confinement).is_ok_and(|paths| paths == self.paths)
            && stamps(&self.paths, &self.covers) == self.stamps
    }
}

/// The stamps of the files that decide on the rules.
fn stamps(paths: &DecidingPaths, (readable, writable): &(Cover, Cover)) -> Vec<Option<Stamp>> {
    let parted = readable.parted.union(&writable.parted).map(|path| (path.as_path(), true));
    let named = paths.named().map(|path| (path, false));
    parted.chain(named).map(|(path, with_times)| stamp(path, with_times)).collect()
}

fn stamp(path: &Path, with_times: bool) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    let times = [(metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec())];
    Some((metadata.dev(), metadata.ino(), if with_times { times } else { Default::default() }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// The directory above those of the tests decides on their rules, too, so one test at a time changes it.
    static ALONE: Mutex<()> = Mutex::new(());

    /// Rules that were made while `secret` was hidden in a directory of its own, and that directory.
    fn prepared(secret: &str) -> (tempfile::TempDir, PreparedRules) {
        // Not below a directory in which other programs make files all the time.
        let home = std::env::home_dir().expect("there is one");
        let directory = tempfile::tempdir_in(home).expect("there is room");
        for name in ["a", "b"] {
            fs::write(directory.path().join(name), name).expect("there is room");
        }
        symlink("a", directory.path().join("link")).expect("there is room");
        let confinement = Confinement { hidden: vec![directory.path().join(secret)], ..Confinement::default() };
        let (_gate, channel) = UnixStream::pair().expect("there are descriptors");
        let rules = PreparedRules::make(&confinement, Some(&channel.into())).expect("the directories are at rest");
        assert!(rules.holds(), "nothing has changed");
        (directory, rules)
    }

    #[test]
    fn rules_do_not_hold_after_a_change_of_what_they_name() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (directory, rules) = prepared("a");
        fs::write(directory.path().join("new"), "new").expect("there is room");
        assert!(!rules.holds(), "a new file beside a hidden one has no rule");

        let (directory, rules) = prepared("a");
        fs::rename(directory.path().join("a"), directory.path().join("b")).expect("it is there");
        assert!(!rules.holds(), "another file lies at the path of a rule");

        let (directory, rules) = prepared("link");
        let other = directory.path().join("other");
        symlink("b", &other).expect("there is room");
        fs::rename(other, directory.path().join("link")).expect("it is there");
        assert!(!rules.holds(), "a link to what is hidden leads elsewhere");
    }

    #[test]
    fn rules_do_not_hold_after_something_hidden_has_appeared() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (directory, rules) = prepared("later/secret");
        fs::create_dir(directory.path().join("later")).expect("there is room");
        assert!(rules.holds(), "nothing that is hidden is there");
        fs::write(directory.path().join("later/secret"), "secret").expect("there is room");
        assert!(!rules.holds(), "it can be read");
    }

    #[test]
    fn rules_are_those_of_one_confinement() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (_directory, rules) = prepared("a");
        let other = Confinement { strict: true, ..rules.confinement.clone() };
        assert!(rules.for_confinement(&other).is_none());
        let (_directory, rules) = prepared("a");
        let same = rules.confinement.clone();
        assert!(rules.for_confinement(&same).is_some());
    }

    #[test]
    fn a_command_that_is_there_is_not_waited_for() {
        let (gate, channel) = UnixStream::pair().expect("there are descriptors");
        assert!(!is_awaited(Some(&channel.try_clone().expect("there are descriptors").into()), Duration::ZERO));
        (&gate).write_all(b"command").expect("there is room");
        assert!(is_awaited(Some(&channel.into()), Duration::from_secs(60)));
    }
}
