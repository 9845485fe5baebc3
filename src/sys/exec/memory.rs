//! The memory that a command may use. IO: reads /proc and the control groups.
//!
//! A command's memory counts in the limit of the gate's container. Where that is used up the kernel kills one of its processes, or all
//! of them (`memory.oom.group`, which kubelets set): so a command gets less than all of it, and fails by itself.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Memory that is left to the gate: an eighth of the limit, and no less than this.
const OF_GATE: u64 = 16 << 20;
/// With less than this a command could not start.
const LEAST: u64 = 8 << 20;
const GROUPS: &str = "/sys/fs/cgroup";

/// The files with the limits, where they were opened before the command came. A limit may change while a container runs.
static LIMITS: OnceLock<Vec<File>> = OnceLock::new();

/// Opens the files with the limits, so that a command need not search for them.
pub(super) fn open_limits() {
    let _ = LIMITS.set(files());
}

/// Returns the memory that a command may use for its data (RLIMIT_DATA of getrlimit(2)); `None` without a limit on this process. What a
/// program merely reserves, as Go's do, does not count.
pub(super) fn of_command() -> Option<u64> {
    share(of_process()?)
}

fn share(limit: u64) -> Option<u64> {
    Some(limit.saturating_sub((limit / 8).max(OF_GATE)).max(LEAST)).filter(|share| *share < limit)
}

/// The lowest memory limit of the control groups of this process (cgroups(7)).
fn of_process() -> Option<u64> {
    let read = |file: &File| {
        let mut text = [0; 32];
        let length = file.read_at(&mut text, 0).ok()?;
        number(str::from_utf8(&text[..length]).ok()?)
    };
    match LIMITS.get() {
        Some(files) => files.iter().filter_map(read).min(),
        None => files().iter().filter_map(read).min(),
    }
}

/// Opens the files with the limits of the control groups of this process.
fn files() -> Vec<File> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().filter_map(limit_files).flatten().filter_map(|file| File::open(file).ok()).collect()
}

/// The files with the limits of a line of /proc/self/cgroup: of that group and of all above it. In a container the groups above are out
/// of sight, and its own is at the root.
fn limit_files(line: &str) -> Option<Vec<PathBuf>> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => (Path::new(GROUPS).to_owned(), "memory.max"),
        "memory" => (Path::new(GROUPS).join("memory"), "memory.limit_in_bytes"),
        _ => return None,
    };
    let below = Path::new(path).ancestors().map(|group| group.strip_prefix("/").unwrap_or(group).to_owned());
    Some(below.map(|group| root.join(group).join(file)).collect())
}

/// The number of bytes in such a file. No limit is `max`, or by the first version of control groups a number that no machine has.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gets_less_than_the_limit() {
        let mib = |number: u64| number << 20;
        assert_eq!(share(mib(64)), Some(mib(48)));
        assert_eq!(share(mib(512)), Some(mib(448)));
        assert_eq!(share(mib(20)), Some(mib(8)));
        assert_eq!(share(mib(8)), None);
    }

    #[test]
    fn the_limits_are_those_of_each_group_above() {
        let files = |line| {
            limit_files(line).map(|files| files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>())
        };
        let unified = ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"];
        assert_eq!(files("0::/a/b"), Some(unified.map(str::to_owned).into()));
        assert_eq!(files("4:memory:/"), Some(vec!["/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned()]));
        assert_eq!(files("3:cpu,cpuacct:/"), None);
        assert_eq!(
            (number("max\n"), number("9223372036854771712\n"), number("67108864\n")),
            (None, None, Some(64 << 20))
        );
    }
}
