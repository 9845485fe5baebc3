//! A configuration as a value: its files, their contents, and one digest over all of them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Largest tree that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The sum of the sizes of all files, in bytes.
    pub bytes: u64,
    /// The number of files.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, files: 10_000 }
    }
}

/// A SHA-256 (FIPS 180-4) over names, lengths and contents.
///
/// Modes, owners, inodes and times are left out on purpose: a kubelet writes all of them anew with every projection, so
/// they say nothing about whether the configuration changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of one piece of content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Returns the first twelve hexadecimal digits: enough for people to tell two digests apart.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

/// The text is no digest: 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no digest of 64 hexadecimal digits in lower case")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let bytes = text.as_bytes();
        if bytes.len() != 64 || !bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotADigest);
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotADigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// The files of a configuration with their contents, by name, and the links of which only the name counts.
///
/// With one source, a name is the path inside it; with several, the path under which the application sees the file. A tree is read
/// as the map of its files: it dereferences to that.
///
/// Entries without content are no part of its value, except for those that the configuration includes: a program refuses to read one of them.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Links that leave the sources and lead to no configuration, such as `modules` or `logs`, each with its target.
    links: BTreeMap<PathBuf, PathBuf>,
    without_content: BTreeMap<PathBuf, EntryWithoutContent>,
    /// Names of those entries without content that the configuration includes.
    included: BTreeSet<PathBuf>,
}

/// An entry of a directory that a program meets if it includes all entries, and cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryWithoutContent {
    /// An empty directory, or a link to a directory of which nothing is read.
    Directory,
    /// A link that leads nowhere.
    DanglingLink,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        (&self.files, &self.links) == (&other.files, &other.links) && self.included().eq(other.included())
    }
}

impl Eq for Tree {}

impl Tree {
    /// Creates a tree without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the links of which only the name counts, each with its target.
    #[must_use]
    pub fn links(&self) -> &BTreeMap<PathBuf, PathBuf> {
        &self.links
    }

    /// Adds a link of which only the name counts.
    pub fn link(&mut self, name: PathBuf, target: PathBuf) {
        self.links.insert(name, target);
    }

    /// Returns the entries without content.
    #[must_use]
    pub fn without_content(&self) -> &BTreeMap<PathBuf, EntryWithoutContent> {
        &self.without_content
    }

    /// Adds an entry without content.
    pub fn note(&mut self, name: PathBuf, entry: EntryWithoutContent) {
        self.without_content.insert(name, entry);
    }

    /// Lets an entry without content count, since the configuration includes it.
    pub fn include(&mut self, name: PathBuf) {
        self.included.insert(name);
    }

    /// Returns the entries without content that the configuration includes.
    fn included(&self) -> impl Iterator<Item = (&PathBuf, EntryWithoutContent)> {
        self.included.iter().filter_map(|name| Some((name, *self.without_content.get(name)?)))
    }

    /// Gives back the memory that the files have left over since they were added one by one.
    pub fn shrink_to_fit(&mut self) {
        self.files = std::mem::take(&mut self.files).into_iter().collect();
    }

    /// Returns the tree as a copy of it has it, where only links are left of the entries without content.
    #[must_use]
    pub fn as_copied(self: Arc<Self>) -> Arc<Self> {
        if self.without_content.is_empty() {
            return self;
        }
        let mut tree = Arc::unwrap_or_clone(self);
        tree.without_content.retain(|name, _| tree.links.contains_key(name));
        tree.included.clear();
        Arc::new(tree)
    }
}

impl Deref for Tree {
    type Target = BTreeMap<PathBuf, Vec<u8>>;

    fn deref(&self) -> &Self::Target {
        &self.files
    }
}

impl DerefMut for Tree {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.files
    }
}

impl FromIterator<(PathBuf, Vec<u8>)> for Tree {
    fn from_iter<T: IntoIterator<Item = (PathBuf, Vec<u8>)>>(files: T) -> Self {
        Self { files: files.into_iter().collect(), ..Self::default() }
    }
}

