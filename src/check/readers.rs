//! Programs that read files for which no validator is known, as far as the inputs tell. Pure.

use std::collections::BTreeMap;

use super::store::Entry;
use super::trees::{FileTree, TreeKind};

/// Program that reads a file, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The program of a preset, whose command is not installed and in no package.
    NotInstalled(String),
    /// The program of an image.
    Image(String),
    /// None that the inputs show: no container mounts it.
    Unmounted,
    /// A program with a command line of its own, or a file of a directory.
    Unknown,
}

impl Reader {
    /// Returns the reason why a format is all that is known of a file that its name or its content (`by`) tells.
    pub(super) fn of_format(&self, by: &str) -> String {
        let why = match self {
            Self::NotInstalled(command) => format!("`{command}` is not installed"),
            Self::Image(name) => format!("no checker of `{name}` is known"),
            Self::Unmounted => "no container of the inputs mounts it".to_owned(),
            Self::Unknown => "its program is unknown".to_owned(),
        };
        format!("known by its {by}; the syntax alone, since {why}")
    }

    /// Returns the reason why a file is not checked, if it is one of the reader.
    pub(super) fn of_file(&self) -> Option<String> {
        match self {
            Self::NotInstalled(command) => Some(format!("`{command}`, which checks it, is not installed")),
            Self::Image(name) => Some(format!("no checker of `{name}` is known, whose container mounts it")),
            Self::Unmounted | Self::Unknown => None,
        }
    }
}

/// Readers of the files of all trees.
#[derive(Debug, Default)]
pub(super) struct Readers {
    missing: BTreeMap<Entry, String>,
    images: BTreeMap<Entry, String>,
}

impl Readers {
    /// Returns the images that mount each entry. Of several containers it is the first one that is no init container.
    pub(super) fn of(trees: &[FileTree]) -> Self {
        let mut images = BTreeMap::new();
        let containers = || trees.iter().filter(|tree| tree.kind == TreeKind::Container);
        let (init, others): (Vec<_>, Vec<_>) = containers().partition(|tree| tree.container.is_init);
        for tree in others.into_iter().chain(init) {
            let image = tree.container.image.repository();
            for entry in tree.wanted.iter().filter(|_| !image.is_empty()) {
                images.entry(entry.clone()).or_insert_with(|| image.to_owned());
            }
        }
        Self { missing: BTreeMap::new(), images }
    }

    /// Notes that the command of the program of `entries` is not installed.
    pub(super) fn lack(&mut self, command: &str, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.missing.entry(entry).or_insert_with(|| command.to_owned());
        }
    }

    /// Returns the reader of an entry of a tree of this kind.
    pub(super) fn reader(&self, entry: &Entry, kind: TreeKind) -> Reader {
        match (self.missing.get(entry), self.images.get(entry)) {
            (Some(command), _) => Reader::NotInstalled(command.clone()),
            (None, Some(image)) => Reader::Image(image.clone()),
            (None, None) if kind == TreeKind::Object && entry.config().is_some() => Reader::Unmounted,
            (None, None) => Reader::Unknown,
        }
    }
}
