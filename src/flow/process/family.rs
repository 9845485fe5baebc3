//! Selection of the matching processes and of the root of their family. IO: reads /proc.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use procfs::process::Stat;

use super::heartbeat::is_orphaned_worker;
use super::{Selector, TargetError};
use crate::sys::proc::{self, COMM_LEN, Identity};
use crate::sys::promise::WAITS;
use crate::sys::regular::RegularFile;

/// A pid file is not read further: a process id has ten digits at most.
const PID_FILE_LIMIT: u64 = 64;
/// The difference that is allowed between a file system's clock and the start time of a process.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);
/// Age of a process that may not have become a master yet: nginx shows its title when it has its ports, which it tries to bind for 2.5 s
/// (`ngx_open_listening_sockets()` in `src/core/ngx_connection.c`).
const STARTS: Duration = Duration::from_secs(5);
/// The longest chain of upgrades that is followed.
const SUCCESSORS: usize = 4;

/// The root of the only family that fits.
pub(super) fn only_root(selector: &Selector) -> Result<Identity, TargetError> {
    let matches: BTreeMap<i32, Stat> = candidates(selector).map(|stat| (stat.pid, stat)).collect();
    let is_root = |stat: &&Stat| !matches.contains_key(&stat.ppid) && !is_orphaned_worker(stat);
    let roots: Vec<&Stat> = matches.values().filter(is_root).collect();
    let chosen: Vec<&Stat> = match &selector.master {
        None => roots.clone(),
        // A wrapper script may bear the name too, so a master need not be the root of all that fit.
        Some(master) => {
            let is_master = |stat: &&Stat| master.is_match(&proc::title(stat.pid));
            let masters: BTreeMap<i32, &Stat> =
                matches.values().filter(is_master).map(|stat| (stat.pid, stat)).collect();
            masters.values().copied().filter(|stat| !masters.contains_key(&stat.ppid)).collect()
        }
    };
    let chosen = nearest(chosen);
    match (chosen.as_slice(), roots.as_slice()) {
        ([one], _) => Ok(newest_successor(selector, Identity::from(*one), &matches)),
        (_, []) => Err(TargetError::Missing {
            message: format!("there is no {}", selector.describe().trim_start_matches("a ")),
            help: format!(
                "start it; {WAITS}; in a pod, `shareProcessNamespace: true` lets one container see the other's processes"
            ),
        }),
        ([], some) if let Some(young) = some.iter().find(|stat| is_young(stat)) => Err(TargetError::Starting {
            pid: young.pid,
            message: format!("pid {} is starting, and no master process yet: {}", young.pid, describe(young)),
            help: format!(
                "{WAITS}; if it is another process, name the right one with `--pid-file`, `--exe` or `--cmdline`"
            ),
        }),
        ([], [one]) => Err(TargetError::Refused {
            pid: Some(one.pid),
            message: format!("pid {} is no master process: {}", one.pid, describe(one)),
            help: "say which process is meant with `--pid-file`, `--exe` or `--cmdline`".into(),
        }),
        _ => {
            let families = if chosen.is_empty() { &roots } else { &chosen };
            let seen: Vec<_> = families.iter().map(|stat| describe(stat)).collect();
            Err(TargetError::Refused {
                pid: None,
                message: format!("{} families fit {}: {}", seen.len(), selector.describe(), seen.join("; ")),
                help: "say which is meant with `--pid-file`, `--exe` or `--cmdline`".into(),
            })
        }
    }
}

/// Of several families those that are in no container, if there are any: on a host the programs of its containers have the same names.
fn nearest(families: Vec<&Stat>) -> Vec<&Stat> {
    let is_near = |stat: &&Stat| !proc::is_in_container(stat.pid);
    match families.as_slice() {
        [] | [_] => families,
        several if several.iter().any(is_near) => families.into_iter().filter(is_near).collect(),
        _ => families,
    }
}

fn is_young(stat: &Stat) -> bool {
    Identity::from(stat).started_at().is_some_and(|start| start.elapsed() < STARTS)
}

