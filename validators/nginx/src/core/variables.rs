//! Variables of http and stream that the configuration uses (`src/http/ngx_http_variables.c`).

use crate::checker::Checker;
use crate::directives;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::variables::Variables;
use crate::values::numbers;

/// The variables which the modules of this build bring along.
pub(crate) fn built_in(checker: &Checker<'_>, family: &str) -> Variables {
    let version = checker.options.version;
    // A module without directives is part of any build that has its protocol.
    let lacks =
        |name: &str| directives::modules().any(|module| module.name == name && !checker.main.has_module(module));
    Variables::of(family, version, |module| !lacks(module))
}

/// Variables are kept in a hash of at most this size: `ngx_hash_init()`.
pub(crate) fn variables_hash(checker: &Checker<'_>, block: BlockId, end: SourceSpan) -> Checked {
    let size = checker.effective(block, "variables_hash_max_size").and_then(|set| numbers::number(set.word(1)));
    if size != Some(0) {
        return Ok(());
    }
    let message = "could not build variables_hash, you should increase variables_hash_max_size: 0";
    Err(Box::new(Problem::error(codes::HASH_BUCKET_SIZE, message, end)))
}

/// The first variable that is used but not defined; any other is reported besides.
pub(crate) fn unknown_variables(checker: &mut Checker<'_>, block: BlockId) -> Checked {
    if checker.incomplete || checker.main.foreign_module {
        return Ok(());
    }
    /// Limits of reported variables, and of those that are compared with all others.
    const REPORTED: usize = 100;
    const COMPARED: usize = 20;
    let variables = checker.variables(block);
    let unknown = variables.unknown().take(REPORTED).enumerate().map(|(at, (name, spot))| {
        let near = if at < COMPARED { variables.nearest(name) } else { None };
        (near, name.clone(), *spot)
    });
    let unknown: Vec<_> = unknown.collect();
    for (near, name, spot) in unknown {
        let message = format!("unknown \"{}\" variable", String::from_utf8_lossy(&name));
        let problem = Problem::error(codes::UNKNOWN_VARIABLE, message, spot);
        checker.report(match near {
            Some(near) => problem.help(format!("did you mean `${near}`?")),
            None => problem,
        });
    }
    Ok(())
}
