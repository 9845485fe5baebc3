//! A ConfigMap volume, changed exactly as a kubelet does it (`pkg/volume/util/atomic_writer.go` in kubernetes).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// When the links of new keys are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kubelet {
    /// Before the swap.
    Old,
    /// After it.
    New,
}

/// A directory that only a kubelet writes.
pub(crate) struct Volume {
    path: PathBuf,
    kubelet: Kubelet,
    generation: u32,
}

impl Volume {
    /// A volume in `path` with these files; a name may have directories in it.
    pub(crate) fn new(path: impl Into<PathBuf>, kubelet: Kubelet, files: &[(&str, &str)]) -> Self {
        let path = path.into();
        fs::create_dir_all(&path).expect("the directory can be made");
        let mut volume = Self { path, kubelet, generation: 0 };
        volume.write(files);
        volume
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Replaces the whole content, step by step in the order of the kubelet.
    pub(crate) fn write(&mut self, files: &[(&str, &str)]) {
        let files: BTreeMap<_, _> = files.iter().copied().collect();
        let old = fs::read_link(self.path.join("..data")).ok();
        let new = self.stage(&files);
        symlink(&new, self.path.join("..data_tmp")).expect("the link can be made");
        if self.kubelet == Kubelet::Old {
            self.link(&files);
        }
        fs::rename(self.path.join("..data_tmp"), self.path.join("..data")).expect("the link can be swapped");
        if self.kubelet == Kubelet::New {
            self.link(&files);
        }
        self.unlink_all_but(&files);
        if let Some(old) = old {
            fs::remove_dir_all(self.path.join(old)).expect("the old directory can be removed");
        }
    }

    /// A new timestamped directory.
    fn stage(&mut self, files: &BTreeMap<&str, &str>) -> String {
        self.generation += 1;
        let name = format!("..2026_11_23_03_52_40.{:010}", self.generation);
        let directory = self.path.join(&name);
        fs::create_dir(&directory).expect("the directory can be made");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
        for (file, content) in files {
            let file = directory.join(file);
            fs::create_dir_all(file.parent().expect("it has one")).expect("the directory can be made");
            fs::write(&file, content).expect("the file can be written");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("the mode can be set");
        }
        name
    }

    fn link(&self, files: &BTreeMap<&str, &str>) {
        for name in top_names(files) {
            let link = self.path.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link).expect("the link can be made");
            }
        }
    }

    fn unlink_all_but(&self, files: &BTreeMap<&str, &str>) {
        for entry in fs::read_dir(&self.path).expect("it can be read") {
            let name = entry.expect("it can be read").file_name().into_string().expect("it is UTF-8");
            let path = self.path.join(&name);
            // A kubelet removes its own links alone. An application may write beside them: Python its `__pycache__`.
            if path.is_symlink() && !name.starts_with("..") && !top_names(files).any(|kept| kept == name) {
                fs::remove_file(path).expect("the link can be removed");
            }
        }
    }
}

fn top_names<'a>(files: &BTreeMap<&'a str, &str>) -> impl Iterator<Item = &'a str> {
    files.keys().map(|name| name.split('/').next().unwrap_or(name))
}

#[test]
fn a_volume_keeps_what_an_application_writes_beside_its_links() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut volume = Volume::new(directory.path(), Kubelet::New, &[("app.py", "one"), ("old.py", "one")]);
    fs::create_dir(volume.file("__pycache__")).expect("there is room");
    fs::write(volume.file("__pycache__/app.pyc"), "compiled").expect("there is room");
    volume.write(&[("app.py", "two")]);
    assert_eq!(fs::read_to_string(volume.file("app.py")).expect("it is there"), "two");
    assert!(!volume.file("old.py").is_symlink(), "the link of a key that is gone stays");
    assert!(volume.file("__pycache__/app.pyc").is_file(), "what the application wrote is gone");
}
