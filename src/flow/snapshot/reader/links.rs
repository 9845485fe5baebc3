//! Links: inside the sources, and out of them. IO: reads files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::linked::LinkedDirectory;
use super::{Dir, ReadResult, SourceReader, Vanished, open_real, top};
use crate::flow::snapshot::LinkPolicy;
use crate::flow::snapshot::outside::{self, LinkTarget};
use crate::flow::tree::EntryWithoutContent;
use crate::sys::beneath;
use crate::sys::lexical::without_dots;

impl SourceReader<'_> {
    /// Reads the target of a link: anywhere inside the sources, and outside of them if the link does not lie in a volume.
    pub(super) fn link(&mut self, path: &Path, entry: &OsStr, name: &Path, (from, owner): (&Dir, u32)) -> ReadResult {
        let leaves_freely = !from.strict && self.options.links == LinkPolicy::Follow;
        let real = match path.canonicalize() {
            Ok(real) => real,
            // Editors leave links that lead nowhere as locks; one that leads out may lead somewhere for the application.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if leaves_freely {
                    self.name_only(path, name, from);
                }
                // In a volume a kubelet removes such a link, of a key that was removed, a moment later.
                if !from.strict {
                    self.tree.note(name.into(), EntryWithoutContent::DanglingLink);
                }
                return Ok(());
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && leaves_freely => {
                self.name_only(path, name, from);
                return Ok(());
            }
            Err(error) => {
                self.unreadable(path, &error, from.strict);
                return Ok(());
            }
        };
        if let Some(index) = self.roots.iter().position(|root| real.starts_with(&root.path)) {
            return self.inside(index, &real, name, from);
        }
        if !leaves_freely {
            self.escaping(
                path,
                &real,
                "copy its target into the source, or name that directory in a further `--watch`",
            );
            return Ok(());
        }
        if self.options.selection.is_limited() && !self.options.selection.includes(&from.inside.join(entry)) {
            return Ok(());
        }
        self.outside(path, &real, name, (from, owner))
    }

    /// Reads a file or directory of the sources to which a link leads, by its path without links.
    ///
    /// A link to a directory above itself is noted and not followed.
    pub(super) fn inside(&mut self, root: usize, real: &Path, name: &Path, from: &Dir) -> ReadResult {
        let links: Vec<PathBuf> = from.links.iter().chain([&from.path]).cloned().collect();
        if links.iter().any(|directory| directory.starts_with(real)) {
            self.tree.note(name.into(), EntryWithoutContent::Directory);
            return Ok(());
        }
        let root = &self.roots[root];
        let lookup = |relative: &Path| match &root.fd {
            Some(fd) => beneath::open(fd, relative, OFlags::RDONLY | OFlags::DIRECTORY),
            None => Err(Errno::NOTDIR),
        };
        let relative = real.strip_prefix(&root.path).unwrap_or(Path::new(""));
        let (fd, is_root) = match (relative.parent(), &root.fd) {
            (Some(parent), Some(_)) => (lookup(parent), false),
            (None, Some(_)) => (lookup(Path::new("")), true),
            // A source that is a file.
            (_, None) => (open_real(real.parent().unwrap_or(real)), false),
        };
        let fd = fd.map_err(|_| Vanished(real.into()))?;
        let parent = if is_root { real } else { real.parent().unwrap_or(real) };
        let inside = relative.parent().map(Path::to_path_buf).unwrap_or_default();
        let owners = from.owners.iter().chain(&*root.owners).copied().collect();
        let (depth, watched, strict) = (from.depth + 1, from.watched, from.strict);
        let dir = Dir { inside, depth, watched, strict, owners, links, ..top(fd, parent.into()) };
        match real.file_name() {
            Some(entry) if !is_root => self.entry_as(&dir, entry, name),
            _ => self.dir(&Dir { name: name.into(), ..dir }),
        }
    }

    /// Reads a file outside of the sources to which a link leads, or notes the name of the link.
    pub(super) fn outside(&mut self, path: &Path, real: &Path, name: &Path, (from, owner): (&Dir, u32)) -> ReadResult {
        let owners: Vec<u32> = from.owners.iter().copied().chain([owner]).collect();
        match outside::open(real, &owners) {
            Ok(LinkTarget::File(file, stat)) if stat.st_size.cast_unsigned() <= self.options.limits.bytes => {
                self.watch_target(path, real, from);
                self.delivered_at(&Ok(stat));
                self.content(&file, &stat, (path, name), false, None)?;
            }
            Ok(LinkTarget::Empty) => {
                self.tree.insert(name.into(), Vec::new());
            }
            Ok(LinkTarget::Directory) => {
                let (path, real, name) = (path.into(), real.into(), name.into());
                self.linked.push(LinkedDirectory { path, real, name, from: from.clone(), owner });
            }
            Ok(LinkTarget::File(..) | LinkTarget::Name) => self.name_only(path, name, from),
            Ok(LinkTarget::Denied(owner)) => {
                let help =
                    format!("the link belongs to uid {owner}, which may not read its target; let root own the link");
                self.escaping(path, real, &help);
            }
            Err(_) => return Err(Vanished(path.into())),
        }
        Ok(())
    }

    /// Watches the target of a link that leaves the sources, and the way to it.
    fn watch_target(&mut self, path: &Path, real: &Path, from: &Dir) {
        if let (Some(parent), Some(file)) = (real.parent(), real.file_name()) {
            self.watch_points.file(parent, file);
        }
        if let Ok(target) = path.read_link() {
            self.watch_points.anchor(&from.path.join(target));
        }
    }

    /// Notes a link of which only the name counts, if it leads out of the sources.
    pub(super) fn name_only(&mut self, path: &Path, name: &Path, from: &Dir) {
        let Ok(target) = path.read_link() else { return };
        let target = without_dots(&from.path.join(target));
        if !self.roots.iter().any(|root| target.starts_with(&root.path)) {
            self.tree.link(name.into(), target);
        }
    }
}
