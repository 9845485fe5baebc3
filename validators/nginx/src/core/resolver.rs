//! `resolver`: `ngx_resolver_create()` in `src/core/ngx_resolver.c`.

use crate::checker::Checker;
use crate::directives::{Build, Contexts, Version};
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::numbers;
use crate::values::url::{self, Rules};

pub(crate) fn resolver<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    // In mail `off` turns an inherited resolver off.
    if checker.blocks[block].context.intersects(Contexts::MAIL | Contexts::MAIL_SERVER) && directive.word(1) == b"off" {
        return Ok(());
    }
    let mut servers = 0;
    let (mut ipv4, mut ipv6) = (true, true);
    for (at, word) in directive.arguments() {
        let valid = if let Some(time) = word.strip_prefix(b"valid=") {
            numbers::seconds(time).is_some()
        } else if let Some(flag) = word.strip_prefix(b"ipv6=") {
            ipv6 = flag == b"on";
            ipv6 || flag == b"off"
        } else if let Some(flag) = word.strip_prefix(b"ipv4=").filter(|_| checker.options.version >= IPV4) {
            ipv4 = flag == b"on";
            ipv4 || flag == b"off"
        } else if checker.options.build == Build::Plus && word.starts_with(b"status_zone=") {
            true
        } else {
            servers += 1;
            let rules = Rules { default_port: 53, ..Rules::default() };
            url::parse(word, rules).map_err(|error| {
                let message = format!("{error} in resolver \"{}\"", directive.text(at));
                let code = if error == "host not found" { codes::HOST_NOT_FOUND } else { codes::INVALID_RESOLVER };
                directive.problem(at, code, message)
            })?;
            true
        };
        if !valid {
            let message = format!("invalid parameter: {}", directive.text(at));
            return directive.refuse(at, codes::INVALID_RESOLVER, message);
        }
    }
    if !ipv4 && !ipv6 {
        let message = "\"ipv4\" and \"ipv6\" cannot both be \"off\"";
        return directive.refuse(0, codes::INVALID_RESOLVER, message);
    }
    if servers == 0 && checker.options.version >= NEEDS_SERVERS {
        return directive.refuse(0, codes::INVALID_RESOLVER, "no name servers defined");
    }
    Ok(())
}

/// The first release that refuses a resolver without name servers.
const NEEDS_SERVERS: Version = Version::new(1, 15, 1);

/// The first release that can look for IPv6 addresses only.
const IPV4: Version = Version::new(1, 23, 1);
