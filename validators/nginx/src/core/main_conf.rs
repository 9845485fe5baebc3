//! Directives outside `http`, `stream` and `mail`: `src/core/nginx.c`, `src/event/ngx_event.c`,
//! `src/core/ngx_thread_pool.c`; and the checks that come when everything is read, `ngx_init_cycle()`.

use crate::checker::Checker;
use crate::directives::{Build, Contexts, Version, shared_object};
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::main_conf::{ThreadPool, brings_variables, is_known_object};
use crate::values::numbers;
use crate::values::url::{self, Cidr};

pub(crate) fn load_module<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    if checker.main.modules_used {
        return directive.refuse_directive(0, codes::TOO_LATE, "is specified too late");
    }
    let path = directive.text(1);
    let object = shared_object(&path);
    if checker.main.loaded.contains(object) {
        return directive.refuse(1, codes::DUPLICATE_MODULE, format!("module \"{object}\" is already loaded"));
    }
    checker.main.foreign_module |= brings_variables(object);
    if !is_known_object(object) {
        checker.main.unknown_module = true;
    }
    checker.main.loaded.insert(object.to_owned());
    checker.forget_rows();
    Ok(())
}

pub(crate) fn user<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)
}

pub(crate) fn worker_processes<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if numbers::c_string(directive.word(1)) == b"auto" || numbers::number(directive.word(1)).is_some() {
        return Ok(());
    }
    directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value")
}

pub(crate) fn worker_priority<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let given = directive.word(1);
    let digits = given.strip_prefix(b"-").or_else(|| given.strip_prefix(b"+")).unwrap_or(given);
    // nginx keeps it in 32 bits, in which -1 is an error, and 0 is as good as none, so that it may be set again.
    let priority = numbers::number(digits).map(|number| number & 0xffff_ffff);
    if checker.blocks.has(block, directive.known()) || priority != Some(0) {
        checker.once(directive, block)?;
    }
    match priority {
        Some(priority) if priority != 0xffff_ffff => Ok(()),
        _ => directive.refuse_directive(1, codes::INVALID_NUMBER, "invalid number"),
    }
}

pub(crate) fn worker_cpu_affinity<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    /// `CPU_SETSIZE` of glibc.
    const CPUS: usize = 1024;
    checker.once(directive, block)?;
    let auto = numbers::c_string(directive.word(1)) == b"auto";
    if auto && directive.count() > 2 {
        let message = "invalid number of arguments in \"worker_cpu_affinity\" directive";
        return directive.refuse(0, codes::ARGUMENT_COUNT, message);
    }
    for (at, mask) in directive.arguments().skip(usize::from(auto)) {
        if mask.len() > CPUS {
            let message = format!("\"worker_cpu_affinity\" supports up to {CPUS} CPUs only");
            return directive.refuse(at, codes::INVALID_VALUE, message);
        }
        if let Some(byte) = mask.iter().rev().find(|byte| !matches!(byte, b' ' | b'0' | b'1')) {
            let byte = String::from_utf8_lossy(std::slice::from_ref(byte)).into_owned();
            let message = format!("invalid character \"{byte}\" in \"worker_cpu_affinity\"");
            return directive.refuse(at, codes::INVALID_VALUE, message);
        }
    }
    if !auto {
        checker.main.affinity = Some(*directive);
    }
    Ok(())
}

/// nginx's warning about a number of masks that does not fit the number of processes: `ngx_core_module_init_conf()`.
fn affinity_masks(checker: &mut Checker<'_>) {
    let Some(affinity) = checker.main.affinity else { return };
    let masks = affinity.count();
    let processes = match checker.blocks.get(0, "worker_processes") {
        None => Some(1),
        // `auto` is the number of CPUs, which is unknown here.
        Some(set) => numbers::number(set.word(1)),
    };
    if masks != 1 && processes.is_some_and(|processes| i64::try_from(masks) != Ok(processes)) {
        let message = "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, using last \
                       mask for remaining worker processes";
        checker.warn(*affinity.problem(0, codes::AFFINITY_MASKS, message));
    }
}

pub(crate) fn thread_pool<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    let index = use_thread_pool(checker, directive, 1, directive.word(1));
    if checker.main.thread_pools.all[index].defined {
        let message = format!("duplicate thread pool \"{}\"", directive.text(1));
        return directive.refuse(1, codes::DUPLICATE_THREAD_POOL, message);
    }
    let mut threads = None;
    for (at, argument) in directive.arguments().skip(1) {
        if let Some(number) = argument.strip_prefix(b"threads=") {
            threads = numbers::number(number).filter(|threads| *threads != 0);
            if threads.is_none() {
                let message = format!("invalid threads value \"{}\"", directive.text(at));
                return directive.refuse(at, codes::INVALID_PARAMETER, message);
            }
        } else if argument.strip_prefix(b"max_queue=").is_some_and(|number| numbers::number(number).is_none()) {
            let message = format!("invalid max_queue value \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    if threads.is_none() {
        let message = "\"thread_pool\" must have \"threads\" parameter";
        return directive.refuse(0, codes::MISSING_PARAMETER, message);
    }
    checker.main.thread_pools.all[index].defined = true;
    Ok(())
}

/// Names a pool of threads, which must be defined somewhere: `ngx_thread_pool_add()`.
pub(crate) fn use_thread_pool(checker: &mut Checker<'_>, directive: &Directive<'_>, at: usize, name: &[u8]) -> usize {
    let pools = &mut checker.main.thread_pools;
    *pools.by_name.entry(name.to_vec()).or_insert_with(|| {
        pools.all.push(ThreadPool { name: name.to_vec(), defined: false, spot: directive.spot(at) });
        pools.all.len() - 1
    })
}

pub(crate) fn include<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.include_here(directive, block)
}

