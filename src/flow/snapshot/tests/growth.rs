//! The memory for many small files is counted, not measured: the bytes of each of them, with its content and its name.

use super::*;

/// Number of files, far above those of a volume.
const FILES: usize = 4000;

/// Most bytes while the files are read. Of each file the entry of its directory has 42 bytes, the tree 110 and what tells that it is whole
/// 125.
const READ: u64 = 330;

/// Most bytes afterwards: 75 of the tree, and 66 of the revision, which stays.
const KEPT: u64 = 150;

#[test]
fn a_small_file_takes_few_bytes() {
    let directory = tempfile::tempdir().expect("there is room");
    for number in 0..FILES {
        write(directory.path(), &format!("part-{number:04}.conf"), "listen 8080;");
    }
    let mut scanner = Scanner::new(vec![source(directory.path())], ReadOptions::default());
    let mut snapshots = Vec::new();
    for scan in ["the first scan", "the second scan"] {
        let counted = allocation_counter::measure(|| snapshots.push(snapshot(scanner.scan())));
        let in_memory = snapshots.iter().all(|snapshot| !snapshot.in_memory.is_empty());
        // A file in memory may be of a Secret, so its name is noted once more.
        let more = if in_memory { 60 } else { 0 };
        let each = |bytes: u64| bytes / u64::try_from(FILES).expect("it is small");
        let (read, kept) = (each(counted.bytes_max), each(counted.bytes_current.cast_unsigned()));
        assert!(read <= READ + more, "{scan} takes {read} bytes");
        assert!(kept <= KEPT + more, "{scan} leaves {kept} bytes");
    }
}
