//! Checks that nginx makes when it merges the settings of `http`, its servers and locations: the `merge_*_conf` functions of
//! its modules, one module after another.

use crate::checker::Checker;
use crate::checker::script;
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::http::{access, charset};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::families::{FAMILIES, Family};
use crate::model::zones;
use crate::ssl;
use crate::upstream;
use crate::values::hash_keys::HashSizes;
use crate::values::numbers;

/// All merge steps of `http`. Faults are reported at its `}`, as nginx does.
pub(crate) fn merge<'s>(checker: &mut Checker<'s>, http: &Directive<'s>, block: BlockId) -> Checked {
    let end = http.closing();
    let servers: Vec<_> = checker.http.servers.iter().map(|server| server.block).collect();
    if checker.uses(|name| name == b"large_client_header_buffers" || name == b"connection_pool_size") {
        let judged = servers.iter().try_for_each(|server| header_buffers(checker, *server, end));
        checker.unless_unseen(judged)?;
    }
    checker.unless_unseen(upstream::finish(checker, &checker.http.upstreams))?;
    // nginx has types of its own, and headers that it hides, where none are set.
    for (hash, key) in [("types_hash", &b"html"[..]), ("proxy_headers_hash", b"Date")] {
        if checker.uses(|name| name.starts_with(hash.as_bytes())) {
            servers
                .iter()
                .try_for_each(|server| checker.check_hash(&checker.hash_sizes(*server, hash), &[key], end))?;
        }
    }
    // In nginx's order: each server, and then the locations in it, at any depth.
    let merged = |at: &BlockId| checker.blocks[*at].context.intersects(MERGED);
    let blocks: Vec<BlockId> = (0..checker.blocks.len()).filter(merged).collect();
    if checker.uses(|name| name == b"valid_referers") {
        blocks.iter().try_for_each(|block| access::merge_referers(checker, *block, end))?;
    }
    if checker.uses(|name| name.starts_with(b"ssl")) {
        for server in &servers {
            let judged = ssl::http_server(checker, *server, end);
            checker.unless_unseen(judged)?;
        }
    }
    let in_use = |family: &&Family| checker.uses(|name| name.starts_with(family.module.as_bytes()));
    let in_use: Vec<_> = FAMILIES.iter().filter(in_use).collect();
    if checker.uses(|name| name == b"proxy_set_body") {
        bodies(checker, block, &blocks, end)?;
    }
    for family in in_use {
        let judged = passing(checker, block, &blocks, family, end);
        checker.unless_unseen(judged)?;
        scripts(checker, block, &blocks, family, end)?;
    }
    if checker.uses(|name| name == b"secure_link_secret") {
        blocks.iter().try_for_each(|block| secure_link(checker, *block, end))?;
    }
    if checker.uses(|name| name == b"source_charset") {
        blocks.iter().for_each(|block| charset::merge(checker, *block));
    }
    Ok(())
}

/// The blocks whose settings nginx merges with those of the blocks around them.
const MERGED: Contexts = Contexts::SERVER
    .and(Contexts::LOCATION)
    .and(Contexts::SERVER_IF)
    .and(Contexts::LOCATION_IF)
    .and(Contexts::LIMIT_EXCEPT);

/// A size as it holds in a block, or its default.
fn size_of(checker: &Checker<'_>, block: BlockId, name: &str, word: usize, default: i64) -> i64 {
    let set = checker.effective(block, name);
    set.and_then(|directive| numbers::size(directive.word(word))).unwrap_or(default)
}

fn header_buffers(checker: &Checker<'_>, server: BlockId, end: SourceSpan) -> Checked {
    let buffers = size_of(checker, server, "large_client_header_buffers", 2, 8192);
    let pool = size_of(checker, server, "connection_pool_size", 1, 512);
    if buffers >= pool {
        return Ok(());
    }
    let message = "the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"";
    Err(Box::new(Problem::error(codes::BUFFER_SIZES, message, end)))
}

