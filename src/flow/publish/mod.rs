//! Puts accepted trees where the application reads them. IO: writes, and only into volumes of its own.
//!
//! A volume has the shape of a kubelet's (`pkg/volume/util/atomic_writer.go` in kubernetes), so that programs which know
//! ConfigMap volumes notice nothing: names are links through `..data`, and one rename of `..data` changes all of them at once.
//!
//! Each generation is a directory that is named by the digest of what is in it, and two links are the whole state: `..data`
//! leads to the live generation and `..good` to the last one that was proven. A generation that is not what its name says was
//! torn (by a power loss, or by another program) and is never used. `..lock` is empty: the gate that may write has it locked. A publication is planned first and then performed step by
//! step, each step so small that an end after it leaves the readable files of one generation and nothing else.

mod claim;
mod compare;
mod directory;
mod leftover;
mod shared;
mod step;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use claim::Claim;
use compare::Published;
use directory::{Directory, MOST_COMPONENTS};
use leftover::Leftovers;
use reload_gate_contract::{Code, Finding};
use shared::Shared;
use step::VolumeStep;

use crate::flow::tree::{Revision, Tree};
use crate::sys::shortage::may_pass;

pub use directory::VolumeLimits;

const LIVE: &str = "..data";
const GOOD: &str = "..good";
/// Name of a link until it takes the place of the one that it replaces.
const NEXT: &str = "..data_tmp";
/// Number of names that may be taken by what cannot be removed.
const MOST_TAKEN: usize = 64;
/// Name of a generation until it is whole.
const STAGING: &str = "..staging";
/// Prefix of the directory in which a volume is tried out; the process id follows.
const SCRATCH: &str = "..trial-";
/// Prefix of the name of a generation; the digest follows.
const GENERATION: &str = "..sha256-";

const NOT_PUBLISHED: Code = Code::new("not-published");

/// Reason why nothing could be published. The generation that was live before is live still.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The system refused a step.
    #[error("cannot {what} in `{}`: {error}", volume.display())]
    System {
        /// The volume.
        volume: PathBuf,
        /// The step that failed.
        what: String,
        /// The cause.
        error: io::Error,
    },
    /// One of several sources is a file, which has no volume of its own to be published in.
    #[error("`{}` is a file among several sources, so it cannot be published", .0.display())]
    File(PathBuf),
    /// The last-known-good revision is not whole any more.
    #[error("the last-known-good revision is missing or damaged")]
    Lost,
    /// It is larger than what would be read again.
    #[error("the configuration is larger than a volume may be, `{}`", .0.display())]
    TooLarge(PathBuf),
    /// A name that the volume keeps for itself.
    #[error("`{}` begins with `..`, as only the names of the volume itself do", .0.display())]
    Reserved(PathBuf),
    /// A name that is none of a file below a directory, or is nested too deep.
    #[error("`{}` is no name of a file of a volume", .0.display())]
    Unfit(PathBuf),
    /// A file that the gate did not write is in the way.
    #[error("`{}` was not written by reload-gate, so it was left alone", .0.display())]
    Foreign(PathBuf),
    /// Another gate writes the volume.
    #[error("another gate publishes in `{}`{}, so nothing was written", volume.display(), process(*pid))]
    Taken {
        /// The volume.
        volume: PathBuf,
        /// The process of the other gate, if it is known.
        pid: Option<i32>,
    },
}

impl PublishError {
    /// Returns true for an error that may be over at the next try.
    fn may_pass(&self) -> bool {
        matches!(self, Self::System { error, .. } if may_pass(error))
    }
}

impl From<PublishError> for Finding {
    fn from(error: PublishError) -> Self {
        Self::environment(NOT_PUBLISHED, error.to_string()).help(error.help())
    }
}

