//! Blocks which define a variable from others: `map`, `geo` and `split_clients`, of http and stream alike
//! (`src/http/modules/ngx_http_map_module.c`, `ngx_http_geo_module.c`, `ngx_http_split_clients_module.c`).

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checker::Checker;
use crate::core::main_conf;
use crate::directives::{self, Contexts, Version};
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::hash_keys::{HashKeys, Refused};
use crate::values::numbers;
use crate::values::url::{self, Cidr, Network};

#[derive(Default)]
struct Map<'s> {
    hostnames: bool,
    default: bool,
    keys: HashKeys<'s>,
    values: HashSet<&'s [u8]>,
    /// The key that is too long for its hash.
    too_long: Option<Problem>,
}

pub(crate) fn map<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.compile(directive, 1, block)?;
    checker.define(directive, 2, block)?;
    let mut map = Map::default();
    // The first map takes the defaults into use, after which they cannot be set any more.
    let sizes = ["map_hash_max_size", "map_hash_bucket_size"];
    for entry in sizes.into_iter().filter_map(|name| directives::history(name).next()) {
        if !checker.blocks.has(block, entry.name) {
            checker.blocks.set(block, &directive.of(entry));
        }
    }
    let sizes = checker.hash_sizes(block, "map_hash");
    let clean = checker.entries(directive, true, |checker, entry| {
        map_entry(checker, entry, &mut map, block)?;
        if map.too_long.is_none() && !is_special(entry) {
            let complaint = sizes.complaint_about(entry.word(0));
            map.too_long = complaint.map(|text| Problem::error(codes::HASH_BUCKET_SIZE, text, entry.exact(0)));
        }
        Ok(())
    });
    if !clean || map.keys.is_empty() {
        return Ok(());
    }
    checker.check_hash(&sizes, &[], directive.closing())?;
    map.too_long.map_or(Ok(()), |problem| Err(Box::new(problem)))
}

/// True if a line has no key that is kept in the hash: a default, a regular expression, a wildcard.
fn is_special(entry: &Directive<'_>) -> bool {
    let key = entry.word(0);
    entry.count() != 1 || key == b"default" || key.starts_with(b"~") || key.contains(&b'*')
}

fn map_entry<'s>(checker: &mut Checker<'s>, entry: &Directive<'s>, map: &mut Map<'s>, block: BlockId) -> Checked {
    let key = entry.word(0);
    if entry.count() == 0 && (key == b"hostnames" || key == b"volatile") {
        map.hostnames |= key == b"hostnames";
        return Ok(());
    }
    if entry.count() != 1 {
        return entry.refuse(0, codes::ENTRY_PARAMETERS, "invalid number of the map parameters");
    }
    if map.values.insert(entry.word(1)) {
        checker.compile(entry, 1, block)?;
    }
    if key == b"default" {
        if std::mem::replace(&mut map.default, true) {
            return entry.refuse(0, codes::DUPLICATE_ENTRY, "duplicate default map parameter");
        }
        return Ok(());
    }
    if let Some(pattern) = key.strip_prefix(b"~") {
        let (pattern, caseless) = pattern.strip_prefix(b"*").map_or((pattern, false), |pattern| (pattern, true));
        checker.regex(entry, 0, pattern, caseless, block)?;
        return Ok(());
    }
    host_key(entry, 0, key.strip_prefix(b"\\").unwrap_or(key), &mut map.keys, map.hostnames)
}

/// Adds a key to a hash.
pub(crate) fn host_key<'s>(
    entry: &Directive<'s>,
    at: usize,
    key: &'s [u8],
    keys: &mut HashKeys<'s>,
    wildcards: bool,
) -> Checked {
    let text = String::from_utf8_lossy(key);
    match keys.add(key, wildcards) {
        Ok(()) => Ok(()),
        Err(Refused::Declined) => {
            entry.refuse(at, codes::INVALID_WILDCARD, format!("invalid hostname or wildcard \"{text}\""))
        }
        Err(Refused::Busy) => entry.refuse(at, codes::DUPLICATE_ENTRY, format!("conflicting parameter \"{text}\"")),
    }
}

