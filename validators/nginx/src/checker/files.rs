//! Files that a configuration speaks of: those it includes, and those that nginx opens.

use reload_gate_contract::Absent;

use super::{Checker, DEPTH, Reading};
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::{Outcome, Problem};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::glob;

/// How many files may be included, each time counted: an end to files that include each other ever more often.
const INCLUDES: usize = 50_000;

/// How many bytes may be included, each time counted.
const INCLUDED: usize = 512 << 20;

impl<'s> Checker<'s> {
    /// The directive `include`: `ngx_conf_include()`.
    pub(super) fn include(&mut self, directive: &Directive<'s>, reading: &mut Reading<'_, 's>) -> Outcome {
        let pattern = self.sources.full_name(&directive.text(1));
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
    ) -> Outcome {
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
        if self.includes > INCLUDES || self.included > INCLUDED || self.reading.len() >= DEPTH {
            self.includes = INCLUDES;
            return directive.refuse(1, codes::INCLUDE_CYCLE, "too many files are included, or too often");
        }
        self.file(file, reading);
        Ok(())
    }

    /// Takes note that something may be defined, and (outside of all blocks) modules loaded, where nobody could look.
    pub(super) fn unseen(
        &mut self,
        directive: &Directive<'s>,
        reading: &Reading<'_, 's>,
        message: String,
        absent: Absent,
    ) -> Box<Problem> {
        self.incomplete = true;
        if matches!(reading, Reading::Directives(block) if self.blocks[*block].context == Contexts::MAIN) {
            self.main.expect_any_module();
            self.forget_rows();
        }
        Box::new(Problem::absent(codes::MISSING_INCLUDE, message, directive.spot(1), absent))
    }

    pub(crate) fn include_here(&mut self, directive: &Directive<'s>, block: BlockId) -> Outcome {
        self.include(directive, &mut Reading::Directives(block))
    }

    /// Whether a path below the directory of the main file is known to be a directory.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        self.files.read(&crate::model::sources::normalize(&self.sources.full_name(path))) == Err(Absent::Directory)
    }

    /// Looks whether a file that nginx opens while it reads the configuration is there.
    pub(crate) fn needs_file(&mut self, directive: &Directive<'s>, at: usize, path: &str, what: &str) {
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

pub(super) fn reason(absent: Absent) -> Option<&'static str> {
    match absent {
        Absent::Missing => Some("2: No such file or directory"),
        Absent::Unknown => None,
        Absent::Directory => Some("21: Is a directory"),
    }
}
