//! The watched configuration: a volume that a kubelet writes, or a plain directory.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::content::Content;
use crate::volume::{Kubelet, Volume};

/// The source of a gate.
pub(crate) enum Source {
    Volume(Volume),
    Plain(PathBuf),
}

impl Source {
    pub(crate) fn new(path: PathBuf, kubelet: Option<Kubelet>, content: &Content) -> Self {
        let Some(kubelet) = kubelet else {
            fs::create_dir_all(&path).expect("there is room");
            let mut source = Self::Plain(path);
            source.write(content);
            return source;
        };
        Self::Volume(Volume::new(path, kubelet, &content.borrowed()))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Volume(volume) => volume.path(),
            Self::Plain(path) => path,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Volume(volume) => volume.file(name),
            Self::Plain(path) => path.join(name),
        }
    }

    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Replaces the content. In a plain directory each file is truncated and written, as `cp` and shells do it.
    pub(crate) fn write(&mut self, content: &Content) {
        match self {
            Self::Volume(volume) => volume.write(&content.borrowed()),
            Self::Plain(path) => {
                for (name, text) in &content.files {
                    fs::write(path.join(name), text).expect("there is room");
                }
            }
        }
    }

    /// Writes the main file up to the answer, and the rest after `pause`.
    pub(crate) fn write_in_halves(&mut self, content: &Content, body: &str, pause: Duration) {
        let Self::Plain(path) = self else { return self.write(content) };
        let Some((main, others)) = content.files.split_last() else { return };
        for (name, text) in others {
            fs::write(path.join(name), text).expect("there is room");
        }
        let (first, rest) = main.1.split_at(main.1.find(body).unwrap_or(main.1.len()));
        let mut file = fs::File::create(path.join(main.0)).expect("there is room");
        file.write_all(first.as_bytes()).expect("there is room");
        std::thread::sleep(pause);
        file.write_all(rest.as_bytes()).expect("there is room");
    }
}