impl PublishError {
    /// Returns the remedy.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Foreign(_) => {
                "give `--publish` a volume of its own (an `emptyDir`), not the ConfigMap itself; or remove that file"
                    .into()
            }
            Self::Taken { .. } => "give each gate a volume of its own (`--publish`), or stop the other gate".into(),
            Self::Reserved(_) => "give it another name; no key of a ConfigMap begins so".into(),
            Self::Unfit(_) => "give it a relative path of at most 48 names, without `.` and `..`".into(),
            Self::Lost => "correct the configuration; the live revision stays".into(),
            Self::File(_) => "watch the directory that it is in".into(),
            Self::TooLarge(_) => "raise `--max-bytes` or `--max-files`, or make the configuration smaller".into(),
            Self::System { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull => "make the volume larger (`sizeLimit` of the `emptyDir`), or free space",
                io::ErrorKind::ReadOnlyFilesystem => "mount the volume without `readOnly` in the gate's container",
                io::ErrorKind::PermissionDenied => {
                    "let the gate's user write there: run it as the volume's owner, or set `fsGroup`"
                }
                io::ErrorKind::NotFound => "mount the volume in the gate's container at that path",
                _ => "check the volume and its mount; the step is retried",
            }
            .into(),
        }
    }
}

/// Returns the part of a message that names a process.
fn process(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// Volumes in which the sources of a gate are published: one volume for each source, in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    volumes: Vec<Volume>,
    /// Prefix of the names of each source in a tree; empty if there is one source.
    prefixes: Vec<PathBuf>,
    claim: Claim,
    published: Published,
}

/// One tree, laid out in all volumes of a publication.
pub type Generations = Vec<Generation>;

impl Publication {
    /// Publishes sources in `volumes`; the names of each begin with one of `prefixes`.
    #[must_use]
    pub fn new(volumes: Vec<Volume>, prefixes: Vec<PathBuf>) -> Self {
        Self { volumes, prefixes, claim: Claim::default(), published: Published::default() }
    }

    /// Returns the volumes in the order of the sources, each with the prefix of its names.
    pub fn volumes(&self) -> impl Iterator<Item = (&Volume, &Path)> {
        self.volumes.iter().zip(self.prefixes.iter().map(PathBuf::as_path))
    }

    /// Makes the last-known-good revision live again if the live one is not whole, or may be of two publications; restores visible
    /// names that another program has removed. Returns true if the last-known-good revision took the place of another one.
    ///
    /// # Errors
    /// As [`Publication::good`] and [`Publication::publish`].
    pub fn repair(&self) -> Result<bool, PublishError> {
        let live = self.volumes.iter().map(Volume::live).collect::<Result<Vec<_>, _>>()?;
        let whole: Generations = live.iter().flatten().map(|(generation, _)| generation.clone()).collect();
        let good = self.good()?;
        if whole.len() == self.volumes.len() && (whole.len() == 1 || good.as_ref().is_none_or(|good| good.live)) {
            self.publish(&whole)?;
            return Ok(false);
        }
        good.map_or(Ok(false), |good| self.publish(&good.generations))
    }

    /// Returns warnings about what could not be removed, each once.
    #[must_use]
    pub fn leftovers(&self) -> Vec<Finding> {
        self.volumes.iter().flat_map(|volume| volume.left.lock().take()).collect()
    }

    /// Returns the generations that are live, if there is a whole one in every volume.
    #[must_use]
    pub fn live(&self) -> Option<Generations> {
        self.volumes.iter().map(|volume| volume.live().ok().flatten().map(|(generation, _)| generation)).collect()
    }

    /// Lays `tree` out beside the live generations.
    ///
    /// # Errors
    /// As [`Volume::stage`].
    pub fn stage(&self, tree: &Tree) -> Result<Generations, PublishError> {
        self.volumes.iter().zip(self.split(tree)?).map(|(volume, tree)| volume.stage(&tree)).collect()
    }

    /// Makes `generations` live, one volume after the other. Returns false if they were live already.
    ///
    /// # Errors
    /// As [`Volume::publish`].
    pub fn publish(&self, generations: &Generations) -> Result<bool, PublishError> {
        // A failure that can be foreseen comes before the first volume is touched.
        let plan = |(volume, generation): (&Volume, &Generation)| volume.plan_publish(generation);
        let plans = self.volumes.iter().zip(generations).map(plan).collect::<Result<Vec<_>, _>>()?;
        let before = self.volumes.iter().map(|volume| volume.leads_to(LIVE)).collect::<Result<Vec<_>, _>>()?;
        for (done, (volume, plan)) in self.volumes.iter().zip(&plans).enumerate() {
            if let Err(error) = volume.perform(plan) {
                for (volume, generation) in self.volumes[..=done].iter().zip(&before) {
                    // A second failure here is repaired by the next gate.
                    let _ = generation.as_ref().map(|generation| volume.publish(generation));
                }
                return Err(error);
            }
        }
        Ok(plans.iter().any(|plan| !plan.is_empty()))
    }