impl<const N: usize> From<[(PathBuf, Vec<u8>); N]> for Tree {
    fn from(files: [(PathBuf, Vec<u8>); N]) -> Self {
        files.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a Tree {
    type Item = (&'a PathBuf, &'a Vec<u8>);
    type IntoIter = std::collections::btree_map::Iter<'a, PathBuf, Vec<u8>>;

    fn into_iter(self) -> Self::IntoIter {
        self.files.iter()
    }
}

/// Identity of a tree without its contents: the digest of each file and of the whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Revision {
    /// Files, links and included entries without content, sorted by their names. A gate keeps several revisions, so they are small.
    files: Box<[RevisionFile]>,
    digest: Digest,
}

/// File of a revision.
#[derive(Clone, PartialEq, Eq)]
struct RevisionFile {
    name: Box<Path>,
    digest: Digest,
    /// Length of its content in bytes.
    length: usize,
}

impl Revision {
    /// Returns the revision of `tree`.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let mut whole = Sha256::new();
        let included: Vec<_> = tree.included().collect();
        let mut files = Vec::with_capacity(tree.files.len() + tree.links.len() + included.len());
        let mut add = |name: &Path, digest, length| files.push(RevisionFile { name: name.into(), digest, length });
        for (name, content) in tree {
            let digest = Digest::of(content);
            // Lengths before what they measure: no two different trees are the same bytes to the hash.
            hash_name(&mut whole, name);
            whole.update((content.len() as u64).to_le_bytes());
            whole.update(digest.0);
            add(name, digest, content.len());
        }
        for (name, target) in &tree.links {
            // No name is so long, so a link is not the same bytes as a file.
            whole.update(u64::MAX.to_le_bytes());
            hash_name(&mut whole, name);
            hash_name(&mut whole, target);
            add(name, Digest::of(&[b"link to ", target.as_os_str().as_bytes()].concat()), 0);
        }
        for (name, entry) in included {
            // Neither a file nor a link has this length.
            whole.update((u64::MAX - 1).to_le_bytes());
            hash_name(&mut whole, name);
            let kind = match entry {
                EntryWithoutContent::Directory => b"directory".as_slice(),
                EntryWithoutContent::DanglingLink => b"dangling link",
            };
            whole.update(Digest::of(kind).0);
            add(name, Digest::of(kind), 0);
        }
        // Files alone are sorted already.
        if !files.is_sorted_by(|one, other| one.name < other.name) {
            files.sort_by(|one, other| one.name.cmp(&other.name));
            // Of a link that leads nowhere and is included, the last counts.
            files.dedup_by(|last, kept| {
                let is_same = last.name == kept.name;
                if is_same {
                    std::mem::swap(last, kept);
                }
                is_same
            });
        }
        Self { files: files.into(), digest: Digest(whole.finalize().into()) }
    }

    /// Returns the digest of the whole.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the digest of the file of that name.
    #[must_use]
    pub fn file(&self, name: &Path) -> Option<Digest> {
        self.entry(name).map(|file| file.digest)
    }

    /// Returns the length of the file of that name in bytes.
    #[must_use]
    pub fn length(&self, name: &Path) -> Option<usize> {
        self.entry(name).map(|file| file.length)
    }

    fn entry(&self, name: &Path) -> Option<&RevisionFile> {
        let at = self.files.binary_search_by(|file| (*file.name).cmp(name)).ok()?;
        self.files.get(at)
    }

    /// Returns the number of files, links and included entries without content.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns true if there is no file and no link.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns true if there is a file or link of that name.
    #[must_use]
    pub fn contains(&self, name: &Path) -> bool {
        self.entry(name).is_some()
    }

    /// Returns the names of the files and links, sorted.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| &*file.name)
    }

    /// Returns the names that were added, removed or have another content or target than in `before`, sorted.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<PathBuf> {
        let differs = |file: &&RevisionFile| before.file(&file.name) != Some(file.digest);
        let changed = self.files.iter().filter(differs).map(|file| &*file.name);
        let removed = before.names().filter(|name| !self.contains(name));
        let mut changed: Vec<_> = changed.chain(removed).map(Path::to_owned).collect();
        changed.sort();
        changed
    }
}

