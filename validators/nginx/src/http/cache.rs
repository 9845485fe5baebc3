//! Caches of `proxy`, `fastcgi`, `uwsgi` and `scgi`, and the paths where nginx keeps files
//! (`src/http/ngx_http_file_cache.c`, `src/core/ngx_file.c`).

use crate::checker::Checker;
use crate::core::limits;
use crate::directives::Version;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::http::CachePath;
use crate::model::zones;
use crate::values::numbers;

/// The module that a directive such as `proxy_cache_path` belongs to.
pub(crate) fn module(name: &str) -> &'static str {
    ["proxy", "fastcgi", "uwsgi", "scgi"].into_iter().find(|module| name.starts_with(module)).unwrap_or("grpc")
}

/// Records the use of a directory: `ngx_add_path()`.
fn add_path(checker: &mut Checker<'_>, directive: &Directive<'_>, levels: Vec<i64>, cache: bool) -> Checked {
    let given = directive.text(1);
    let name = checker.sources.prefixed(given.strip_suffix('/').unwrap_or(&given)).into_bytes();
    let file = &checker.sources.file(directive.file()).path;
    let place = format!("{file}:{}", directive.line());
    let path = CachePath { levels, cache, place };
    let text = String::from_utf8_lossy(&name).into_owned();
    match checker.http.caches.paths.get(&name) {
        Some(known) if cache || known.cache => {
            let message = format!("the same path name \"{text}\" used in {} and", known.place);
            directive.refuse(1, codes::DUPLICATE_PATH, message)
        }
        Some(known) if known.levels != path.levels => {
            let message = format!("the same path name \"{text}\" in {} has the different levels than", known.place);
            directive.refuse(1, codes::DUPLICATE_PATH, message)
        }
        Some(_) => Ok(()),
        None => {
            checker.http.caches.paths.insert(name, path);
            Ok(())
        }
    }
}

/// A directory for temporary files, with up to three levels: `ngx_conf_set_path_slot()`.
pub(crate) fn path<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let mut levels = vec![];
    for at in 2..=directive.count() {
        match numbers::number(directive.word(at)).filter(|level| *level != 0) {
            Some(level) => levels.push(level),
            None => return directive.refuse_directive(at, codes::INVALID_VALUE, "invalid value"),
        }
    }
    let count = i64::try_from(levels.len()).unwrap_or_default();
    let length = levels.iter().fold(0_i64, |sum, level| sum.saturating_add(level.saturating_add(1)));
    if length > 10 + count {
        return directive.refuse_directive(2, codes::INVALID_VALUE, "invalid value");
    }
    add_path(checker, directive, levels, false)
}

/// `levels=1:2`: up to three digits of 1 or 2.
fn levels(text: &[u8]) -> Option<Vec<i64>> {
    let levels: Option<Vec<_>> = text
        .split(|byte| *byte == b':')
        .map(|level| numbers::number(level).filter(|number| (1..=2).contains(number) && level.len() == 1))
        .collect();
    levels.filter(|levels| levels.len() <= 3)
}