    /// Remembers the live generations as proven.
    ///
    /// # Errors
    /// As [`Volume::keep`].
    pub fn keep(&self) -> Result<(), PublishError> {
        self.volumes.iter().try_for_each(Volume::keep)
    }

    /// Returns the generations that were proven last; `None` if they are not whole.
    ///
    /// # Errors
    /// When a volume cannot be read, or another program wrote it.
    pub fn good(&self) -> Result<Option<Good>, PublishError> {
        let (mut whole, mut generations, mut live) = (Tree::new(), Generations::new(), true);
        for (volume, prefix) in self.volumes.iter().zip(&self.prefixes) {
            let Some((generation, tree)) = volume.good()? else { return Ok(None) };
            live &= volume.live()?.is_some_and(|(live, _)| live == generation);
            whole.extend(tree.iter().map(|(name, content)| (prefix.join(name), content.clone())));
            tree.links().iter().for_each(|(name, target)| whole.link(prefix.join(name), target.clone()));
            generations.push(generation);
        }
        Ok(Some(Good { revision: Revision::of(&whole), generations, live }))
    }

    /// Splits `tree` into the part of each volume. A longer prefix wins.
    fn split(&self, tree: &Tree) -> Result<Vec<Tree>, PublishError> {
        let mut parts = vec![Tree::new(); self.volumes.len()];
        for (name, content) in tree {
            if let Some((index, rest)) = self.part(name)? {
                parts[index].insert(rest.into(), content.clone());
            }
        }
        for (name, target) in tree.links() {
            if let Some((index, rest)) = self.part(name)? {
                parts[index].link(rest.into(), target.clone());
            }
        }
        Ok(parts)
    }

    /// Returns the volume of `name`, and its name there.
    fn part<'a>(&self, name: &'a Path) -> Result<Option<(usize, &'a Path)>, PublishError> {
        let fits = self.prefixes.iter().enumerate().filter(|(_, prefix)| name.starts_with(prefix));
        let Some((index, prefix)) = fits.max_by_key(|(_, prefix)| prefix.components().count()) else { return Ok(None) };
        match name.strip_prefix(prefix).unwrap_or(name) {
            rest if rest.as_os_str().is_empty() => Err(PublishError::File(name.into())),
            rest => Ok(Some((index, rest))),
        }
    }
}

/// The generations that were proven last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    /// Their revision, as of the tree of all sources.
    pub revision: Revision,
    /// The generation in each volume.
    pub generations: Generations,
    /// Set if the application would read these now.
    pub live: bool,
}

/// One volume that the gate alone writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    path: PathBuf,
    limits: VolumeLimits,
    left: Shared<Leftovers>,
}

/// A generation in a volume: the name of its directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(String);

impl Generation {
    /// The name of its directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    fn of(name: &OsStr) -> Option<Self> {
        name.to_str().filter(|name| name.starts_with(GENERATION)).map(|name| Self(name.to_owned()))
    }

    /// Returns true if the name is that of `revision`; a dot and a number tell generations of one digest apart.
    fn is_named_after(&self, revision: &Revision) -> bool {
        let digest = self.0[GENERATION.len()..].split('.').next().unwrap_or_default();
        digest == revision.digest().to_string()
    }
}

