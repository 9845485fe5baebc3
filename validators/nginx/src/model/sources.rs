//! All the files of a configuration, read and parsed once, before anything is judged.

use std::collections::HashMap;

use reload_gate_contract::{Absent, Files};

use crate::Options;
use crate::syntax::parser;
use crate::syntax::tree::SyntaxTree;
use crate::values::{glob, numbers};

/// A file of the configuration.
#[derive(Debug)]
pub(crate) struct SourceFile<'f> {
    pub(crate) path: String,
    pub(crate) tree: SyntaxTree<'f>,
}

/// The files which a configuration is made of.
pub(crate) struct Sources<'f> {
    files: Vec<SourceFile<'f>>,
    /// Bytes of all files.
    bytes: usize,
    by_path: HashMap<String, Result<usize, Absent>>,
    by_pattern: HashMap<String, Result<Vec<String>, Absent>>,
    directory: String,
    prefix: String,
    global: Option<usize>,
    /// The snippet that is judged, in a file that only has the blocks around it.
    snippet: Option<String>,
}

impl<'f> Sources<'f> {
    /// Reads the file `main`, the directives before it, and every file that an `include` may mean.
    pub(crate) fn load(main: &str, options: &Options, files: &'f dyn Files) -> Self {
        let own = main.rsplit_once('/').map_or("", |(directory, _)| directory);
        let is_snippet = !options.context.is_empty();
        let directory = if is_snippet { directory_of_main(own, options.prefix.as_deref()) } else { own }.to_owned();
        let prefix = options.prefix.as_deref().map_or(&*directory, |prefix| prefix.trim_end_matches('/')).to_owned();
        let mut sources = Self {
            files: vec![],
            bytes: 0,
            by_path: HashMap::new(),
            by_pattern: HashMap::new(),
            directory,
            prefix,
            global: None,
            snippet: is_snippet.then(|| main.to_owned()),
        };
        if is_snippet {
            let tree = parser::parse(options.context.around(main).into_bytes());
            sources.files.push(SourceFile { path: main.to_owned(), tree });
        } else {
            sources.read(&normalize(main), files);
        }
        if !options.global.is_empty() {
            sources.global = Some(sources.files.len());
            let tree = parser::parse(options.global.clone().into_bytes());
            sources.files.push(SourceFile { path: "command line".to_owned(), tree });
        }
        let mut next = 0;
        while next < sources.files.len() {
            for pattern in included(&sources.files[next].tree) {
                let pattern = sources.full_name(&pattern);
                sources.include(&pattern, files);
            }
            next += 1;
        }
        sources
    }

    pub(crate) fn file(&self, at: usize) -> &SourceFile<'f> {
        &self.files[at]
    }

    /// The bytes of all files, each counted once.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The directives that come before the main file, if there are any.
    pub(crate) fn global(&self) -> Option<usize> {
        self.global
    }

    /// The file to begin with.
    pub(crate) fn first(&self, main: &str) -> Result<usize, Absent> {
        if self.snippet.is_none() {
            return self.at(main);
        }
        // A pattern may match nothing.
        if glob::is_pattern(main) { Ok(0) } else { self.at(main).map(|_| 0) }
    }

    /// True for the file that only has the blocks around a snippet.
    pub(crate) fn is_surrounding(&self, file: usize) -> bool {
        self.snippet.is_some() && file == 0
    }

    /// The file at a path.
    pub(crate) fn at(&self, path: &str) -> Result<usize, Absent> {
        let path = normalize(path);
        if path.is_empty() {
            return Err(Absent::Directory);
        }
        self.by_path.get(&path).copied().unwrap_or(Err(Absent::Unknown))
    }

    /// The paths which match a pattern, in nginx's order.
    pub(crate) fn matching(&self, pattern: &str) -> Result<&[String], Absent> {
        match self.by_pattern.get(pattern) {
            Some(Ok(paths)) => Ok(paths),
            Some(Err(absent)) => Err(*absent),
            None => Err(Absent::Unknown),
        }
    }

    /// A path as nginx completes it with the directory of the main file: `ngx_conf_full_name()`.
    pub(crate) fn full_name(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.directory) }
    }

    /// A path as nginx completes it with its prefix, unless it is that of a part of the configuration.
    pub(crate) fn prefixed(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    fn include(&mut self, pattern: &str, files: &'f dyn Files) {
        if !glob::is_pattern(pattern) {
            self.read(&normalize(pattern), files);
        } else if !self.by_pattern.contains_key(pattern) {
            let paths = glob::matching(&normalize(pattern), files);
            for path in paths.iter().flatten() {
                self.read(path, files);
            }
            self.by_pattern.insert(pattern.to_owned(), paths);
        }
    }

    fn read(&mut self, path: &str, files: &'f dyn Files) {
        if self.by_path.contains_key(path) {
            return;
        }
        let read = files.read(path).map(|text| {
            self.bytes += text.len();
            self.files.push(SourceFile { path: path.to_owned(), tree: parser::parse(text) });
            self.files.len() - 1
        });
        self.by_path.insert(path.to_owned(), read);
    }
}

/// The directory of the main file that includes a snippet.
fn directory_of_main<'p>(own: &'p str, prefix: Option<&'p str>) -> &'p str {
    /// Directories of snippets below that of the main file, in the packages of nginx.org and of distributions.
    const BELOW: [&str; 8] = [
        "conf.d",
        "default.d",
        "http.d",
        "modules-enabled",
        "sites-available",
        "sites-enabled",
        "snippets",
        "stream.d",
    ];
    if let Some(prefix) = prefix {
        return prefix.trim_end_matches('/');
    }
    own.rsplit_once('/').filter(|(_, name)| BELOW.contains(name)).map_or(own, |(above, _)| above)
}

/// Patterns of all `include` directives of a file, in any block.
fn included(tree: &SyntaxTree<'_>) -> Vec<String> {
    let nodes = (0..tree.nodes().len()).filter(|node| tree.count(*node) > 1);
    let includes = nodes.filter_map(|node| {
        let path = tree.word(node, 0).filter(|name| name.value == b"include").and_then(|_| tree.word(node, 1))?;
        // nginx opens a C string.
        Some(String::from_utf8_lossy(numbers::c_string(path.value)).into_owned())
    });
    includes.collect()
}

/// The path without `.`, `..` and doubled slashes. (The implementation of [`Files`] follows symbolic links.)
pub(crate) fn normalize(path: &str) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().fold(String::new(), |path, part| path + "/" + part)
}
