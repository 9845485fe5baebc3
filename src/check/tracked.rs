//! Files that git tracks. IO: reads the index of a repository.
//!
//! Git goes on to track a file that a `.gitignore` matches later. A pull request could thus hide a file from a check that obeys `.gitignore`, and
//! deploy it all the same. The format of the index is that of git's Documentation/gitformat-index.adoc.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::sys::bounded;
use crate::sys::regular::RegularFile;

/// Largest index in bytes: one of a million files has about a hundred bytes for each.
const LARGEST: u64 = 256 << 20;

/// Bytes of an entry before its object name: times, device, inode, mode, owner and size.
const STAT: usize = 40;

/// Returns the paths that git tracks in the repository at `root`; `None` if there is no index, or one of another form.
pub(super) fn tracked(root: &Path) -> Option<BTreeSet<PathBuf>> {
    let index = RegularFile::open(&git_directory(root)?.join("index")).ok()??;
    let bytes = index.beginning(LARGEST).ok()?;
    // The length of object names is in the configuration, which has no other trace in the index.
    [20, 32].into_iter().find_map(|length| names(&bytes, length))
}

/// Returns the directory of git: beside the files, or where the file `.git` of a worktree or a submodule says.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let beside = root.join(".git");
    if beside.is_dir() {
        return Some(beside);
    }
    let text = bounded::read_to_string(&beside).ok()?;
    Some(root.join(text.strip_prefix("gitdir:")?.trim()))
}

/// Returns the directory of what the worktrees of a repository share (`commondir` in gitrepository-layout(5)).
pub(super) fn common_directory(root: &Path) -> Option<PathBuf> {
    let directory = git_directory(root)?;
    let common = bounded::read_to_string(&directory.join("commondir")).ok();
    Some(common.map_or_else(|| directory.clone(), |common| directory.join(common.trim())))
}

/// Returns the names in an index whose object names have this length.
fn names(bytes: &[u8], length: usize) -> Option<BTreeSet<PathBuf>> {
    let (header, mut rest) = bytes.split_at_checked(12)?;
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_be_bytes);
    let (version, count) = (number(&header[4..8])?, number(&header[8..])?);
    if &header[..4] != b"DIRC" || !(2..=4).contains(&version) {
        return None;
    }
    let (mut names, mut before) = (BTreeSet::new(), Vec::new());
    for _ in 0..count {
        let entry = rest;
        let flags = entry.get(STAT + length..STAT + length + 2)?;
        let is_extended = flags[0] & 0x40 != 0;
        let fixed = STAT + length + if is_extended { 4 } else { 2 };
        let mut name = entry.get(fixed..)?;
        if version == 4 {
            let (removed, taken) = offset(name)?;
            before.truncate(before.len().checked_sub(removed)?);
            name = &name[taken..];
        } else {
            before.clear();
        }
        let end = name.iter().position(|byte| *byte == 0)?;
        before.extend_from_slice(&name[..end]);
        let used = entry.len() - name.len() + end;
        // Up to version 3 one to eight zero bytes make the length of an entry a multiple of eight.
        rest = entry.get(if version == 4 { used + 1 } else { (used + 8) & !7 }..)?;
        names.insert(PathBuf::from(OsStr::from_bytes(&before)));
    }
    // Behind the entries are extensions, and a checksum as long as an object name.
    while rest.len() > length {
        let size = usize::try_from(number(rest.get(4..8)?)?).ok()?;
        // The other names are in another file (gitformat-index, "Split index").
        if &rest[..4] == b"link" {
            return None;
        }
        rest = rest.get(8usize.checked_add(size)?..)?;
    }
    (rest.len() == length).then_some(names)
}

/// Returns a number of variable length and the number of its bytes (`decode_varint()` in git's varint.c).
fn offset(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = usize::from(bytes.first()? & 127);
    let mut at = 0;
    while bytes.get(at)? & 128 != 0 {
        at += 1;
        value = (value.checked_add(1)?.checked_mul(128)?).checked_add(usize::from(bytes.get(at)? & 127))?;
    }
    Some((value, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index of such a version, with object names of this length.
    fn index(version: u32, length: usize, names: &[&str]) -> Vec<u8> {
        let count = u32::try_from(names.len()).expect("it is small");
        let mut bytes = [&b"DIRC"[..], &version.to_be_bytes(), &count.to_be_bytes()].concat();
        let mut before = "";
        for name in names {
            let begin = bytes.len();
            bytes.extend(vec![1; STAT + length]);
            bytes.extend(if version == 3 { &[0x40, 0, 0, 0][..] } else { &[0, 0] });
            if version == 4 {
                let common = before.bytes().zip(name.bytes()).take_while(|(one, other)| one == other).count();
                bytes.push(u8::try_from(before.len() - common).expect("it is short"));
                bytes.extend(name[common..].bytes().chain([0]));
            } else {
                bytes.extend(name.bytes());
                let padding = 8 - (bytes.len() - begin) % 8;
                bytes.extend(vec![0; padding]);
            }
            before = name;
        }
        bytes.extend(b"TREE\0\0\0\x04abcd");
        bytes.extend(vec![7; length]);
        bytes
    }

    #[test]
    fn the_names_of_an_index_are_read_in_each_version() {
        let files = ["a", "conf/nginx.conf", "conf/nginx.conf.d/a.conf", "conf/other-with-a-longer-name"];
        for version in 2..=4 {
            for length in [20, 32] {
                let bytes = index(version, length, &files);
                let found = [20, 32].into_iter().find_map(|length| names(&bytes, length)).expect("it is an index");
                assert_eq!(found, files.map(PathBuf::from).into(), "version {version}, {length}");
            }
        }
        assert_eq!(names(&index(5, 20, &files), 20), None);
        let bytes = index(2, 20, &files);
        for end in 0..bytes.len() {
            let _ = names(&bytes[..end], 20);
        }
    }

    #[test]
    fn numbers_of_variable_length_are_those_of_git() {
        assert_eq!(offset(&[5]), Some((5, 1)));
        assert_eq!(offset(&[0x80, 0]), Some((128, 2)));
        assert_eq!(offset(&[0x81, 0x7f]), Some((383, 2)));
        assert_eq!(offset(&[0x80]), None);
    }
}
