//! Confinement of a command that runs as the gate itself. IO: restricts the calling process, for good.
//!
//! Validating a configuration can execute it, and the executed code could do all that the gate may. So it may read and execute
//! everything except the gate's own secrets, and write only where checkers do. The kernel enforces that (landlock(7)), from
//! Linux 5.13 on. Landlock has no exceptions: a right to a directory is a right to all that is below it. So a directory with an
//! exception below it is allowed by its other entries, and new ones cannot be made in it.

mod ahead;

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, Scope,
};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{Resource, Rlimit};
use rustix::thread::CapabilitySet;

use super::again::{self, CommandProgram, Reporter, SetupStep, step};
use super::{filter, view};
use crate::sys::shortage::unless_short;

pub(super) use ahead::PreparedRules;

/// The hidden subcommand.
pub(super) const SUBCOMMAND: &str = "confine";

/// Paths that a command which runs as the gate itself must not reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Close them even where that forbids new files beside them: in `/tmp`, `/run` and the like.
    pub strict: bool,
    /// Paths that it must not read.
    pub hidden: Vec<PathBuf>,
    /// Paths that it must not write.
    pub fixed: Vec<PathBuf>,
    /// It reads only these paths, besides the machine's programs and settings; writes nothing; and has no network. Without a value it may
    /// read all that is not hidden.
    pub only: Option<Vec<PathBuf>>,
}

