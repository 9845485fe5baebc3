//! Directives of `src/http/ngx_http_core_module.c` with setters of their own, apart from servers and locations.

use crate::checker::Checker;
use crate::core::main_conf;
use crate::directives::Build;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::location::Match;
use crate::values::numbers;

/// `root` and `alias`, which are one setting.
pub(crate) fn root<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let (name, other) = if directive.known() == "alias" { ("alias", "root") } else { ("root", "alias") };
    if checker.blocks.has(block, other) {
        let message = format!("\"{name}\" directive is duplicate, \"{other}\" directive was specified earlier");
        return directive.refuse(0, codes::DUPLICATE_DIRECTIVE, message);
    }
    checker.once(directive, block)?;
    if name == "alias" && checker.blocks.location(block).kind == Match::Named {
        let message = "the \"alias\" directive cannot be used inside the named location";
        return directive.refuse(0, codes::NOT_ALLOWED_HERE, message);
    }
    let path = directive.word(1);
    if !path.contains(&b'$') {
        return Ok(());
    }
    let contains = |text: &str| path.windows(text.len()).any(|window| window == text.as_bytes());
    for (variable, forms) in [
        ("document_root", ["$document_root", "${document_root}"]),
        ("realpath_root", ["$realpath_root", "${realpath_root}"]),
    ] {
        if forms.into_iter().any(contains) {
            let message = format!("the ${variable} variable cannot be used in the \"{name}\" directive");
            return directive.refuse(1, codes::RECURSIVE_VARIABLE, message);
        }
    }
    checker.compile(directive, 1, block)?;
    Ok(())
}

pub(crate) fn aio<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    match directive.word(1) {
        b"off" => Ok(()),
        b"on" if checker.options.build != Build::Debian => Ok(()),
        b"on" => {
            let problem = directive.problem(1, codes::UNSUPPORTED, "\"aio on\" is unsupported on this platform");
            Err(Box::new(problem.help("this build of nginx has no `--with-file-aio`; `aio threads` works everywhere")))
        }
        b"threads" => {
            main_conf::use_thread_pool(checker, directive, 1, b"default");
            Ok(())
        }
        word => match word.strip_prefix(b"threads=") {
            Some(name) => {
                if !checker.compile_text(directive, 1, name, block)? {
                    main_conf::use_thread_pool(checker, directive, 1, name);
                }
                Ok(())
            }
            None => directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value"),
        },
    }
}

pub(crate) fn directio<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if directive.word(1) == b"off" || numbers::offset(directive.word(1)).is_some() {
        return Ok(());
    }
    directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value")
}

pub(crate) fn error_page<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let last = directive.count();
    let before = directive.word(last - 1);
    let mut codes_end = last - 1;
    if let Some(code) = before.strip_prefix(b"=") {
        if last == 2 || (!code.is_empty() && numbers::number(code).is_none()) {
            let message = format!("invalid value \"{}\"", directive.text(last - 1));
            return directive.refuse(last - 1, codes::INVALID_VALUE, message);
        }
        codes_end -= 1;
    }
    checker.compile(directive, last, block)?;
    for at in 1..=codes_end {
        match numbers::number(directive.word(at)) {
            None | Some(499) => {
                return directive.refuse(at, codes::INVALID_VALUE, format!("invalid value \"{}\"", directive.text(at)));
            }
            Some(300..=599) => {}
            Some(_) => {
                let message = format!("value \"{}\" must be between 300 and 599", directive.text(at));
                return directive.refuse(at, codes::OUT_OF_BOUNDS, message);
            }
        }
    }
    Ok(())
}