impl Volume {
    /// The volume at `path`, a directory that exists. A larger generation than `limits` permit is neither written nor read.
    #[must_use]
    pub fn new(path: PathBuf, limits: VolumeLimits) -> Self {
        Self { path, limits, left: Shared::default() }
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of `generation`.
    #[must_use]
    pub fn path_of(&self, generation: &Generation) -> PathBuf {
        self.path.join(&generation.0)
    }

    /// Returns the live generation and its tree; `None` if there is none or it is torn.
    ///
    /// # Errors
    /// When the volume cannot be read, or a generation of another program is live.
    pub fn live(&self) -> Result<Option<(Generation, Tree)>, PublishError> {
        self.intact(LIVE)
    }

    /// Returns the last generation that was proven, in the same way.
    ///
    /// # Errors
    /// As [`Volume::live`].
    pub fn good(&self) -> Result<Option<(Generation, Tree)>, PublishError> {
        self.intact(GOOD)
    }

    /// Lays `tree` out as a generation beside the live one, whole and synced.
    ///
    /// # Errors
    /// When the system refuses a step; the next publication removes the files that were staged until then.
    pub fn stage(&self, tree: &Tree) -> Result<Generation, PublishError> {
        let (generation, steps) = self.plan_stage(tree)?;
        self.perform(&steps)?;
        Ok(generation)
    }

    /// Makes a staged generation live. Returns false if it was live already.
    ///
    /// # Errors
    /// When the system refuses a step, or a file of another program has the name of one of the files.
    pub fn publish(&self, generation: &Generation) -> Result<bool, PublishError> {
        let steps = self.plan_publish(generation)?;
        self.perform(&steps)?;
        Ok(!steps.is_empty())
    }

    /// Performs the steps of a publication in a directory that is removed afterwards: a step that a publication could not take fails
    /// here.
    ///
    /// # Errors
    /// When the system refuses a step, or another program writes the volume.
    pub fn try_out(&self) -> Result<(), PublishError> {
        self.leads_to(LIVE)?;
        let scratch = PathBuf::from(format!("{SCRATCH}{}", std::process::id()));
        let (file, link) = (scratch.join("file"), scratch.join("link"));
        let tried = self.perform(&[
            VolumeStep::Directory(scratch.clone()),
            VolumeStep::File(file.clone(), b"reload-gate doctor"),
            VolumeStep::Link { name: link.clone(), to: "file".into() },
            VolumeStep::Rename(link, file),
            VolumeStep::Sync,
        ]);
        let is_there = self.path.join(&scratch).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let removal = if is_there { vec![VolumeStep::RemoveTree(scratch)] } else { Vec::new() };
        tried.and(self.perform(&removal))
    }

    /// Remembers the live generation as the last that was proven.
    ///
    /// # Errors
    /// When the system refuses a step.
    pub fn keep(&self) -> Result<(), PublishError> {
        let steps = self.plan_keep()?;
        self.perform(&steps)
    }
}

/// Plans, made from the present state of the volume.
impl Volume {
    fn plan_stage<'a>(&self, tree: &'a Tree) -> Result<(Generation, Vec<VolumeStep<'a>>), PublishError> {
        tree.keys().chain(tree.links().keys()).try_for_each(|name| check_name(name))?;
        if !self.limits.permit(tree) {
            return Err(PublishError::TooLarge(self.path.clone()));
        }
        let revision = Revision::of(tree);
        let present: BTreeSet<Generation> = self.entries()?.iter().filter_map(|name| Generation::of(name)).collect();
        let whole = |generation: &&Generation| {
            generation.is_named_after(&revision)
                && self.read(generation).is_ok_and(|found| found.as_ref() == Some(tree))
        };
        if let Some(generation) = present.iter().find(whole) {
            return Ok((generation.clone(), self.plan_sweep(Some(generation))?));
        }
        let mut steps = self.plan_sweep(None)?;
        let staging = self.free(STAGING);
        let name = |number: u32| match number {
            0 => format!("{GENERATION}{}", revision.digest()),
            _ => format!("{GENERATION}{}.{number}", revision.digest()),
        };
        let free = (0..).map(|number| Generation(name(number))).find(|generation| !present.contains(generation));
        let generation = free.unwrap_or_else(|| Generation(name(0)));
        steps.push(VolumeStep::Directory(staging.clone()));
        let names = tree.keys().chain(tree.links().keys());
        let directories: BTreeSet<&Path> = names.flat_map(|name| name.ancestors().skip(1)).collect();
        let inside = |path: &Path| staging.join(path);
        let named = directories.into_iter().filter(|directory| !directory.as_os_str().is_empty());
        steps.extend(named.map(|directory| VolumeStep::Directory(inside(directory))));
        steps.extend(tree.iter().map(|(name, content)| VolumeStep::File(inside(name), content)));
        let link = |(name, target): (&PathBuf, &PathBuf)| VolumeStep::Link { name: inside(name), to: target.clone() };
        steps.extend(tree.links().iter().map(link));
        steps.push(VolumeStep::Sync);
        steps.push(VolumeStep::Rename(staging.clone(), generation.0.clone().into()));
        Ok((generation, steps))
    }