/// The version of Landlock whose rights are asked for; an older kernel gives those that it has.
const VERSION: ABI = ABI::V6;
/// Directories in which all programs make files: pid files, sockets, temporary files.
const SHARED: [&str; 4] = ["/dev/shm", "/run", "/tmp", "/var/tmp"];
/// Directories in which programs have directories of their own.
const OWN: [&str; 4] = ["/var/cache", "/var/lib", "/var/log", "/var/spool"];
/// Places that an isolated program may read besides programs: settings, and files of the kernel about itself and the machine.
const OF_MACHINE: [&str; 9] = [
    "/etc",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys",
    "/sys",
    "/var/lib/gems",
];
/// Largest number of entries of a directory of settings that are looked at for those of root alone.
const ENTRIES: usize = 16 << 10;
/// Devices that all users may write to.
const DEVICES: [&str; 5] = ["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];
/// Terminals: a command is not to read what is typed there, nor to write for a person to read.
const TERMINALS: [&str; 4] = ["/dev/console", "/dev/ptmx", "/dev/pts", "/dev/tty"];
/// Largest file that it may write, in bytes (RLIMIT_FSIZE of getrlimit(2)).
const FILE_SIZE: u64 = 1 << 30;

impl Confinement {
    /// Directories in which a kubelet and container runtimes mount the credentials of a container.
    pub const SECRETS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

    /// Returns the version of Landlock that this kernel has, of those that matter here; `None` without Landlock.
    #[must_use]
    pub fn version() -> Option<u8> {
        static VERSION: LazyLock<Option<u8>> = LazyLock::new(Confinement::find_version);
        *VERSION
    }

    /// Asks for the version alone, and makes no set of rules: that takes a descriptor and memory, and a want of them is no want of Landlock.
    fn find_version() -> Option<u8> {
        let knows = |abi: ABI| {
            let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
            let rules = rules.handle_access(AccessFs::from_all(abi));
            let scoped = |rules: Ruleset| if abi < ABI::V6 { Ok(rules) } else { rules.scope(Scope::Signal) };
            rules.and_then(scoped).is_ok()
        };
        let versions = [(6, ABI::V6), (5, ABI::V5), (3, ABI::V3), (2, ABI::V2), (1, ABI::V1)];
        versions.into_iter().find(|(_, abi)| knows(*abi)).map(|(version, _)| version)
    }

    /// Returns true if this kernel can isolate a command: see [`Confinement::only`].
    #[must_use]
    pub fn can_isolate() -> bool {
        Self::version().is_some() && filter::can_cut_network()
    }

    /// Returns the paths that stay open, as they lie in a directory in which all programs make files: see [`Confinement::strict`].
    #[must_use]
    pub fn left_open(&self) -> Vec<PathBuf> {
        // What cannot be looked at now is no part of a description.
        let there = |paths: &[PathBuf]| real(paths).unwrap_or_default();
        let areas = there(&SHARED.map(PathBuf::from)).into_iter().filter(|area| self.opens(area)).collect::<Vec<_>>();
        let kept = there(&self.hidden).into_iter().chain(there(&self.fixed)).collect::<BTreeSet<_>>();
        kept.into_iter().filter(|path| areas.iter().any(|area| path.starts_with(area))).collect()
    }

    /// Returns true if all of a directory stays open in which all programs make files. A user without write access loses nothing.
    fn opens(&self, area: &Path) -> bool {
        !self.strict && rustix::fs::access(area, rustix::fs::Access::WRITE_OK).is_ok()
    }
}

/// The arguments of the subcommand.
pub(super) fn arguments(confinement: &Confinement) -> Vec<OsString> {
    let strict = confinement.strict.then(|| OsString::from("--strict"));
    let hidden = confinement.hidden.iter().flat_map(|path| ["--hide".into(), path.into()]);
    let fixed = confinement.fixed.iter().flat_map(|path| ["--fix".into(), path.into()]);
    let only = confinement.only.iter().flatten().flat_map(|path| ["--only".into(), path.into()]);
    strict.into_iter().chain(hidden).chain(fixed).chain(only).collect()
}

/// Confines this process and executes the command. It returns only if that failed, with the message and the exit code.
pub(super) fn execute(
    reporter: &Reporter,
    confinement: &Confinement,
    environment: Vec<(OsString, OsString)>,
    program: &CommandProgram,
    prepared: Option<PreparedRules>,
) -> (String, u8) {
    reporter.execute(SUBCOMMAND, confine(confinement, prepared).map(|()| environment), program)
}

fn confine(confinement: &Confinement, prepared: Option<PreparedRules>) -> SetupStep {
    give_up_rights(confinement)?;
    again::give_up()?;
    let Some(only) = &confinement.only else {
        let prepared = prepared.and_then(|prepared| prepared.for_confinement(confinement));
        return step(restrict(confinement, prepared).map_err(io::Error::other), || "confine the command".into());
    };
    step(isolate(only, &confinement.hidden).map_err(io::Error::other), || "isolate the command".into())?;
    filter::cut_network()
}

/// Lowers the limits of this process, and gives up the capabilities that the command does not keep.
pub(super) fn give_up_rights(confinement: &Confinement) -> SetupStep {
    for (resource, most) in [(Resource::Core, 0), (Resource::Fsize, FILE_SIZE), (Resource::Memlock, 0)] {
        again::lower_limit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    let own = step(rustix::thread::capabilities(None), || "read capabilities".into())?;
    // An isolated command has no use for any.
    let kept = if confinement.only.is_some() { CapabilitySet::empty() } else { again::KEPT };
    let (permitted, effective) = (own.permitted & kept, own.effective & kept);
    // A user who is not root keeps them across execve(2) in the ambient set alone.
    let ambient = if rustix::process::geteuid().is_root() { CapabilitySet::empty() } else { permitted };
    let _ = again::drop_from_bounding_set(kept);
    again::keep_capabilities(permitted, effective, ambient)
}

/// Restricts the calling process to reading the machine's programs and settings, without what is hidden or root alone may read, and these
/// paths. What lies there is not executed.
fn isolate(only: &[PathBuf], hidden: &[PathBuf]) -> Result<(), RuleError> {
    let mut hidden = real(hidden)?;
    hidden.extend(private(Path::new("/etc"))?);
    let machine = view::PROGRAMS.iter().chain(&OF_MACHINE).map(PathBuf::from);
    let mut readable = Cover::default();
    for path in real(&machine.collect::<Vec<_>>())? {
        readable.add(&path, &hidden)?;
    }
    // Programs may lie in a home directory.
    readable.whole.extend(real(&view::programs())?);
    let read = AccessFs::from_read(VERSION);
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(VERSION))?
        .scope(Scope::Signal | Scope::AbstractUnixSocket)?
        .create()?
        .add_rules(rules(&readable.whole, read))?
        .add_rules(rules(&readable.parted, AccessFs::ReadDir))?
        .add_rules(rules(only, read & !BitFlags::from(AccessFs::Execute)))?
        .add_rules(rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
        .restrict_self()?;
    Ok(())
}

/// Returns what lies below a directory and not every user may read.
fn private(top: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut left) = (Vec::new(), ENTRIES);
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in unless_short(fs::read_dir(&directory))?.into_iter().flatten() {
            let Some(entry) = unless_short(entry)? else { continue };
            let Some(metadata) = unless_short(entry.metadata())? else { continue };
            let needed = if metadata.is_dir() { 0o005 } else { 0o004 };
            left = left.saturating_sub(1);
            if metadata.is_symlink() {
                continue;
            }
            if left == 0 || metadata.mode() & needed != needed {
                found.push(entry.path());
            } else if metadata.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// An error of the system or of Landlock.
type RuleError = Box<dyn Error + Send + Sync>;

/// The paths that decide on the rules of a confinement, without links.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DecidingPaths {
    hidden: Vec<PathBuf>,
    fixed: Vec<PathBuf>,
    terminals: Vec<PathBuf>,
    /// Directories in which all programs make files, each with whether all of it stays open.
    shared: Vec<(PathBuf, bool)>,
    own: Vec<PathBuf>,
}

impl DecidingPaths {
    pub(super) fn find(confinement: &Confinement) -> io::Result<Self> {
        let shared = real(&SHARED.map(PathBuf::from))?.into_iter().map(|area| {
            let is_open = confinement.opens(&area);
            (area, is_open)
        });
        Ok(Self {
            hidden: real(&confinement.hidden)?,
            fixed: real(&confinement.fixed)?,
            terminals: real(&TERMINALS.map(PathBuf::from))?,
            shared: shared.collect(),
            own: real(&OWN.map(PathBuf::from))?,
        })
    }

    /// Returns the paths that may be read, and those that may be written.
    pub(super) fn covers(&self) -> io::Result<(Cover, Cover)> {
        let (mut readable, mut writable) = (Cover::default(), Cover::default());
        readable.add(Path::new("/"), &[&self.hidden[..], &self.terminals].concat())?;
        let exceptions = [&self.hidden[..], &self.fixed].concat();
        for (area, is_open) in &self.shared {
            writable.add(area, if *is_open { &[] } else { &exceptions })?;
        }
        self.own.iter().try_for_each(|area| writable.add(area, &exceptions))?;
        Ok((readable, writable))
    }

    /// Returns the paths that a rule names by themselves: a rule is one for the file that lies there when it is made.
    pub(super) fn named(&self) -> impl Iterator<Item = &Path> {
        let areas = self.shared.iter().map(|(area, _)| area).chain(&self.own).map(PathBuf::as_path);
        areas.chain(DEVICES.iter().map(Path::new))
    }
}

/// Restricts the calling process. Without Landlock in the kernel nothing is restricted, which the event `started` reports.
fn restrict(confinement: &Confinement, prepared: Option<RulesetCreated>) -> Result<(), RuleError> {
    let ruleset = match prepared {
        Some(ruleset) => ruleset,
        None => {
            let (readable, writable) = DecidingPaths::find(confinement)?.covers()?;
            ruleset(&readable, &writable)?
        }
    };
    ruleset.restrict_self()?;
    Ok(())
}

/// Makes the rules for what may be read, and what may be written.
fn ruleset(readable: &Cover, writable: &Cover) -> Result<RulesetCreated, RuleError> {
    let all = AccessFs::from_all(VERSION);
    let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::Execute);
    let devices = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    Ruleset::default()
        .handle_access(all)?
        .scope(Scope::Signal | Scope::AbstractUnixSocket)?
        .create()?
        .add_rules(rules(&readable.whole, AccessFs::from_read(VERSION)))?
        .add_rules(rules(&readable.parted, AccessFs::ReadDir))?
        .add_rules(rules(&writable.whole, write))?
        .add_rules(rules(DEVICES, devices))
}

/// Returns the rules for these paths; a path that this user cannot open needs none.
fn rules<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
    access: impl Into<BitFlags<AccessFs>>,
) -> impl Iterator<Item = Result<PathBeneath<OwnedFd>, RuleError>> {
    let access = access.into();
    let rule = move |path: P| -> Result<Option<PathBeneath<OwnedFd>>, RuleError> {
        let opened = rustix::fs::open(path.as_ref(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let Some(file) = unless_short(opened)? else { return Ok(None) };
        let is_directory = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::Directory;
        let access = if is_directory { access } else { access & AccessFs::from_file(VERSION) };
        Ok(Some(PathBeneath::new(file, access)))
    };
    paths.into_iter().filter_map(move |path| rule(path).transpose())
}

/// The paths that are there, with all symbolic links followed.
///
/// # Errors
/// When that is unknown for want of memory or descriptors.
fn real(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let there = paths.iter().filter_map(|path| unless_short(path.canonicalize()).transpose());
    Ok(there.collect::<io::Result<BTreeSet<_>>>()?.into_iter().collect())
}

/// Paths that cover a directory except some paths below it.
#[derive(Default)]
pub(super) struct Cover {
    whole: BTreeSet<PathBuf>,
    /// Directories of which only some entries are covered.
    pub(super) parted: BTreeSet<PathBuf>,
}

impl Cover {
    fn add(&mut self, path: &Path, without: &[PathBuf]) -> io::Result<()> {
        if without.iter().any(|other| path.starts_with(other)) {
            return Ok(());
        }
        if !without.iter().any(|other| other.starts_with(path)) {
            self.whole.insert(path.into());
            return Ok(());
        }
        self.parted.insert(path.into());
        for entry in unless_short(fs::read_dir(path))?.into_iter().flatten() {
            let Some(entry) = unless_short(entry)? else { continue };
            // What a link leads to is covered where it lies, or not.
            if !unless_short(entry.file_type())?.is_some_and(|kind| kind.is_symlink()) {
                self.add(&entry.path(), without)?;
            }
        }
        Ok(())
    }
}