fn hash_name(whole: &mut Sha256, name: &Path) {
    let bytes = name.as_os_str().as_bytes();
    whole.update((bytes.len() as u64).to_le_bytes());
    whole.update(bytes);
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(files: &[(&str, &str)]) -> Revision {
        Revision::of(&files.iter().map(|(name, content)| (name.into(), content.as_bytes().to_vec())).collect())
    }

    #[test]
    fn moving_bytes_between_name_and_content_changes_the_digest() {
        let digests = [
            revision(&[("ab", "c")]),
            revision(&[("a", "bc")]),
            revision(&[("a", ""), ("bc", "")]),
            revision(&[("abc", "")]),
        ]
        .map(|revision| revision.digest());
        for (i, one) in digests.iter().enumerate() {
            assert!(digests[i + 1..].iter().all(|other| one != other));
        }
    }

    #[test]
    fn a_change_names_what_was_added_removed_and_rewritten() {
        let before = revision(&[("kept", "1"), ("removed", "2"), ("rewritten", "3")]);
        let after = revision(&[("added", "0"), ("kept", "1"), ("rewritten", "4")]);
        let changed = after.changed_since(&before);
        assert_eq!(changed, ["added", "removed", "rewritten"].map(PathBuf::from));
        assert!(after.changed_since(&after).is_empty());
    }

    #[test]
    fn a_link_counts_by_its_name_and_its_target() {
        let linked = |name: &str, target: &str| {
            let mut tree: Tree = [("a".into(), b"1".to_vec())].into();
            tree.link(name.into(), target.into());
            Revision::of(&tree)
        };
        let before = linked("modules", "/usr/lib/nginx/modules");
        assert_eq!(before, linked("modules", "/usr/lib/nginx/modules"));
        assert_eq!(before.changed_since(&linked("modules", "/opt/modules")), ["modules"].map(PathBuf::from));
        assert_ne!(before.digest(), linked("module", "s/usr/lib/nginx/modules").digest());
        assert_ne!(before.digest(), revision(&[("a", "1"), ("modules", "/usr/lib/nginx/modules")]).digest());
    }

    #[test]
    fn an_entry_without_content_counts_if_it_is_included() {
        let with = |entry: EntryWithoutContent, is_included: bool| {
            let mut tree: Tree = [("a".into(), b"1".to_vec())].into();
            tree.note("sites/b".into(), entry);
            if is_included {
                tree.include("sites/b".into());
            }
            tree
        };
        let (plain, link) =
            (with(EntryWithoutContent::DanglingLink, false), with(EntryWithoutContent::DanglingLink, true));
        let directory = with(EntryWithoutContent::Directory, true);
        assert_eq!(Revision::of(&plain), revision(&[("a", "1")]));
        assert_eq!(Revision::of(&link).changed_since(&Revision::of(&plain)), ["sites/b"].map(PathBuf::from));
        assert_ne!(Revision::of(&link).digest(), Revision::of(&directory).digest());
        assert!(plain != link && link != directory, "their values differ, too");
        let mut linked = link.clone();
        linked.link("sites/b".into(), "/lost".into());
        let revision = Revision::of(&linked);
        assert_eq!(revision.len(), 2, "a link that leads nowhere has one entry");
        assert_eq!(revision.file(Path::new("sites/b")), Revision::of(&link).file(Path::new("sites/b")));
        assert_eq!(*Arc::new(link).as_copied(), plain, "a copy does not have it");
    }

    #[test]
    fn a_digest_is_printed_as_hexadecimal() {
        // The value is that of `printf abc | sha256sum`.
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Digest::of(b"abc")));
        for wrong in ["", "ba78", &text.to_uppercase(), &text.replace('b', "g"), &format!("{text}00")] {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
    }
}
