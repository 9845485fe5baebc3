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
        if self.main.unknown_module {
            self.incomplete = true;
            let message = format!("unknown directive \"{name}\", which an unknown module may know");
            let problem = Problem::absent(codes::UNKNOWN_MODULE, message, directive.spot(0), Absent::Unknown);
            return Err(Box::new(problem));
        }
        self.incomplete |= directive.is_block();
        let problem = directive.problem(0, codes::UNKNOWN_DIRECTIVE, format!("unknown directive \"{name}\""));
        Err(match self.suggestion(&name, context) {
            Some(help) => Box::new(problem.help(help)),
            None => problem,
        })
    }

    /// A remedy for an unknown directive.
    pub(super) fn suggestion(&self, name: &str, context: Contexts) -> Option<String> {
        let version = self.options.version;
        if let Some(row) = directives::lookup(name, version).next() {
            return Some(match row.module.presence(self.options.build) {
                Presence::Dynamic(object) => format!("it needs `load_module modules/{object}.so;`"),
                _ => format!("it belongs to {}, which this build of nginx does not have", row.module.name),
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
        let fits = |name: &str| directives::lookup(name, version).any(|row| row.contexts.intersects(context));
        let best = nearest(name, directives::every_name(), fits)?;
        Some(format!("did you mean `{best}`?"))
    }
}