    /// Links of new names come before the rename and those of removed ones go after it: until then they lead nowhere, so what
    /// can be read is at each moment one generation.
    fn plan_publish(&self, generation: &Generation) -> Result<Vec<VolumeStep<'static>>, PublishError> {
        let wanted = self.names_in(Path::new(&generation.0))?;
        let links = self.links()?;
        let mut steps = Vec::new();
        for name in wanted.iter().filter(|name| !links.contains(*name)) {
            if self.path.join(name).symlink_metadata().is_ok() {
                return Err(PublishError::Foreign(self.path.join(name)));
            }
            steps.push(VolumeStep::Link { name: name.clone(), to: Path::new(LIVE).join(name) });
        }
        if self.leads_to(LIVE)?.as_ref() != Some(generation) {
            steps.extend(self.replace(LIVE, generation));
        }
        steps.extend(links.into_iter().filter(|name| !wanted.contains(name)).map(VolumeStep::Unlink));
        if !steps.is_empty() {
            steps.push(VolumeStep::Sync);
        }
        Ok(steps)
    }

    fn plan_keep(&self) -> Result<Vec<VolumeStep<'static>>, PublishError> {
        let (live, good) = (self.leads_to(LIVE)?, self.leads_to(GOOD)?);
        Ok(live.filter(|live| good.as_ref() != Some(live)).map_or_else(Vec::new, |live| self.replace(GOOD, &live)))
    }

    /// Plans the removal of all generations to which neither link leads, except `kept`: those that were live before, and the rest of
    /// a publication that was interrupted.
    fn plan_sweep(&self, kept: Option<&Generation>) -> Result<Vec<VolumeStep<'static>>, PublishError> {
        let used = [self.leads_to(LIVE)?, self.leads_to(GOOD)?, kept.cloned()];
        let mut steps = Vec::new();
        for name in self.entries()? {
            let generation = Generation::of(&name);
            if is_numbered(&name, NEXT) {
                steps.push(VolumeStep::Sweep(name.into()));
            } else if is_numbered(&name, STAGING) || generation.is_some() && !used.contains(&generation) {
                // A link of that name was made by another program, and may lead anywhere.
                let metadata = self.path.join(&name).symlink_metadata();
                if metadata.is_ok_and(|metadata| metadata.is_dir()) {
                    steps.push(VolumeStep::Sweep(name.into()));
                }
            }
        }
        Ok(steps)
    }

    fn perform(&self, steps: &[VolumeStep<'_>]) -> Result<(), PublishError> {
        if steps.is_empty() {
            return Ok(());
        }
        let directory = self.directory()?;
        for step in steps {
            match (step.perform(&directory), step.dispensable()) {
                (Ok(()), _) => {}
                (Err(error), Some(path)) => self.left.lock().note(&self.path.join(path), &error),
                (Err(error), None) => {
                    let (volume, what) = (self.path.clone(), step.to_string());
                    return Err(PublishError::System { volume, what, error });
                }
            }
        }
        Ok(())
    }

    /// Plans that a link of the gate leads to `generation`, in one instant.
    fn replace(&self, link: &str, generation: &Generation) -> Vec<VolumeStep<'static>> {
        let next = self.free(NEXT);
        vec![
            VolumeStep::Link { name: next.clone(), to: generation.0.clone().into() },
            VolumeStep::Rename(next, link.into()),
        ]
    }

    /// Returns a name that begins so and is free: what is left there may be something that cannot be removed.
    fn free(&self, name: &str) -> PathBuf {
        let numbered =
            |number: usize| if number == 0 { name.into() } else { PathBuf::from(format!("{name}.{number}")) };
        let is_free = |name: &PathBuf| self.path.join(name).symlink_metadata().is_err();
        (0..MOST_TAKEN).map(numbered).find(is_free).unwrap_or_else(|| name.into())
    }

    fn directory(&self) -> Result<Directory, PublishError> {
        Directory::of_volume(&self.path).map_err(|error| self.unread(Path::new(""), error))
    }
}