/// The first release that has `volatile` in `geo`.
const GEO_VOLATILE: Version = Version::new(1, 29, 3);

#[derive(Default)]
struct Geo {
    stream: bool,
    ranges: bool,
    networks: bool,
    default: Option<Vec<u8>>,
    known: std::collections::HashMap<Network, Vec<u8>>,
    spans: std::collections::BTreeMap<u32, u32>,
}

pub(crate) fn geo<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let last = directive.count();
    let Some(name) = directive.word(1).strip_prefix(b"$") else {
        let message = format!("invalid variable name \"{}\"", directive.text(1));
        return directive.refuse(1, codes::INVALID_VARIABLE, message);
    };
    if last == 2 {
        checker.use_variable(directive, 1, name, block)?;
    }
    checker.define(directive, last, block)?;
    let mut geo = Geo { stream: checker.blocks[block].context == Contexts::STREAM, ..Geo::default() };
    checker.entries(directive, true, |checker, entry| geo_entry(checker, entry, &mut geo));
    Ok(())
}

fn geo_entry<'s>(checker: &mut Checker<'s>, entry: &Directive<'s>, geo: &mut Geo) -> Checked {
    match (entry.count(), entry.word(0)) {
        (0, b"ranges") if geo.networks => {
            let message = "the \"ranges\" directive must be the first directive inside \"geo\" block";
            entry.refuse(0, codes::MISPLACED_ENTRY, message)
        }
        (0, b"ranges") => {
            geo.ranges = true;
            Ok(())
        }
        (0, b"proxy_recursive") if !geo.stream => Ok(()),
        (0, b"volatile") if checker.options.version >= GEO_VOLATILE => Ok(()),
        (1, b"proxy") if !geo.stream => network(checker, entry, 1).map(|_| ()),
        (1, _) if geo.ranges => range(checker, entry, geo),
        (1, _) => {
            geo.networks = true;
            cidr(checker, entry, geo)
        }
        _ => entry.refuse(0, codes::ENTRY_PARAMETERS, "invalid number of the geo parameters"),
    }
}

fn network<'s>(checker: &mut Checker<'s>, entry: &Directive<'s>, at: usize) -> Checked<Option<Network>> {
    if entry.word(at) == b"255.255.255.255" {
        return Ok(None);
    }
    match url::cidr(entry.word(at)) {
        Cidr::Exact(network) => Ok(Some(network)),
        Cidr::LowBits(network) => {
            main_conf::low_bits(checker, entry, at);
            Ok(Some(network))
        }
        Cidr::Invalid => entry.refuse(at, codes::INVALID_NETWORK, format!("invalid network \"{}\"", entry.text(at))),
    }
}

fn cidr<'s>(checker: &mut Checker<'s>, entry: &Directive<'s>, geo: &mut Geo) -> Checked {
    if entry.word(0) == b"default" {
        // It is the network of all addresses, of IPv4 and of IPv6.
        for all in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            add_network(checker, entry, geo, (all, 0));
        }
        return Ok(());
    }
    let delete = entry.word(0) == b"delete";
    let Some(network) = network(checker, entry, usize::from(delete))? else { return Ok(()) };
    if delete {
        if geo.known.remove(&network).is_none() {
            let message = format!("no network \"{}\" to delete", entry.text(1));
            checker.warn(*entry.problem(1, codes::DUPLICATE_VALUE, message));
        }
    } else {
        add_network(checker, entry, geo, network);
    }
    Ok(())
}