pub(crate) fn cache_path<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    let mut zone = None;
    let mut depth = vec![];
    for (at, word) in directive.arguments().skip(1) {
        let equals = word.iter().position(|byte| *byte == b'=').map_or(word.len(), |at| at + 1);
        let (key, given) = word.split_at(equals);
        let text = directive.text(at);
        let name = String::from_utf8_lossy(key.strip_suffix(b"=").unwrap_or(key));
        let valid = match key {
            b"levels=" if given.is_empty() => true,
            b"levels=" => match levels(given) {
                Some(levels) => {
                    depth = levels;
                    true
                }
                None => {
                    return directive.refuse(at, codes::INVALID_PARAMETER, format!("invalid \"levels\" \"{text}\""));
                }
            },
            b"use_temp_path=" if given != b"on" && given != b"off" => {
                let message = format!("invalid use_temp_path value \"{text}\", it must be \"on\" or \"off\"");
                return directive.refuse(at, codes::INVALID_PARAMETER, message);
            }
            b"use_temp_path=" => true,
            b"keys_zone=" => {
                zone = Some((at, keys_zone(directive, at, given)?));
                true
            }
            b"inactive=" => numbers::seconds(given).is_some(),
            b"max_size=" | b"min_free=" => numbers::offset(given).is_some(),
            b"loader_files=" | b"manager_files=" => numbers::number(given).is_some(),
            b"loader_sleep=" | b"loader_threshold=" | b"manager_sleep=" | b"manager_threshold=" => {
                numbers::milliseconds(given).is_some()
            }
            _ => return directive.refuse(at, codes::INVALID_PARAMETER, format!("invalid parameter \"{text}\"")),
        };
        if !valid {
            return directive.refuse(at, codes::INVALID_PARAMETER, format!("invalid {name} value \"{text}\""));
        }
    }
    let Some((at, (name, size))) = zone.filter(|(_, (name, _))| !name.is_empty()) else {
        let message = format!("\"{}\" must have \"keys_zone\" parameter", directive.known());
        return directive.refuse(0, codes::MISSING_PARAMETER, message);
    };
    add_path(checker, directive, depth, true)?;
    let zone = checker.zones.add(directive, at, name, size, module(directive.known()))?;
    if std::mem::replace(&mut zone.declared, true) {
        let message = format!("duplicate zone \"{}\"", String::from_utf8_lossy(name));
        return directive.refuse(at, codes::DUPLICATE_ZONE, message);
    }
    Ok(())
}

fn keys_zone<'d>(directive: &Directive<'_>, at: usize, given: &'d [u8]) -> Checked<(&'d [u8], i64)> {
    let text = directive.text(at);
    let Some((name, size)) = limits::zone_and_size(given) else {
        return directive.refuse(at, codes::INVALID_ZONE, format!("invalid keys zone size \"{text}\""));
    };
    if size < 2 * zones::PAGE {
        return directive.refuse(at, codes::ZONE_TOO_SMALL, format!("keys zone \"{text}\" is too small"));
    }
    Ok((name, size))
}

/// The first release that looks for statuses which are no numbers, or beyond 599.
const STATUS_BOUNDS: Version = Version::new(1, 15, 4);

pub(crate) fn cache_valid<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    let last = directive.count();
    if numbers::seconds(directive.word(last)).is_none() {
        let message = format!("invalid time value \"{}\"", directive.text(last));
        return directive.refuse(last, codes::INVALID_VALUE, message);
    }
    for (at, word) in directive.arguments().take(last - 1) {
        let status = numbers::number(word);
        // An older nginx looks only whether a number is too small, and takes what is none.
        let valid = match status {
            Some(status) if checker.options.version < STATUS_BOUNDS => status >= 100,
            None => checker.options.version < STATUS_BOUNDS,
            Some(status) => (100..=599).contains(&status),
        };
        if word != b"any" && !valid {
            return directive.refuse(at, codes::INVALID_VALUE, format!("invalid status \"{}\"", directive.text(at)));
        }
    }
    Ok(())
}

/// `proxy_cache` and the like.
pub(crate) fn cache<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if directive.word(1) == b"off" {
        return Ok(());
    }
    let module = module(directive.known());
    let store = format!("{module}_store");
    if checker.blocks.get(block, &store).is_some_and(|store| store.word(1) != b"off") {
        let complaint = format!("is incompatible with \"{store}\"");
        return directive.refuse_directive(0, codes::INCOMPATIBLE_DIRECTIVES, &complaint);
    }
    if !checker.compile(directive, 1, block)? {
        checker.zones.add(directive, 1, directive.word(1), 0, module)?;
    }
    Ok(())
}

/// The first release that refuses to store files at an empty path.
const NEEDS_PATH: Version = Version::new(1, 27, 3);

/// `proxy_store` and the like.
pub(crate) fn store<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if directive.word(1) == b"off" {
        return Ok(());
    }
    if directive.word(1).is_empty() && checker.options.version >= NEEDS_PATH {
        return directive.refuse(1, codes::INVALID_VALUE, "empty path");
    }
    let cache = format!("{}_cache", module(directive.known()));
    if checker.blocks.get(block, &cache).is_some_and(|cache| cache.word(1) != b"off") {
        let complaint = format!("is incompatible with \"{cache}\"");
        return directive.refuse_directive(0, codes::INCOMPATIBLE_DIRECTIVES, &complaint);
    }
    checker.compile(directive, 1, block)?;
    Ok(())
}
