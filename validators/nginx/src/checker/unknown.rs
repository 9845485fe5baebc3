//! Directives that nginx does not know here, and what may have been meant.

use reload_gate_contract::Absent;

use super::{Checker, Rows};
use crate::directives::{self, Contexts, Presence};
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem};
use crate::model::directive::Directive;
use crate::values::nearest::nearest;
use crate::values::numbers;

impl<'s> Checker<'s> {
    pub(super) fn unknown(&mut self, directive: &Directive<'s>, rows: &Rows, context: Contexts) -> Checked {
        // nginx writes it as a C string.
        let name = String::from_utf8_lossy(numbers::c_string(directive.word(0)));
        if self.options.allowed_directives.iter().any(|allowed| **allowed == *name) {
            return Ok(());
        }
        if let Some(row) = rows.first() {
            let allowed = rows.iter().fold(row.entry.contexts, |all, row| all | row.entry.contexts);
            let problem =
                directive.problem(0, codes::NOT_ALLOWED_HERE, format!("\"{name}\" directive is not allowed here"));
            return Err(Box::new(problem.help(format!("move it to one of: {allowed}"))));
        }
        // Any directive of an unknown module is unlike those of the others, so that a misspelt one is still found.
        let help = if self.is_full() { None } else { self.suggestion(&name, context) };
        let is_known = directives::history(&name).next().is_some() || help.is_some();
        if self.main.unknown_module && !is_known {
            self.incomplete = true;
            if !self.unknown.insert(directive.word(0)) {
                return Ok(());
            }
            let message = format!("unknown directive \"{name}\", which an unknown module may know");
            let problem = Problem::absent(codes::UNKNOWN_MODULE, message, directive.spot(0), Absent::Unknown);
            return Err(Box::new(problem.help("allow the directive by name if a module of yours has it")));
        }
        self.incomplete |= directive.is_block();
        if let Some(module) = self.absent_module(&name)
            && !self.absent.insert(module)
        {
            // One finding for each module will do.
            self.errors += 1;
            return Ok(());
        }
        let problem = directive.problem(0, codes::UNKNOWN_DIRECTIVE, format!("unknown directive \"{name}\""));
        Err(match help {
            Some(help) => Box::new(problem.help(help)),
            None => problem,
        })
    }

    /// The module of a directive that this build does not have, or that is not loaded.
    fn absent_module(&self, name: &str) -> Option<&'static str> {
        directives::lookup_in(name, self.options.version, self.options.build).next().map(|row| row.module.name)
    }

    /// A remedy for an unknown directive.
    pub(super) fn suggestion(&self, name: &str, context: Contexts) -> Option<String> {
        let version = self.options.version;
        let build = self.options.build;
        if let Some(row) = directives::lookup_in(name, version, build).next() {
            return Some(match row.module.presence(build) {
                Presence::Dynamic(object) => {
                    format!("load its module before `events`: `load_module modules/{object}.so;`")
                }
                _ if row.module.is_of_plus() => {
                    "use NGINX Plus, or remove it: it is a directive of NGINX Plus".to_owned()
                }
                _ => format!("use a build of nginx with {}, or remove it: this one does not have it", row.module.name),
            });
        }
        if let Some(row) = directives::history(name).next() {
            let since = row.since();
            return Some(match directives::history(name).filter_map(directives::Definition::until).max() {
                _ if since > version => format!("it came with nginx {since}; this is judged as {version}"),
                Some(until) => format!("it was removed in nginx {until}; this is judged as {version}"),
                None => format!("nginx {version} does not have it"),
            });
        }
        let is_possible = |row: &directives::Definition| {
            row.contexts.intersects(context) && row.module.presence(build) != Presence::Absent
        };
        let fits = |name: &str| directives::lookup_in(name, version, build).any(is_possible);
        let best = nearest(name, directives::every_name(), fits)?;
        Some(format!("did you mean `{best}`?"))
    }
}