/// The checks of one module that hands requests on, as far as its directives are in use.
fn passing(checker: &mut Checker<'_>, http: BlockId, blocks: &[BlockId], family: &Family, end: SourceSpan) -> Checked {
    let buffering = [
        family.buffers,
        family.buffer_size,
        family.busy_buffers_size,
        family.temp_file_write_size,
        family.max_temp_file_size,
    ];
    let uses = |name: &str| checker.uses(|used| used == name.as_bytes());
    // gRPC passes everything on at once: it has a buffer, but nothing to keep it in.
    let buffers_too = family.module != "grpc" && buffering.iter().any(|name| uses(name));
    let caches = uses(family.cache);
    let tls = family.tls.filter(|_| uses(family.pass));
    let inherited = checker.blocks[http].families & family.bit != 0;
    for block in blocks {
        let own = &checker.blocks[*block];
        let has_own = own.families & family.bit != 0;
        let is_server = own.context == Contexts::SERVER && inherited;
        let has = |name: &&str| checker.blocks.has(*block, name);
        if buffers_too && (is_server || has_own && buffering.iter().any(has)) {
            buffers(checker, *block, family, end)?;
        }
        if caches {
            cached(checker, *block, family, end)?;
        }
        if has_own && tls.is_some_and(|scheme| uses_tls(checker, *block, family, scheme)) {
            ssl::upstream(checker, *block, family.module)?;
        }
    }
    Ok(())
}

/// True if a block passes requests on by TLS.
fn uses_tls(checker: &Checker<'_>, block: BlockId, family: &Family, scheme: &str) -> bool {
    checker.blocks.get(block, family.pass).is_some_and(|pass| {
        let to = pass.word(1);
        script::variables(to) > 0
            || to.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
    })
}

fn buffers(checker: &Checker<'_>, block: BlockId, family: &Family, end: SourceSpan) -> Checked {
    let refuse = |message: String| Err(Box::new(Problem::error(codes::BUFFER_SIZES, message, end)));
    let Family { buffers, buffer_size, busy_buffers_size, temp_file_write_size, max_temp_file_size, .. } = family;
    let number = checker.effective(block, buffers).and_then(|set| numbers::number(set.word(1))).unwrap_or(8);
    if number < 2 {
        return refuse(format!("there must be at least 2 \"{buffers}\""));
    }
    let one = size_of(checker, block, buffers, 2, zones::PAGE);
    let size = size_of(checker, block, buffer_size, 1, zones::PAGE).max(one);
    let maximum = || format!("the maximum of the value of \"{buffer_size}\" and one of the \"{buffers}\"");
    let busy = size_of(checker, block, busy_buffers_size, 1, size.saturating_mul(2));
    if busy < size {
        return refuse(format!("\"{busy_buffers_size}\" must be equal to or greater than {}", maximum()));
    }
    if busy > (number - 1).saturating_mul(one) {
        let all = format!("the size of all \"{buffers}\" minus one buffer");
        return refuse(format!("\"{busy_buffers_size}\" must be less than {all}"));
    }
    if size_of(checker, block, temp_file_write_size, 1, size) < size {
        return refuse(format!("\"{temp_file_write_size}\" must be equal to or greater than {}", maximum()));
    }
    let file = size_of(checker, block, max_temp_file_size, 1, 1 << 30);
    if file != 0 && file < size {
        return refuse(format!(
            "\"{max_temp_file_size}\" must be equal to zero to disable temporary files usage or must be equal \
             to or greater than {}",
            maximum()
        ));
    }
    Ok(())
}