pub(crate) fn open_file_cache<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let (mut max, mut off) = (false, false);
    for (at, word) in directive.arguments() {
        let valid = if let Some(number) = word.strip_prefix(b"max=") {
            max = numbers::number(number).is_some_and(|number| number > 0);
            max
        } else if let Some(time) = word.strip_prefix(b"inactive=") {
            numbers::seconds(time).is_some()
        } else {
            off |= word == b"off";
            word == b"off"
        };
        if !valid {
            let message = format!("invalid \"open_file_cache\" parameter \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    if max || off {
        return Ok(());
    }
    directive.refuse(0, codes::MISSING_PARAMETER, "\"open_file_cache\" must have the \"max\" parameter")
}

pub(crate) fn keepalive_timeout<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if numbers::milliseconds(directive.word(1)).is_none() {
        return directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value");
    }
    if directive.count() == 2 && numbers::seconds(directive.word(2)).is_none() {
        return directive.refuse_directive(2, codes::INVALID_VALUE, "invalid value");
    }
    Ok(())
}

pub(crate) fn internal<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)
}

pub(crate) fn gzip_disable<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    for (at, pattern) in directive.arguments() {
        if pattern != b"msie6" {
            checker.plain_regex(directive, at, pattern, true)?;
        }
    }
    Ok(())
}

pub(crate) fn disable_symlinks<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let (mut from, mut mode) = (false, None);
    for (at, word) in directive.arguments() {
        if let Some(path) = word.strip_prefix(b"from=") {
            checker.compile_text(directive, at, path, block)?;
            from = true;
        } else if [&b"off"[..], b"on", b"if_not_owner"].contains(&word) {
            mode = Some(word);
        } else {
            let message = format!("invalid parameter \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    let Some(mode) = mode else {
        let message = "\"disable_symlinks\" must have \"off\", \"on\" or \"if_not_owner\" parameter";
        return directive.refuse(0, codes::MISSING_PARAMETER, message);
    };
    if directive.count() == 2 && !from {
        let message = format!("duplicate parameters \"{} {}\"", directive.text(1), directive.text(2));
        return directive.refuse(2, codes::INCOMPATIBLE_PARAMETERS, message);
    }
    if directive.count() == 2 && mode == b"off" {
        let message = "\"from=\" cannot be used with \"off\" parameter";
        return directive.refuse(1, codes::INCOMPATIBLE_PARAMETERS, message);
    }
    Ok(())
}

pub(crate) fn types<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.entries(directive, true, |checker, entry| {
        if entry.word(0) == b"include" {
            let message = "invalid number of arguments in \"include\" directive";
            return entry.refuse(0, codes::ARGUMENT_COUNT, message);
        }
        for (at, extension) in entry.arguments() {
            let content_type = entry.word(0).to_vec();
            let known = checker.http.types.entry(block).or_default();
            if let Some(old) = known.insert(extension.to_ascii_lowercase(), content_type) {
                let message = format!(
                    "duplicate extension \"{}\", content type: \"{}\", previous content type: \"{}\"",
                    entry.text(at),
                    entry.name(),
                    String::from_utf8_lossy(&old),
                );
                checker.warn(*entry.problem(at, codes::DUPLICATE_VALUE, message));
            }
        }
        Ok(())
    });
    Ok(())
}

/// Lists of MIME types, such as `gzip_types`: `ngx_http_types_slot()`.
pub(crate) fn types_slot<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let default: &[u8] = if directive.known() == "xslt_types" { b"text/xml" } else { b"text/html" };
    if checker.has_value(directive, block, b"*") {
        return Ok(());
    }
    checker.is_new(directive, block, default);
    for (at, word) in directive.arguments() {
        if !checker.is_new(directive, block, &word.to_ascii_lowercase()) {
            let message = format!("duplicate MIME type \"{}\"", directive.text(at).to_ascii_lowercase());
            checker.warn(*directive.problem(at, codes::DUPLICATE_VALUE, message));
        }
        if word == b"*" {
            break;
        }
    }
    Ok(())
}

/// A value with variables.
pub(crate) fn complex_value<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    checker.compile(directive, 1, block)?;
    Ok(())
}

/// A size, or a value with variables that will be one.
pub(crate) fn complex_size<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if !checker.compile(directive, 1, block)? && numbers::size(directive.word(1)).is_none() {
        return directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value");
    }
    Ok(())
}

/// Values with variables, any number of them.
pub(crate) fn predicates<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    for at in 1..=directive.count() {
        checker.compile(directive, at, block)?;
    }
    Ok(())
}