pub(crate) fn ssl_engine<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    // OpenSSL has these engines built in.
    if [&b"dynamic"[..], b"rdrand"].contains(&directive.word(1)) {
        return Ok(());
    }
    let message = format!("ENGINE_by_id(\"{}\") failed", directive.text(1));
    Err(Box::new(Problem::environment(codes::MISSING_ENGINE, message, directive.spot(1))))
}

pub(crate) fn events<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    checker.main.modules_used = true;
    checker.main.has_events = true;
    let inner = checker.open(Contexts::EVENTS, block);
    checker.body(directive, inner);
    Ok(())
}

/// Opens `http`, `stream` or `mail`.
pub(crate) fn open_protocol<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    block: BlockId,
    context: Contexts,
) -> Checked<BlockId> {
    checker.once(directive, block)?;
    checker.main.modules_used = true;
    Ok(checker.open(context, block))
}

pub(crate) fn worker_connections<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let Some(number) = numbers::number(directive.word(1)) else {
        let message = format!("invalid number \"{}\"", directive.text(1));
        return directive.refuse(1, codes::INVALID_NUMBER, message);
    };
    checker.main.connections = Some((number, *directive));
    Ok(())
}

/// The event methods of a build for Linux: `poll` and `select` are left out where `epoll` is there.
pub(crate) fn event_use<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if directive.word(1) == b"epoll" {
        return Ok(());
    }
    let problem = directive.problem(1, codes::INVALID_VALUE, format!("invalid event type \"{}\"", directive.text(1)));
    Err(Box::new(problem.help("on Linux it is `epoll`, which is the default")))
}

pub(crate) fn debug_connection<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    if checker.options.build != Build::Debian {
        let message =
            "\"debug_connection\" is ignored, you need to rebuild nginx using --with-debug option to enable it";
        checker.warn(*directive.problem(0, codes::UNSUPPORTED, message));
        return Ok(());
    }
    network_or_host(checker, directive, "debug_connection")
}

/// A network, `unix:`, or a host: as `set_real_ip_from` takes it.
pub(crate) fn network_or_host<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, name: &str) -> Checked {
    let given = directive.word(1);
    if given == b"unix:" {
        return Ok(());
    }
    match url::cidr(given) {
        Cidr::Exact(_) => Ok(()),
        Cidr::LowBits(_) => {
            low_bits(checker, directive, 1);
            Ok(())
        }
        Cidr::Invalid if url::plausible(given) || url::ipv4(given).is_some() => Ok(()),
        Cidr::Invalid => {
            let message = format!("host not found in {name} \"{}\"", directive.text(1));
            directive.refuse(1, codes::HOST_NOT_FOUND, message)
        }
    }
}

/// Warns of a network with bits set beyond its mask.
pub(crate) fn low_bits<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, at: usize) {
    let message = format!("low address bits of {} are meaningless", directive.text(at));
    checker.warn(*directive.problem(at, codes::MEANINGLESS_BITS, message));
}

/// The checks which nginx makes when all is read, in its order.
pub(crate) fn finish(checker: &mut Checker<'_>) -> Checked {
    affinity_masks(checker);
    init_events(checker)?;
    init_thread_pools(checker)?;
    init_zones(checker)
}

fn end_of_main(checker: &Checker<'_>) -> SourceSpan {
    let end = checker.sources.file(0).tree.text().len();
    SourceSpan::new(0, reload_gate_contract::Span { start: end, end })
}

fn init_events(checker: &Checker<'_>) -> Checked {
    /// The first release that compares them.
    const COUNTS_SOCKETS: Version = Version::new(1, 15, 2);
    /// nginx's default of `worker_connections`.
    const CONNECTIONS: i64 = 512;
    if !checker.main.has_events {
        let problem = Problem::error(codes::NO_EVENTS, "no \"events\" section in configuration", end_of_main(checker));
        return Err(Box::new(problem.help("add `events {}`")));
    }
    let connections = checker.main.connections.as_ref();
    let (number, spot) =
        connections.map_or((CONNECTIONS, end_of_main(checker)), |(number, set)| (*number, set.spot(1)));
    let sockets = listening_sockets(checker);
    if checker.options.version >= COUNTS_SOCKETS
        && number < i64::try_from(sockets).unwrap_or(i64::MAX).saturating_add(1)
    {
        let message = format!("{number} worker_connections are not enough for {sockets} listening sockets");
        return Err(Box::new(Problem::error(codes::TOO_FEW_CONNECTIONS, message, spot)));
    }
    Ok(())
}

fn init_thread_pools(checker: &Checker<'_>) -> Checked {
    let undefined = |pool: &&ThreadPool| !pool.defined && pool.name != b"default";
    match checker.main.thread_pools.all.iter().find(undefined) {
        Some(pool) => {
            let message = format!("unknown thread pool \"{}\"", String::from_utf8_lossy(&pool.name));
            Err(Box::new(Problem::error(codes::UNKNOWN_THREAD_POOL, message, pool.spot)))
        }
        _ => Ok(()),
    }
}

fn init_zones(checker: &Checker<'_>) -> Checked {
    match checker.zones.empty().next() {
        Some(zone) => {
            let message = format!("zero size shared memory zone \"{}\"", String::from_utf8_lossy(&zone.name));
            let problem = Problem::error(codes::ZERO_SIZE_ZONE, message, zone.spot);
            Err(Box::new(problem.help("no directive gives this zone a size, so it does not exist")))
        }
        _ => Ok(()),
    }
}

fn listening_sockets(checker: &Checker<'_>) -> usize {
    checker.http.listening() + checker.stream.listening() + checker.mail.listening()
}
