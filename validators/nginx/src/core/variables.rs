//! Variables of http and stream that the configuration uses (`src/http/ngx_http_variables.c`).

use crate::checker::Checker;
use crate::directives;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::variables::Variables;

/// The variables which the modules of this build bring along.
pub(crate) fn built_in<'s>(checker: &Checker<'s>, family: &'static str) -> Variables<'s> {
    let version = checker.options.version;
    // A module without directives is part of any build that has its protocol.
    let lacking = directives::modules().filter(|module| !checker.main.has_module(module)).map(|module| module.name);
    Variables::of(family, version, lacking.collect())
}

/// Builds the hash of all variables, whose names must fit its buckets: `ngx_http_variables_init_vars()`.
pub(crate) fn variables_hash(checker: &mut Checker<'_>, block: BlockId, end: SourceSpan) -> Checked {
    let sizes = checker.hash_sizes(block, "variables_hash");
    let longest = checker.variables(block).longest().map(<[u8]>::to_vec);
    checker.check_hash(&sizes, &longest.iter().map(Vec::as_slice).collect::<Vec<_>>(), end)
}

/// The first variable that is used but not defined; any other is reported besides.
pub(crate) fn unknown_variables(checker: &mut Checker<'_>, block: BlockId) -> Checked {
    if checker.incomplete || checker.main.foreign_module {
        return Ok(());
    }
    /// Limit of the variables that are compared with all others.
    const COMPARED: usize = 20;
    let variables = checker.variables(block);
    let unknown = variables.unknown().into_iter().enumerate().map(|(at, (name, spot))| {
        let near = if at < COMPARED { variables.nearest(name) } else { None };
        (near, String::from_utf8_lossy(name).into_owned(), spot)
    });
    let unknown: Vec<_> = unknown.collect();
    for (near, name, spot) in unknown {
        let message = format!("unknown \"{name}\" variable");
        let problem = Problem::error(codes::UNKNOWN_VARIABLE, message, spot);
        checker.report(match near {
            Some(near) => problem.help(format!("did you mean `${near}`?")),
            None => problem,
        });
    }
    Ok(())
}