/// A cache needs a zone, and (except for `proxy`) should have a key.
fn cached(checker: &mut Checker<'_>, block: BlockId, family: &Family, end: SourceSpan) -> Checked {
    let Family { module, cache, cache_key, store, .. } = family;
    let stores = checker.blocks.get(block, store).is_some_and(|store| store.word(1) != b"off");
    let Some(set) = checker.effective(block, cache).filter(|set| set.word(1) != b"off" && !stores).copied() else {
        return Ok(());
    };
    let zone = set.word(1);
    let declared = checker.zones.get(zone).is_some_and(|zone| zone.declared);
    if script::variables(zone) == 0 && !declared {
        let name = String::from_utf8_lossy(zone);
        let message = format!("\"{cache}\" zone \"{name}\" is unknown");
        let problem = Problem::error(codes::UNKNOWN_ZONE, message, end);
        let help = format!(
            "`{cache}` on line {} names it; define it with `{module}_cache_path … keys_zone={name}:10m;`",
            set.line()
        );
        return Err(Box::new(problem.help(help)));
    }
    if *module != "proxy" && checker.effective(block, cache_key).is_none() {
        let spot = set.exact(0);
        checker.report(Problem::warning(codes::NO_CACHE_KEY, format!("no \"{cache_key}\" for \"{cache}\""), spot));
    }
    Ok(())
}

/// Headers and parameters are compiled when they are merged, once for each block which sets some.
fn scripts(checker: &mut Checker<'_>, http: BlockId, blocks: &[BlockId], family: &Family, end: SourceSpan) -> Checked {
    if !checker.uses(|used| used == family.list.as_bytes()) {
        return Ok(());
    }
    let has = |at: BlockId| checker.blocks[at].families & family.bit != 0 && checker.blocks.has_lines(at, family.list);
    // Of each block, where it has its lines from: a block comes after the one around it.
    let mut sources = vec![None; checker.blocks.len()];
    sources[http] = has(http).then_some(http);
    let mut owners = vec![];
    let mut http_is_new = true;
    for at in blocks {
        let inherited = checker.blocks[*at].parent().and_then(|parent| sources[parent]);
        sources[*at] = if has(*at) { Some(*at) } else { inherited };
        let from_http = sources[*at] == Some(http) && std::mem::take(&mut http_is_new);
        if sources[*at] == Some(*at) || from_http {
            owners.extend(sources[*at].map(|owner| (owner, *at)));
        }
    }
    // Hardly any configuration sets them, and they are asked for each block.
    let sets_sizes = family.module == "proxy" && checker.uses(|used| used.starts_with(family.hash.as_bytes()));
    for (owner, block) in owners {
        let sizes =
            if sets_sizes { checker.hash_sizes(block, family.hash) } else { HashSizes::new(family.hash, None, None) };
        let lines: Vec<_> = checker.blocks.lines(owner, family.list).collect();
        for line in lines.into_iter().filter(|line| line.count() >= 2) {
            checker.compile_at(line.word(2), line.exact(2), end, http)?;
            // Of the parameters only those are kept in a hash which replace a header.
            let key = if family.hash.ends_with("params_hash") {
                line.word(1).strip_prefix(b"HTTP_")
            } else {
                Some(line.word(1))
            };
            if let Some(complaint) = key.and_then(|key| sizes.complaint_about(key)) {
                return line.refuse(1, codes::HASH_BUCKET_SIZE, complaint);
            }
        }
    }
    Ok(())
}

/// `proxy_set_body` is compiled when it is merged; in `http` that is in the first server.
fn bodies(checker: &mut Checker<'_>, http: BlockId, blocks: &[BlockId], end: SourceSpan) -> Checked {
    let outermost = blocks.first().map(|_| &http);
    for block in outermost.into_iter().chain(blocks) {
        if let Some(body) = checker.blocks.get(*block, "proxy_set_body").copied() {
            checker.compile_at(body.word(1), body.exact(1), end, http)?;
        }
    }
    Ok(())
}

fn secure_link(checker: &Checker<'_>, block: BlockId, end: SourceSpan) -> Checked {
    let has = |name: &str| checker.blocks.has(block, name);
    if has("secure_link_secret") && (has("secure_link") || has("secure_link_md5")) {
        let message = "\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"";
        return Err(Box::new(Problem::error(codes::INCOMPATIBLE_DIRECTIVES, message, end)));
    }
    Ok(())
}
