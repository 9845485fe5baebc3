//! `proxy_pass`, `fastcgi_pass` and the other directives that hand requests on, and those which rewrite the answers
//! (`src/http/modules/ngx_http_proxy_module.c` and its siblings).

use crate::checker::Checker;
use crate::checker::script;
use crate::directives::Version;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::upstream;
use crate::values::url::{self, Rules};

const NO_RESOLVE: Rules = Rules { listen: false, ranges: false, uri_part: false, no_resolve: true, default_port: 0 };

/// The rest of a text after a scheme, in any case; `None` if it begins otherwise.
fn after_scheme<'t>(text: &'t [u8], scheme: &str) -> Option<&'t [u8]> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
}

pub(crate) fn proxy_pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if checker.compile(directive, 1, block)? {
        return Ok(());
    }
    let given = directive.word(1);
    let http = after_scheme(given, "http://").map(|rest| (rest, 80));
    let Some((rest, default_port)) = http.or_else(|| after_scheme(given, "https://").map(|rest| (rest, 443))) else {
        let problem = directive.problem(1, codes::INVALID_URL_PREFIX, "invalid URL prefix");
        return Err(Box::new(problem.help("it begins with `http://` or `https://`")));
    };
    let rules = Rules { uri_part: true, no_resolve: true, default_port, ..Rules::default() };
    let url = upstream::refer(checker, directive, 1, rest, rules, block)?;
    if !url.uri.is_empty() && checker.blocks.location(block).has_no_prefix() {
        let message = "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named \
                       location, or inside \"if\" statement, or inside \"limit_except\" block";
        let problem = directive.problem(1, codes::URI_PART_NOT_ALLOWED, message);
        return Err(Box::new(problem.help("leave out everything after the host and port, even a `/`")));
    }
    Ok(())
}

/// `tunnel_pass`: a host alone, or the one that the request names.
pub(crate) fn tunnel_pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if directive.count() == 1 && !checker.compile(directive, 1, block)? {
        upstream::refer(checker, directive, 1, directive.word(1), NO_RESOLVE, block)?;
    }
    Ok(())
}

/// `fastcgi_pass`, `scgi_pass` and `memcached_pass`: a host alone.
pub(crate) fn host_pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    scheme_pass(checker, directive, block, &[])
}

pub(crate) fn memcached_pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    upstream::refer(checker, directive, 1, directive.word(1), NO_RESOLVE, block)?;
    checker.use_variable(directive, 1, &b"memcached_key"[..], block)
}

pub(crate) fn uwsgi_pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    scheme_pass(checker, directive, block, &["uwsgi://", "suwsgi://"])
}

pub(crate) fn grpc_pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    scheme_pass(checker, directive, block, &["grpc://", "grpcs://"])
}

fn scheme_pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId, schemes: &[&str]) -> Checked {
    checker.once(directive, block)?;
    if checker.compile(directive, 1, block)? {
        return Ok(());
    }
    let given = directive.word(1);
    let host = schemes.iter().find_map(|scheme| after_scheme(given, scheme)).unwrap_or(given);
    upstream::refer(checker, directive, 1, host, NO_RESOLVE, block)?;
    Ok(())
}

pub(crate) fn bind<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if directive.count() == 1 && directive.word(1) == b"off" {
        return Ok(());
    }
    if !checker.compile(directive, 1, block)? && !url::address_port(directive.word(1)) {
        let message = format!("invalid address \"{}\"", directive.text(1));
        return directive.refuse(1, codes::INVALID_ADDRESS, message);
    }
    if directive.count() > 1 && directive.word(2) != b"transparent" {
        let message = format!("invalid parameter \"{}\"", directive.text(2));
        return directive.refuse(2, codes::INVALID_PARAMETER, message);
    }
    Ok(())
}

pub(crate) fn redirect<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let off = |line: &Directive<'_>| line.count() == 1 && line.word(1) == b"off";
    let earlier = checker.blocks.lines(block, "proxy_redirect").next();
    if earlier.is_some_and(|first| off(&first) || off(directive)) {
        return directive.refuse_directive(0, codes::DUPLICATE_DIRECTIVE, "is duplicate");
    }
    checker.blocks.add(block, directive);
    if directive.count() == 1 {
        return match directive.word(1) {
            b"off" => Ok(()),
            b"default" => default_redirect(checker, directive, block),
            // An error to nginx until then, but one that it went on after.
            b"false" if checker.options.version < Version::new(1, 19, 0) => Ok(()),
            _ => directive.refuse(1, codes::INVALID_PARAMETER, format!("invalid parameter \"{}\"", directive.text(1))),
        };
    }
    match directive.word(1) {
        [b'~', b'*', pattern @ ..] => drop(checker.regex(directive, 1, pattern, true, block)?),
        [b'~', pattern @ ..] => drop(checker.regex(directive, 1, pattern, false, block)?),
        _ => drop(checker.compile(directive, 1, block)?),
    }
    checker.compile(directive, 2, block)?;
    Ok(())
}

fn default_redirect(checker: &Checker<'_>, directive: &Directive<'_>, block: BlockId) -> Checked {
    match checker.blocks.get(block, "proxy_pass") {
        None => {
            let message = "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive";
            directive.refuse(0, codes::MISPLACED_DIRECTIVE, message)
        }
        Some(pass) if script::variables(pass.word(1)) > 0 => {
            let message = "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables";
            directive.refuse(0, codes::INCOMPATIBLE_DIRECTIVES, message)
        }
        Some(_) => Ok(()),
    }
}

/// `proxy_cookie_domain`, `proxy_cookie_path` and `proxy_cookie_flags`.
pub(crate) fn cookies<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let off = |line: &Directive<'_>| line.count() == 1 && line.word(1) == b"off";
    let earlier = checker.blocks.lines(block, directive.known()).next();
    if earlier.is_some_and(|first| off(&first) || off(directive)) {
        return directive.refuse_directive(0, codes::DUPLICATE_DIRECTIVE, "is duplicate");
    }
    if directive.count() == 1 && !off(directive) {
        let message = format!("invalid parameter \"{}\"", directive.text(1));
        return directive.refuse(1, codes::INVALID_PARAMETER, message);
    }
    checker.blocks.add(block, directive);
    if off(directive) {
        return Ok(());
    }
    let paths = directive.known() == "proxy_cookie_path";
    match directive.word(1) {
        [b'~', b'*', pattern @ ..] if paths => drop(checker.regex(directive, 1, pattern, true, block)?),
        [b'~', pattern @ ..] => drop(checker.regex(directive, 1, pattern, !paths, block)?),
        _ => drop(checker.compile(directive, 1, block)?),
    }
    for at in 2..=directive.count() {
        // What flags there are nginx sees when it rewrites a cookie, not when it reads the configuration.
        checker.compile(directive, at, block)?;
    }
    Ok(())
}

pub(crate) fn param<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.blocks.add(block, directive);
    if directive.count() == 3 && directive.word(3) != b"if_not_empty" {
        let message = format!("invalid parameter \"{}\"", directive.text(3));
        return directive.refuse(3, codes::INVALID_PARAMETER, message);
    }
    Ok(())
}

pub(crate) fn split_path_info<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    let regex = checker.plain_regex(directive, 1, directive.word(1), false)?;
    if regex.captures != 2 {
        let message = format!("pattern \"{}\" must have 2 captures", directive.text(1));
        return directive.refuse(1, codes::INVALID_REGEX, message);
    }
    Ok(())
}