/// The present state of the volume.
impl Volume {
    fn intact(&self, link: &str) -> Result<Option<(Generation, Tree)>, PublishError> {
        let Some(generation) = self.leads_to(link)? else { return Ok(None) };
        let tree = self.read(&generation)?.filter(|tree| generation.is_named_after(&Revision::of(tree)));
        Ok(tree.map(|tree| (generation, tree)))
    }

    /// Returns the generation to which a link of the gate leads.
    fn leads_to(&self, link: &str) -> Result<Option<Generation>, PublishError> {
        let path = self.path.join(link);
        match path.read_link() {
            Ok(to) => Generation::of(to.as_os_str()).map(Some).ok_or(PublishError::Foreign(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(PublishError::Foreign(path)),
            Err(error) => Err(self.unread(Path::new(link), error)),
        }
    }

    /// Returns the files of a generation; `None` if it is missing, holds anything else, or is larger than any that was written.
    fn read(&self, generation: &Generation) -> Result<Option<Tree>, PublishError> {
        let name = Path::new(&generation.0);
        let read = self.directory()?.open(name).and_then(|directory| directory.tree(self.limits));
        // What cannot be read now may be whole.
        match read {
            Err(error) if may_pass(&error) => Err(self.unread(name, error)),
            read => Ok(read.ok()),
        }
    }

    /// Returns the visible names which are the gate's own: links that lead to the same name through `..data`.
    fn links(&self) -> Result<BTreeSet<PathBuf>, PublishError> {
        let own = |name: &PathBuf| self.path.join(name).read_link().is_ok_and(|to| to == Path::new(LIVE).join(name));
        Ok(self.entries()?.into_iter().map(PathBuf::from).filter(own).collect())
    }

    fn entries(&self) -> Result<BTreeSet<std::ffi::OsString>, PublishError> {
        self.names_in(Path::new("")).map(|names| names.into_iter().map(PathBuf::into_os_string).collect())
    }

    /// Returns the names in a directory of the volume.
    fn names_in(&self, path: &Path) -> Result<BTreeSet<PathBuf>, PublishError> {
        let (volume, most) = (self.directory()?, self.limits.entries());
        let names = volume.open(path).and_then(|directory| {
            let entries = directory.entries()?.take(most.saturating_add(1));
            let names = entries.map(|entry| Ok(entry?.0.into())).collect::<io::Result<BTreeSet<PathBuf>>>()?;
            if names.len() > most {
                Err(io::Error::other(format!("it has more than {most} entries")))
            } else {
                Ok(names)
            }
        });
        names.map_err(|error| self.unread(path, error))
    }

    fn unread(&self, path: &Path, error: io::Error) -> PublishError {
        let name = path.strip_prefix(&self.path).unwrap_or(path);
        let what = if name.as_os_str().is_empty() { "look".into() } else { format!("read `{}`", name.display()) };
        PublishError::System { volume: self.path.clone(), what, error }
    }
}

/// Returns true for a name, and the same with a number, as [`Volume::free`] makes them.
fn is_numbered(name: &OsStr, base: &str) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(base));
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(|rest| rest.parse::<usize>().is_ok()))
}

/// Refuses a name that would be none in a volume.
fn check_name(name: &Path) -> Result<(), PublishError> {
    let mut components = name.components();
    let is_fit = components.clone().all(|component| matches!(component, Component::Normal(_)));
    if name.as_os_str().as_encoded_bytes().starts_with(b"..") {
        Err(PublishError::Reserved(name.to_owned()))
    } else if !is_fit || components.nth(MOST_COMPONENTS).is_some() {
        Err(PublishError::Unfit(name.to_owned()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
