//! The place where a configuration is validated: the same text can be right in one file system and wrong in another.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::thread::CapabilitySet;

use super::Location;
use crate::flow::process::{Root, Target, TargetError, TargetSearches};
use crate::sys::exec::RunAs;
use crate::sys::proc;

/// Place where commands run, by the user's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootChoice {
    /// In the target's root when it lives in another one than the gate, else here.
    Auto,
    /// Here, as the gate itself.
    Local,
    /// In the target's root, as the target.
    Target,
    /// Here, in a view of the file system in which the configuration lies where the application will see it.
    View,
}

/// Place where a command runs, with the target that was found.
pub(super) struct ExecutionPlace {
    /// The process that will read the configuration, if it runs.
    pub(super) target: Option<Target>,
    /// The process that commands run as; the gate itself if absent.
    pub(super) run_as: Option<RunAs>,
    /// Commands see the configuration at the application's paths, though nothing lies there.
    pub(super) view: bool,
    /// The target may see other files than the gate at a path.
    pub(super) other_files: bool,
}

/// Finds the place for validation.
pub(super) async fn find(
    choice: RootChoice,
    targets: &TargetSearches,
    without_target: bool,
) -> Result<ExecutionPlace, TargetError> {
    let here = ExecutionPlace { view: choice == RootChoice::View, ..ExecutionPlace::here() };
    if targets.selector().is_empty() || here.view {
        return Ok(here);
    }
    let target = match (choice, targets.living().await) {
        (_, Ok(target)) => target,
        (RootChoice::Local, Err(_)) => return Ok(here),
        (RootChoice::Auto, Err(TargetError::Missing { .. })) if without_target => return Ok(here),
        (_, Err(target_error)) => return Err(target_error),
    };
    let root = target.root();
    let other = !matches!(root, Root::Same);
    // With the same root directory a gate that may not change its root is where the target is, apart from mounts.
    let enters = other && (!matches!(root, Root::OtherMounts) || may_change_root());
    let run_as = RunAs { process: target.identity(), root: enters };
    Ok(match choice {
        // The command line of a process in another root does not fit this one.
        RootChoice::Local | RootChoice::View => {
            let same_root = matches!(root, Root::Same | Root::OtherMounts);
            // The program of another user is that user's to choose, and nothing that the gate should execute as itself.
            let run_as = (same_root && is_of_another_user(&target)).then_some(RunAs { root: false, ..run_as });
            ExecutionPlace {
                target: Some(target).filter(|_| same_root),
                run_as,
                other_files: other && same_root,
                ..here
            }
        }
        RootChoice::Auto | RootChoice::Target => {
            ExecutionPlace { target: Some(target), run_as: Some(run_as), view: false, other_files: other }
        }
    })
}

/// Returns true unless the target certainly runs as the gate's own user.
fn is_of_another_user(target: &Target) -> bool {
    let own = rustix::process::geteuid().as_raw();
    proc::may_be_of_another_user(target.pid(), own)
}

fn may_change_root() -> bool {
    let own = rustix::thread::capabilities(None);
    own.is_ok_and(|own| own.effective.contains(CapabilitySet::SYS_CHROOT))
}

impl RootChoice {
    /// The choice in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Auto => "in the root of the target where that is another one, else here",
            Self::Local => "here",
            Self::Target => "in the root of the target",
            Self::View => "here, where the application will see it",
        }
    }
}

impl ExecutionPlace {
    /// The gate's own root, without a target.
    pub(super) fn here() -> Self {
        Self { target: None, run_as: None, view: false, other_files: false }
    }

    /// Returns true if commands see the files at the application's paths, and not at the gate's.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.view || self.run_as.is_some_and(|run_as| run_as.root)
    }

    /// Returns the place as reports name it.
    pub(super) fn location(&self) -> Location {
        if self.run_as.is_some() { Location::Target } else { Location::Here }
    }

    /// The place in words.
    pub(super) fn describe(&self) -> String {
        match (&self.run_as, &self.target) {
            (Some(run_as), _) if run_as.root => format!("in the root of pid {}, as its user", run_as.process.pid),
            (Some(run_as), _) => format!("as the user of pid {}", run_as.process.pid),
            (None, _) => "here".into(),
        }
    }

    /// The target's process id; 0 if there is none.
    pub(super) fn pid(&self) -> i32 {
        self.target.as_ref().map_or(0, Target::pid)
    }

    /// The words of the target's own command line.
    pub(super) fn cmdline(&self) -> Vec<String> {
        self.target.as_ref().map(|target| proc::cmdline(target.pid())).unwrap_or_default()
    }

    /// The title that the target shows in place of its command line: one word, which begins with its command name and a colon.
    pub(super) fn title(&self) -> Option<String> {
        let comm = proc::comm(self.target.as_ref()?.pid());
        let [word]: [String; 1] = self.cmdline().try_into().ok()?;
        let (name, _) = word.split_once(": ")?;
        comm.starts_with(&name.as_bytes()[..name.len().min(proc::COMM_LEN)]).then_some(word)
    }

    /// The working directory of the target, where relative paths of its command line begin.
    pub(super) fn cwd(&self) -> PathBuf {
        self.target.as_ref().and_then(|target| proc::cwd(target.pid())).unwrap_or_default()
    }

    /// The name by which the target's program is executed: the path of its file, or the first word of its command line where the program
    /// was started by another name of that file, by which it goes (in Debian `redis-server` is a link to `redis-check-rdb`).
    pub(super) fn program_name(&self) -> Option<PathBuf> {
        let (pid, exe) = (self.pid(), self.exe()?);
        let words = proc::cmdline(pid);
        // A title is one word, and the name its beginning.
        let name = match words.as_slice() {
            [title] => title.split(' ').next().unwrap_or_default(),
            words => words.first().map_or("", String::as_str),
        };
        let (name, is_name_of) = (PathBuf::from(name), |path: &Path| path.file_name().map(OsStr::to_owned));
        // The command name is that of the file as it was executed (execve(2)), which a title does not change.
        let is_executed = is_name_of(&name).is_some_and(|name| {
            let name = name.as_encoded_bytes();
            proc::comm(pid) == name[..name.len().min(proc::COMM_LEN)]
        });
        Some(if is_executed && is_name_of(&name) != is_name_of(&exe) { name } else { exe })
    }

    /// The file that the target executes.
    pub(super) fn exe(&self) -> Option<PathBuf> {
        self.target.as_ref().and_then(|target| proc::exe(target.pid()))
    }
}
