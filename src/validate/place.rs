//! Where a configuration is judged: the same text can be right in one file system and wrong in another.

use std::path::{Component, Path, PathBuf};

use crate::exec::Like;
use crate::proc;
use crate::snapshot::Source;
use crate::target::{Hindrance, Root, Selector, Target};

/// Where commands run, by the user's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootChoice {
    /// In the target's root when it lives in another one than the gate, else here.
    Auto,
    /// Here, as the gate itself.
    Local,
    /// In the target's root, as the target.
    Target,
}

/// Where a command runs, as it turned out.
pub(super) struct Place {
    /// The process that is to read the configuration, if it is there.
    pub(super) target: Option<Target>,
    /// As whom.
    pub(super) like: Option<Like>,
}

/// Decides where to judge.
pub(super) fn find(choice: RootChoice, selector: &Selector, without_target: bool) -> Result<Place, Hindrance> {
    let here = Place { target: None, like: None };
    if selector.is_empty() {
        return Ok(here);
    }
    let target = match (choice, selector.find()) {
        (_, Ok(target)) => target,
        (RootChoice::Local, Err(_)) => return Ok(here),
        (RootChoice::Auto, Err(Hindrance::Missing { .. })) if without_target => return Ok(here),
        (_, Err(hindrance)) => return Err(hindrance),
    };
    let other = !matches!(target.root(), Root::Same);
    let like = Like { process: target.identity(), root: other };
    Ok(match choice {
        // A process of another root says nothing about how its program is to be called in this one.
        RootChoice::Local => Place { target: Some(target).filter(|_| !other), like: None },
        RootChoice::Auto | RootChoice::Target => Place { target: Some(target), like: Some(like) },
    })
}

impl RootChoice {
    /// The choice in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Auto => "in the root of the target where that is another one, else here",
            Self::Local => "here",
            Self::Target => "in the root of the target",
        }
    }
}

impl Place {
    fn is_elsewhere(&self) -> bool {
        self.like.is_some_and(|like| like.root)
    }

    /// The path under which a command in this place finds the file of that name in the tree.
    pub(super) fn path_of(&self, name: &Path, sources: &[Source]) -> PathBuf {
        let [source] = sources else {
            // With several sources a name is the path that the application sees.
            return if self.is_elsewhere() { name.into() } else { gate_path(name, sources) };
        };
        let root = if self.is_elsewhere() { &source.mount } else { &source.path };
        match root.parent() {
            // It stands for the files beside it, though it may be gone itself.
            Some(volume) if source.whole_volume && !source.path.is_dir() => volume.join(name),
            // A source that is a file is its only name.
            _ if source.path.is_file() => root.clone(),
            _ => root.join(name),
        }
    }

    /// The directory of the first source.
    pub(super) fn directory(&self, sources: &[Source]) -> PathBuf {
        let Some(source) = sources.first() else { return PathBuf::from("/") };
        let path = if self.is_elsewhere() { &source.mount } else { &source.path };
        let is_file = source.path.is_file() || (source.whole_volume && !source.path.is_dir());
        if is_file { path.parent().unwrap_or(path).into() } else { path.clone() }
    }

    /// The place in words.
    pub(super) fn describe(&self) -> String {
        match (&self.like, &self.target) {
            (Some(like), _) if like.root => format!("in the root of pid {}, as its user", like.process.pid),
            (Some(like), _) => format!("as the user of pid {}", like.process.pid),
            (None, _) => "here".into(),
        }
    }

    /// The words of the target's own command line.
    pub(super) fn cmdline(&self) -> Vec<String> {
        self.target.as_ref().map(|target| proc::cmdline(target.pid())).unwrap_or_default()
    }

    /// The file that the target executes.
    pub(super) fn exe(&self) -> Option<PathBuf> {
        self.target.as_ref().and_then(|target| proc::exe(target.pid()))
    }
}

/// Where the gate sees what the application sees as `name`.
fn gate_path(name: &Path, sources: &[Source]) -> PathBuf {
    let inside = sources.iter().filter_map(|source| Some((source, name.strip_prefix(&source.mount).ok()?)));
    // The longest mount is the one on top.
    let found = inside.min_by_key(|(_, rest)| rest.components().count());
    match found {
        Some((source, rest)) if rest.components().all(|part| matches!(part, Component::Normal(_))) => {
            if rest.as_os_str().is_empty() { source.path.clone() } else { source.path.join(rest) }
        }
        _ => name.into(),
    }
}