/// The process that a pid file names; it must fit the other criteria too.
pub(super) fn named_by(path: &Path, selector: &Selector) -> Result<Identity, TargetError> {
    let missing = |message: String| TargetError::Missing {
        message,
        help: format!(
            "{WAITS}; the pid file must be a regular file that the gate can read, written in the same pid namespace"
        ),
    };
    let (text, writers) =
        beginning(path).map_err(|error| missing(format!("cannot read `{}`: {error}", path.display())))?;
    let first = text.split_whitespace().next().unwrap_or_default();
    let pid: i32 = first.parse().map_err(|_| missing(format!("`{}` holds no process id", path.display())))?;
    let stat = proc::stat(pid).ok_or_else(|| missing(format!("pid {pid} is not running")))?;
    if !fits(pid, selector) {
        return Err(TargetError::Refused {
            pid: Some(pid),
            message: format!("`{}` names {}, which is not {}", path.display(), describe(&stat), selector.describe()),
            help: "the file may be a stale one; remove it, or correct the criteria".into(),
        });
    }
    if let Some(message) = is_stale(path, &stat, selector) {
        let help = "the file may be a stale one; remove it, or add `--process` or `--exe`".into();
        return Err(TargetError::Refused { pid: Some(pid), message, help });
    }
    if !writers.may_name(pid) {
        let message = format!(
            "`{}` can be written by another user than that of {}, and could name any process",
            path.display(),
            describe(&stat)
        );
        let help = "let the user of the application, or root, own the pid file, and no other user write it".into();
        return Err(TargetError::Refused { pid: Some(pid), message, help });
    }
    // nginx writes the pid of the new master into the file, and other programs do not.
    let relatives = candidates(selector).map(|stat| (stat.pid, stat)).collect();
    Ok(newest_successor(selector, Identity::from(&stat), &relatives))
}

/// The successor of `root` that an upgrade of its binary has started, the newest of several; or `root` itself.
///
/// nginx's old master takes a HUP after an upgrade as the order to start its workers again, without reading anything
/// (`ngx_master_process_cycle()` in `src/os/unix/ngx_process_cycle.c`), and the new one takes over.
fn newest_successor(selector: &Selector, root: Identity, relatives: &BTreeMap<i32, Stat>) -> Identity {
    let mut newest = root;
    // An upgrade of an upgrade is rare, and no more than that is followed.
    for _ in 0..SUCCESSORS {
        let title = proc::title(newest.pid);
        let is_successor = |child: &&Stat| {
            let is_like = match &selector.master {
                Some(master) => master.is_match(&title) && master.is_match(&proc::title(child.pid)),
                None => runs_the_same(child.pid, newest.pid) && proc::exe(child.pid) == proc::exe(newest.pid),
            };
            child.ppid == newest.pid && !proc::is_mere_fork(child) && is_like
        };
        let successors = relatives.values().filter(is_successor);
        let Some(successor) = successors.max_by_key(|successor| successor.starttime) else { break };
        newest = Identity::from(successor);
    }
    newest
}

/// Returns `true` if two processes have the same command line. gunicorn starts its successor by its interpreter, under the name that this
/// has itself (`Arbiter.reexec()` in `gunicorn/arbiter.py`).
fn runs_the_same(one: i32, other: i32) -> bool {
    let (one, other) = (proc::cmdline(one), proc::cmdline(other));
    let is_same_script = || proc::script(&one).is_some_and(|script| proc::script(&other) == Some(script));
    one == other || is_same_script()
}

/// The reason why the process that a pid file names is not the one that wrote it, if there is one.
fn is_stale(path: &Path, stat: &Stat, selector: &Selector) -> Option<String> {
    let identity = Identity::from(stat);
    let has_criteria = selector.process.is_some() || selector.cmdline.is_some() || selector.exe.is_some();
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    // A process writes its pid file after its start. The number may have been given to another one since.
    let is_younger = identity.started()? > written + CLOCKS_DIFFER;
    if is_younger && !has_criteria {
        return Some(format!("`{}` is older than {}, so another process wrote it", path.display(), describe(stat)));
    }
    let parent = proc::stat(stat.ppid).filter(|_| proc::is_mere_fork(stat))?;
    let is_alike = parent.comm == stat.comm && proc::exe(parent.pid) == proc::exe(stat.pid);
    let is_worker = is_alike && fits(parent.pid, selector);
    is_worker.then(|| format!("`{}` names {}, which is a worker of pid {}", path.display(), describe(stat), parent.pid))
}

/// The users who may write a pid file.
struct Writers {
    owner: u32,
    others: bool,
}

impl Writers {
    /// Returns `true` if the file may name this process: root, the gate's own user and the user of the process may, as with `PIDFile=` in
    /// systemd.service(5).
    fn may_name(&self, pid: i32) -> bool {
        let own = rustix::process::geteuid().as_raw();
        let is_known = [0, own].contains(&self.owner);
        // A gate without rights reaches its own processes alone.
        let is_harmless = !rustix::process::geteuid().is_root();
        let is_of_process = || proc::credentials(pid).is_some_and(|theirs| theirs.uid == self.owner);
        is_harmless || (!self.others && (is_known || is_of_process()))
    }
}