fn add_network<'s>(checker: &mut Checker<'s>, entry: &Directive<'s>, geo: &mut Geo, network: Network) {
    if let Some(old) = geo.known.insert(network, entry.word(1).to_vec()) {
        let (net, value, old) = (entry.text(0), entry.text(1), String::from_utf8_lossy(&old));
        let message = format!("duplicate network \"{net}\", value: \"{value}\", old value: \"{old}\"");
        checker.warn(*entry.problem(0, codes::DUPLICATE_VALUE, message));
    }
}

fn range<'s>(checker: &mut Checker<'s>, entry: &Directive<'s>, geo: &mut Geo) -> Checked {
    if entry.word(0) == b"default" {
        if let Some(old) = geo.default.replace(entry.word(1).to_vec()) {
            let (value, old) = (entry.text(1), String::from_utf8_lossy(&old));
            let message = format!("duplicate default geo range value: \"{value}\", old value: \"{old}\"");
            checker.warn(*entry.problem(0, codes::DUPLICATE_VALUE, message));
        }
        return Ok(());
    }
    let delete = entry.word(0) == b"delete";
    let at = usize::from(delete);
    let bounds = || {
        let text = entry.word(at);
        let dash = text.iter().position(|byte| *byte == b'-')?;
        let address = |text| url::ipv4(text).filter(|ip| !ip.is_broadcast());
        // nginx refuses the last address of all, because it is the same number as "no address".
        let (start, end) = (address(&text[..dash])?.to_bits(), address(&text[dash + 1..])?.to_bits());
        (start <= end).then_some((start, end))
    };
    let Some((start, end)) = bounds() else {
        return entry.refuse(at, codes::INVALID_NETWORK, format!("invalid range \"{}\"", entry.text(at)));
    };
    if !delete {
        return add_range(entry, geo, start, end);
    }
    Ok(())
}

/// Adds a range, which may lie within another but not overlap it partly.
fn add_range(entry: &Directive<'_>, geo: &mut Geo, start: u32, end: u32) -> Checked {
    let before = geo.spans.range(..=start).next_back().map(|(from, to)| (*from, *to));
    let after =
        geo.spans.range(start..=end).find(|(from, to)| **from > start || **to > end).map(|(from, to)| (*from, *to));
    let overlaps = |(from, to): &(u32, u32)| {
        let apart = *to < start || *from > end;
        let within = *from <= start && end <= *to;
        !apart && !within
    };
    if let Some((from, to)) = before.filter(overlaps).or(after.filter(overlaps)) {
        let (from, to) = (Ipv4Addr::from_bits(from), Ipv4Addr::from_bits(to));
        let message = format!("range \"{}\" overlaps \"{from}-{to}\"", entry.text(0));
        return entry.refuse(0, codes::OVERLAPPING_RANGE, message);
    }
    if before.is_none_or(|(_, to)| to < start) {
        geo.spans.insert(start, end);
    }
    Ok(())
}

pub(crate) fn split_clients<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    const WHOLE: i64 = 10_000;
    checker.compile(directive, 1, block)?;
    checker.define(directive, 2, block)?;
    let mut sum = 0;
    let mut exceeded = false;
    let clean = checker.entries(directive, false, |_, entry| {
        let percent = match entry.word(0) {
            b"*" => None,
            word => {
                let percent = word.strip_suffix(b"%").and_then(|number| numbers::fixed_point(number, 2));
                let Some(percent) = percent.filter(|percent| *percent != 0) else {
                    let message = format!("invalid percent value \"{}\"", entry.text(0));
                    return entry.refuse(0, codes::INVALID_PERCENT, message);
                };
                Some(percent)
            }
        };
        // `*` takes the rest: anything after it is too much.
        sum = percent.map_or(WHOLE, |percent| sum + percent);
        exceeded |= sum > WHOLE;
        Ok(())
    });
    if clean && exceeded {
        let message = "percent total is greater than 100%";
        return Err(Box::new(Problem::error(codes::INVALID_PERCENT, message, directive.closing())));
    }
    Ok(())
}
