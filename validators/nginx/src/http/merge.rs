//! What nginx checks when it merges the settings of `http`, its servers and locations: the `merge_*_conf` functions of
//! its modules, one module after another.

use std::collections::HashSet;

use crate::block::BlockId;
use crate::checker::Checker;
use crate::codes;
use crate::directive::Directive;
use crate::http::{cache, charset};
use crate::problem::{Outcome, Problem, Spot};
use crate::{script, ssl, upstream, value, zones};

/// The modules that hand requests on and buffer the answers.
const BUFFERING: [&str; 4] = ["proxy", "fastcgi", "uwsgi", "scgi"];

/// All merge steps of `http`. What is wrong is reported at its `}`, where nginx reports it.
pub(crate) fn merge<'s>(checker: &mut Checker<'s>, http: &Directive<'s>, block: BlockId) -> Outcome {
    let end = http.closing();
    let servers: Vec<_> = checker.http.servers.iter().map(|server| server.block).collect();
    for server in &servers {
        header_buffers(checker, *server, end)?;
    }
    upstream::finish(&checker.http.upstreams)?;
    for server in &servers {
        ssl::http_server(checker, *server)?;
    }
    for module in BUFFERING.iter().chain(&["grpc"]) {
        for server in &servers {
            passing(checker, *server, module, end, true)?;
            each_location(checker, *server, &mut |checker, location| passing(checker, location, module, end, false))?;
        }
        scripts(checker, block, &servers, module, end)?;
    }
    for server in &servers {
        secure_link(checker, *server, end)?;
        charset::merge(checker, *server);
        each_location(checker, *server, &mut |checker, location| {
            secure_link(checker, location, end)?;
            charset::merge(checker, location);
            Ok(())
        })?;
    }
    Ok(())
}

fn each_location<'s>(
    checker: &mut Checker<'s>,
    block: BlockId,
    visit: &mut dyn FnMut(&mut Checker<'s>, BlockId) -> Outcome,
) -> Outcome {
    for location in checker.blocks[block].locations.clone() {
        visit(checker, location)?;
        each_location(checker, location, visit)?;
    }
    Ok(())
}

/// A size as it holds in a block, or its default.
fn size_of(checker: &Checker<'_>, block: BlockId, name: &str, word: usize, default: i64) -> i64 {
    let set = checker.effective(block, name);
    set.and_then(|directive| value::size(directive.word(word))).unwrap_or(default)
}

fn header_buffers(checker: &Checker<'_>, server: BlockId, end: Spot) -> Outcome {
    let buffers = size_of(checker, server, "large_client_header_buffers", 2, 8192);
    let pool = size_of(checker, server, "connection_pool_size", 1, 512);
    if buffers >= pool {
        return Ok(());
    }
    let message = "the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"";
    Err(Box::new(Problem::error(codes::BUFFER_SIZES, message, end)))
}

/// The checks of one module that hands requests on.
fn passing(checker: &mut Checker<'_>, block: BlockId, module: &str, end: Spot, server: bool) -> Outcome {
    if module != "grpc" {
        buffers(checker, block, module, end, server)?;
        cached(checker, block, module, end)?;
    }
    if uses_tls(checker, block, module) {
        ssl::upstream(checker, block, module)?;
    }
    Ok(())
}

/// Whether a block passes requests on by TLS.
fn uses_tls(checker: &Checker<'_>, block: BlockId, module: &str) -> bool {
    let scheme = match module {
        "proxy" => "https://",
        "uwsgi" => "suwsgi://",
        "grpc" => "grpcs://",
        _ => return false,
    };
    let pass = checker.blocks[block].get(&format!("{module}_pass"));
    pass.is_some_and(|pass| {
        let to = pass.word(1);
        script::variables(to) > 0
            || to.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
    })
}