/// The beginning of a pid file. Only a regular file is read: a FIFO would block, and a device may never end.
fn beginning(path: &Path) -> std::io::Result<(String, Writers)> {
    let file = RegularFile::open(path)?.ok_or_else(|| std::io::Error::other("it is no regular file"))?;
    let bytes = file.beginning(PID_FILE_LIMIT)?;
    let writers = Writers { owner: file.stat.st_uid, others: file.stat.st_mode & 0o002 != 0 };
    Ok((String::from_utf8_lossy(&bytes).into_owned(), writers))
}

/// The living processes that fit, except the gate's own: a checker that runs at this moment may bear the target's name.
fn candidates(selector: &Selector) -> impl Iterator<Item = Stat> {
    proc::pids().filter(|pid| fits(*pid, selector)).filter_map(proc::stat).filter(|stat| !proc::is_own(stat))
}

fn fits(pid: i32, selector: &Selector) -> bool {
    // The cheapest first: this runs for every process.
    selector.process.as_ref().is_none_or(|name| is_named(pid, name))
        && selector.cmdline.as_ref().is_none_or(|pattern| pattern.is_match(&proc::title(pid)))
        && selector.exe.as_ref().is_none_or(|path| proc::exe(pid).as_ref() == Some(path))
        && selector.check_word.as_ref().is_none_or(|word| !proc::cmdline(pid).contains(word))
}

/// Compares the names of a process with `name`. The command name of a script that was not executed itself is that of its interpreter.
fn is_named(pid: i32, name: &str) -> bool {
    let comm = proc::comm(pid);
    let is_script = || {
        let words = proc::cmdline(pid);
        let is_title = |title: &String| title.contains([' ', ':']) && title.split([' ', ':']).next() == Some(name);
        proc::script(&words).is_some_and(|script| script.name == name) || words.first().is_some_and(is_title)
    };
    let is_interpreted = std::str::from_utf8(&comm).is_ok_and(proc::is_interpreter);
    (is_called(&comm, name) && is_called_in_full(pid, name)) || (is_interpreted && is_script())
}

/// Compares a command name with `name`. A process that sets a title has it as its command name too: gunicorn's master is called
/// `gunicorn: maste` then (setproctitle, PyPI).
fn is_called(comm: &[u8], name: &str) -> bool {
    let name = name.as_bytes();
    comm == &name[..name.len().min(COMM_LEN)] || comm.strip_prefix(name).is_some_and(|rest| rest.starts_with(b":"))
}

/// Compares a name that is longer than a command name with the full names of the process: of its executable, of its first word,
/// and of the script that its first word interprets.
fn is_called_in_full(pid: i32, name: &str) -> bool {
    if name.len() <= COMM_LEN {
        return true;
    }
    let words = proc::cmdline(pid);
    let mut names: Vec<&str> = words.iter().take(2).map(|word| word.rsplit('/').next().unwrap_or(word)).collect();
    let exe = proc::exe(pid);
    names.extend(exe.as_ref().and_then(|exe| exe.file_name()?.to_str()));
    let is_title = |given: &str| given.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
    names.iter().any(|given| *given == name || is_title(given))
}

fn describe(stat: &Stat) -> String {
    let cmdline = proc::title(stat.pid);
    let shown: String = cmdline.chars().take(60).collect();
    format!("pid {} (`{}`)", stat.pid, if shown.is_empty() { stat.comm.clone() } else { shown })
}

#[cfg(test)]
mod tests {
    use super::is_called;

    #[test]
    fn a_title_begins_with_the_name() {
        let cases = [
            ("gunicorn", "gunicorn", true),
            ("gunicorn: maste", "gunicorn", true),
            ("gunicorn: maste", "guni", false),
            ("gunicorn-debug", "gunicorn", false),
            ("gunicorn", "gunicorn:", false),
            ("fifteen-letters", "fifteen-letters-and-more", true),
            ("fourteen-bytes:", "fourteen-bytes", true),
            ("fourteen-bytes:", "fourteen-bytes-and-more", false),
            ("", "gunicorn", false),
        ];
        for (comm, name, expected) in cases {
            assert_eq!(is_called(comm.as_bytes(), name), expected, "{comm} {name}");
        }
    }
}
