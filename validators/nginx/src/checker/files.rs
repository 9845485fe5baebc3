//! Files that a configuration names: those that it includes, and those that nginx opens.

use reload_gate_contract::Absent;

use super::{Checker, DEPTH, Reading};
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::{glob, numbers};

/// Limit of included files, each time counted: it ends files that include each other ever more often. A small configuration has the first
/// number, and another include for every so many bytes of its files; no configuration has more than the last.
const INCLUDES: (usize, usize, usize) = (10_000, 4, 400_000);

/// Limit of included bytes, each time counted: those of a small configuration, those for each byte of its files, and the most of any.
const INCLUDED: (usize, usize, usize) = (8 << 20, 256, 512 << 20);

impl<'s> Checker<'s> {
    /// The directive `include`: `ngx_conf_include()`.
    pub(super) fn include(&mut self, directive: &Directive<'s>, reading: &mut Reading<'_, 's>) -> Checked {
        let pattern = self.sources.full_name(&String::from_utf8_lossy(numbers::c_string(directive.word(1))));
        if !glob::is_pattern(&pattern) {
            return self.include_file(directive, &pattern, reading);
        }
        match self.sources.matching(&pattern) {
            Ok(paths) => paths.iter().try_for_each(|path| self.include_file(directive, path, reading)),
            Err(Absent::Missing | Absent::Directory) => Ok(()),
            Err(Absent::Unknown) => {
                let message =
                    format!("it is not known which files \"{pattern}\" means, and what they say was not judged");
                Err(self.unseen(directive, reading, message, Absent::Unknown))
            }
        }
    }

    pub(super) fn include_file(
        &mut self,
        directive: &Directive<'s>,
        path: &str,
        reading: &mut Reading<'_, 's>,
    ) -> Checked {
        let file = match self.sources.at(path) {
            Ok(file) => file,
            Err(Absent::Directory) => {
                let message = format!("pread() \"{path}\" failed (21: Is a directory)");
                return directive.refuse(1, codes::INCLUDED_DIRECTORY, message);
            }
            Err(absent) => {
                let message = match reason(absent) {
                    Some(reason) => format!("open() \"{path}\" failed ({reason})"),
                    None => {
                        format!("\"{path}\" is not among the files that were given, and what it says was not judged")
                    }
                };
                return Err(self.unseen(directive, reading, message, absent));
            }
        };
        if self.reading.contains(&file) {
            return directive.refuse(1, codes::INCLUDE_CYCLE, format!("\"{path}\" includes itself"));
        }
        self.includes += 1;
        self.included += self.sources.file(file).tree.text().len();
        let bytes = self.sources.bytes();
        let includes = INCLUDES.2.min(INCLUDES.0 + bytes / INCLUDES.1);
        let included = INCLUDED.2.min(INCLUDED.0.saturating_add(bytes.saturating_mul(INCLUDED.1)));
        if self.includes > includes || self.included > included || self.reading.len() >= DEPTH {
            self.includes = includes;
            let message = "too many files are included, or too often, so that they were not all judged";
            let problem = Problem::environment(codes::INCLUDE_CYCLE, message, directive.spot(1));
            return Err(Box::new(problem.help("include each file once in a block")));
        }
        self.file(file, reading);
        Ok(())
    }

    /// Records that a file which could not be read may define something, and (outside of all blocks) load modules.
    pub(super) fn unseen(
        &mut self,
        directive: &Directive<'s>,
        reading: &Reading<'_, 's>,
        message: String,
        absent: Absent,
    ) -> Box<Problem> {
        let at_the_top = matches!(reading, Reading::Directives(block) if self.blocks[*block].context == Contexts::MAIN);
        // Such files load modules and define nothing else.
        self.incomplete |= !(at_the_top && loads_modules(directive.word(1)));
        if at_the_top {
            self.main.expect_any_module();
            self.forget_rows();
        }
        Box::new(Problem::absent(codes::MISSING_INCLUDE, message, directive.spot(1), absent))
    }

    pub(crate) fn include_here(&mut self, directive: &Directive<'s>, block: BlockId) -> Checked {
        self.include(directive, &mut Reading::Directives(block))
    }

    /// True if a path below the directory of the main file is known to be a directory.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        self.files.read(&crate::model::sources::normalize(&self.sources.full_name(path))) == Err(Absent::Directory)
    }

    /// Reports a file that nginx opens while it reads the configuration, if it is missing.
    pub(crate) fn needs_file(&mut self, directive: &Directive<'s>, at: usize, path: &str, what: &str) {
        let path = path.split('\0').next().unwrap_or_default();
        let full = crate::model::sources::normalize(&self.sources.full_name(path));
        if let Err(absent) = self.files.read(&full) {
            let message = match reason(absent) {
                Some(reason) => format!("cannot load {what} \"{full}\" ({reason})"),
                None => format!("the {what} \"{full}\" is not among the files that were given"),
            };
            let code = if what == "file" { codes::MISSING_FILE } else { codes::MISSING_CERTIFICATE };
            self.report(Problem::absent(code, message, directive.spot(at), absent));
        }
    }
}

/// True for the patterns by which distributions load the modules of their packages: `modules-enabled/*.conf` of Debian,
/// `/usr/share/nginx/modules/*.conf` of Fedora, `/etc/nginx/modules/*.conf` of Alpine.
fn loads_modules(pattern: &[u8]) -> bool {
    [&b"modules-enabled/*.conf"[..], b"modules/*.conf"].iter().any(|known| pattern.ends_with(known))
}

/// The system's words for a file that cannot be opened; `None` where nginx may well open it.
pub(super) fn reason(absent: Absent) -> Option<&'static str> {
    match absent {
        Absent::Missing => Some("2: No such file or directory"),
        Absent::Unknown => None,
        Absent::Directory => Some("21: Is a directory"),
    }
}