fn buffers(checker: &Checker<'_>, block: BlockId, module: &str, end: Spot, server: bool) -> Outcome {
    let name = |suffix: &str| format!("{module}_{suffix}");
    let own = ["buffers", "buffer_size", "busy_buffers_size", "temp_file_write_size", "max_temp_file_size"];
    if !server && !own.iter().any(|suffix| checker.blocks[block].has(&name(suffix))) {
        return Ok(());
    }
    let refuse = |message: String| Err(Box::new(Problem::error(codes::BUFFER_SIZES, message, end)));
    let number = checker.effective(block, &name("buffers")).and_then(|set| value::number(set.word(1))).unwrap_or(8);
    if number < 2 {
        return refuse(format!("there must be at least 2 \"{module}_buffers\""));
    }
    let one = size_of(checker, block, &name("buffers"), 2, zones::PAGE);
    let size = size_of(checker, block, &name("buffer_size"), 1, zones::PAGE).max(one);
    let maximum = format!("the maximum of the value of \"{module}_buffer_size\" and one of the \"{module}_buffers\"");
    let busy = size_of(checker, block, &name("busy_buffers_size"), 1, size.saturating_mul(2));
    if busy < size {
        return refuse(format!("\"{module}_busy_buffers_size\" must be equal to or greater than {maximum}"));
    }
    if busy > (number - 1).saturating_mul(one) {
        let all = format!("the size of all \"{module}_buffers\" minus one buffer");
        return refuse(format!("\"{module}_busy_buffers_size\" must be less than {all}"));
    }
    if size_of(checker, block, &name("temp_file_write_size"), 1, size) < size {
        return refuse(format!("\"{module}_temp_file_write_size\" must be equal to or greater than {maximum}"));
    }
    let file = size_of(checker, block, &name("max_temp_file_size"), 1, 1 << 30);
    if file != 0 && file < size {
        return refuse(format!(
            "\"{module}_max_temp_file_size\" must be equal to zero to disable temporary files usage or must be equal \
             to or greater than {maximum}"
        ));
    }
    Ok(())
}

/// A cache needs a zone, and (but for `proxy`) should have a key.
fn cached(checker: &mut Checker<'_>, block: BlockId, module: &str, end: Spot) -> Outcome {
    let (cache, store, key) = (format!("{module}_cache"), format!("{module}_store"), format!("{module}_cache_key"));
    let own = &checker.blocks[block];
    let stores = own.get(&store).is_some_and(|store| store.word(1) != b"off");
    let Some(set) = checker.effective(block, &cache).filter(|set| set.word(1) != b"off" && !stores) else {
        return Ok(());
    };
    let zone = set.word(1);
    let declared = checker.zones.get(zone).is_some_and(|zone| zone.declared);
    if script::variables(zone) == 0 && !declared && !checker.incomplete {
        let name = String::from_utf8_lossy(zone);
        let message = format!("\"{cache}\" zone \"{name}\" is unknown");
        let problem = Problem::error(codes::UNKNOWN_ZONE, message, end);
        let help = format!(
            "`{cache}` on line {} names it; define it with `{module}_cache_path … keys_zone={name}:10m;`",
            set.line()
        );
        return Err(Box::new(problem.help(help)));
    }
    if cache::module(&cache) != "proxy" && checker.effective(block, &key).is_none() {
        let spot = set.exact(0);
        checker.report(Problem::warning(codes::NO_CACHE_KEY, format!("no \"{key}\" for \"{cache}\""), spot));
    }
    Ok(())
}

/// Headers and parameters are compiled when they are merged, once for each block which sets some.
fn scripts<'s>(checker: &mut Checker<'s>, http: BlockId, servers: &[BlockId], module: &str, end: Spot) -> Outcome {
    let list = match module {
        "proxy" | "grpc" => format!("{module}_set_header"),
        _ => format!("{module}_param"),
    };
    let mut owners = vec![];
    let mut seen = HashSet::new();
    let mut visit = |checker: &mut Checker<'s>, block: BlockId| {
        let mut next = Some(block);
        while let Some(at) = next {
            if checker.blocks[at].all(&list).is_some() {
                if seen.insert(at) {
                    owners.push(at);
                }
                break;
            }
            next = checker.blocks[at].parent;
        }
        Ok(())
    };
    for server in servers {
        visit(checker, *server)?;
        each_location(checker, *server, &mut visit)?;
    }
    for owner in owners {
        for line in checker.blocks[owner].all(&list).unwrap_or_default().to_vec() {
            if line.count() >= 2 {
                checker.compile_at(line.word(2), line.exact(2), end, http)?;
            }
        }
    }
    Ok(())
}

fn secure_link(checker: &Checker<'_>, block: BlockId, end: Spot) -> Outcome {
    let own = &checker.blocks[block];
    if own.has("secure_link_secret") && (own.has("secure_link") || own.has("secure_link_md5")) {
        let message = "\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"";
        return Err(Box::new(Problem::error(codes::INCOMPATIBLE_DIRECTIVES, message, end)));
    }
    Ok(())
}
