//! The block `mail` (`src/mail`): its servers, and the checks which nginx makes when it is closed.

use crate::checker::Checker;
use crate::checker::slots;
use crate::core::listen;
use crate::core::main_conf;
use crate::directives::{Contexts, Version};
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::mail::MailServer;
use crate::ssl;
use crate::values::url::{self, Rules};

pub(crate) fn mail<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let inner = main_conf::open_protocol(checker, directive, block, Contexts::MAIL)?;
    if checker.body(directive, inner) { finish(checker) } else { Ok(()) }
}

/// The merge steps of the modules one after another, each for all servers.
fn finish(checker: &mut Checker<'_>) -> Checked {
    let servers = 0..checker.mail.servers.len();
    let missing = |at: usize, code, message: &str, checker: &Checker<'_>| {
        let spot = checker.mail.servers[at].directive.terminator();
        Err(Box::new(Problem::error(code, message, spot)))
    };
    for at in servers.clone() {
        if !checker.mail.servers[at].has_protocol && !checker.incomplete {
            return missing(at, codes::UNKNOWN_PROTOCOL, "unknown mail protocol for server", checker);
        }
    }
    for at in servers.clone() {
        certificates(checker, at)?;
    }
    for at in servers {
        if checker.lines_from(checker.mail.servers[at].block, "auth_http").is_none() {
            return missing(at, codes::NO_AUTH_HTTP, "no \"auth_http\" is defined for server", checker);
        }
    }
    Ok(())
}

/// Checks that a server that speaks TLS has a certificate: `ngx_mail_ssl_merge_conf()`.
fn certificates(checker: &mut Checker<'_>, at: usize) -> Checked {
    let MailServer { block, listens_with_ssl, .. } = checker.mail.servers[at];
    let on = |name: &str, off: &[u8]| {
        let setting = checker.effective(block, name)?;
        (!setting.word(1).eq_ignore_ascii_case(off)).then(|| setting.terminator())
    };
    let listens = listens_with_ssl.filter(|_| checker.options.version >= ssl::CHECKS_LISTENING);
    let modes = [(listens, "listen ... ssl"), (on("ssl", b"off"), "ssl"), (on("starttls", b"off"), "starttls")];
    let mode = modes.into_iter().find_map(|(spot, mode)| Some((spot?, mode)));
    ssl::mail_server(checker, block, mode)
}

pub(crate) fn server<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let inner = checker.open(Contexts::MAIL_SERVER, block);
    checker.mail.servers.push(MailServer {
        block: inner,
        directive: *directive,
        has_protocol: false,
        listens_with_ssl: None,
    });
    if checker.body(directive, inner) && !checker.blocks.has_lines(inner, "listen") {
        let message = "no \"listen\" is defined for server";
        return Err(Box::new(Problem::error(codes::NO_LISTEN, message, directive.terminator())));
    }
    Ok(())
}

/// The server that is being read. (`listen` and `protocol` are allowed nowhere else.)
fn current<'a, 's>(checker: &'a mut Checker<'s>) -> &'a mut MailServer<'s> {
    checker.mail.servers.last_mut().expect("a server is being read")
}

pub(crate) fn listen<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    /// The ports of POP3, IMAP and SMTP, with and without TLS.
    const KNOWN_PORTS: [u16; 7] = [110, 995, 143, 993, 25, 465, 587];
    checker.blocks.add(block, directive);
    let url = listen::address(checker, directive, 0)?;
    if KNOWN_PORTS.contains(&url.port) {
        current(checker).has_protocol = true;
    }
    let mut bind = false;
    for at in 2..=directive.count() {
        match directive.word(at) {
            b"ssl" => current(checker).listens_with_ssl = Some(directive.terminator()),
            b"proxy_protocol" if checker.options.version >= Version::new(1, 19, 8) => {}
            b"multipath" if checker.options.version >= listen::MULTIPATH => bind = true,
            word if word != b"reuseport"
                && !word.starts_with(b"fastopen=")
                && listen::socket_option(directive, at)? =>
            {
                bind = true;
            }
            _ => return listen::unknown_parameter(checker, directive, at),
        }
    }
    for socket in url.sockets() {
        if !checker.mail.sockets.insert(socket.clone()) {
            let message = format!("duplicate \"{socket}\" address and port pair");
            return directive.refuse(1, codes::DUPLICATE_LISTEN, message);
        }
        checker.mail.bound.push((socket, bind));
    }
    Ok(())
}

pub(crate) fn protocol<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    if !matches!(directive.word(1), b"pop3" | b"imap" | b"smtp") {
        let problem =
            directive.problem(1, codes::UNKNOWN_PROTOCOL, format!("unknown protocol \"{}\"", directive.text(1)));
        return Err(Box::new(problem.help("it may be: pop3, imap, smtp")));
    }
    current(checker).has_protocol = true;
    Ok(())
}

/// `ssl`, until 1.25.1.
pub(crate) fn ssl_on<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    slots::flag(checker, directive, block)?;
    let starttls = checker.blocks.get(block, "starttls").is_some_and(|set| !set.word(1).eq_ignore_ascii_case(b"off"));
    if starttls && directive.word(1).eq_ignore_ascii_case(b"on") {
        return directive.refuse(0, codes::CONFLICTING_DIRECTIVES, "\"starttls\" directive conflicts with \"ssl on\"");
    }
    Ok(())
}

pub(crate) fn starttls<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    slots::enumeration(checker, directive, block, &["off", "on", "only"])?;
    let ssl = checker.blocks.get(block, "ssl").is_some_and(|set| set.word(1).eq_ignore_ascii_case(b"on"));
    if ssl && !directive.word(1).eq_ignore_ascii_case(b"off") {
        return directive.refuse(0, codes::CONFLICTING_DIRECTIVES, "\"ssl\" directive conflicts with \"starttls\"");
    }
    Ok(())
}

pub(crate) fn auth_http<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.blocks.add(block, directive);
    let given = directive.word(1);
    let given = given.strip_prefix(b"http://").unwrap_or(given);
    match url::parse(given, Rules { uri_part: true, default_port: 80, ..Rules::default() }) {
        Ok(_) => Ok(()),
        Err(error) => {
            let message = format!("{error} in auth_http \"{}\"", String::from_utf8_lossy(given));
            let code = if error == "host not found" { codes::HOST_NOT_FOUND } else { codes::INVALID_ADDRESS };
            directive.refuse(1, code, message)
        }
    }
}

pub(crate) fn set_real_ip_from<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    main_conf::network_or_host(checker, directive, "set_real_ip_from")
}
