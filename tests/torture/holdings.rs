//! The resources of a process, and its children, from /proc.

use std::fs;
use std::path::Path;

/// The resources that a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) resident_kib: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
}

impl Holdings {
    /// The holdings of `pid`; `None` if it is gone.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        Some(Self { resident_kib: number("VmRSS:")?, threads: number("Threads:")?, descriptors })
    }
}

/// The objects of the descriptors of `pid`, in the words of proc_pid_fd(5), sorted.
pub(crate) fn descriptors(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| {
        let link = fs::read_link(entry.path()).ok()?.display().to_string();
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().display())).ok()?;
        // The process of a pidfd; -1 if it is gone.
        let process = info.lines().find(|line| line.starts_with("Pid:")).unwrap_or_default();
        Some(format!("{link} {process}"))
    };
    let mut all: Vec<_> = entries.filter_map(name).collect();
    all.sort();
    all
}

/// The descendants of `pid`.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let parents: Vec<_> = processes().into_iter().filter_map(|child| Some((child, parent(child)?))).collect();
    let mut next = 0;
    while let Some(process) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == process).map(|(child, _)| *child));
        next += 1;
    }
    found.split_off(1)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have spaces in it (proc_pid_stat(5)).
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The processes with this word in their command line.
pub(crate) fn running_with(word: &str) -> Vec<u32> {
    let has_word = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').any(|other| other == word)
    };
    processes().into_iter().filter(has_word).collect()
}

/// The number of entries of a directory.
pub(crate) fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).into_iter().flatten().count()
}
