//! Settings of the processes, and what they show.

use crate::model::directive::Directive;
use crate::values::numbers;

use super::names::KnownName;
use super::{Hygiene, codes};

pub(super) fn error_log<'s>(hygiene: &mut Hygiene<'s>, directive: &Directive<'s>) {
    if directive.word(1) == b"off" {
        let message = "\"error_log off\" writes the errors to a file with the name \"off\"";
        hygiene.warn(codes::ERROR_LOG_OFF, directive, 1, message, "write `error_log /dev/null crit;`");
    }
}

/// Each connection takes a descriptor, and one to an upstream another one (`worker_connections` in `ngx_core_module`).
pub(super) fn descriptors<'s>(hygiene: &mut Hygiene<'s>, scope: usize, directive: &Directive<'s>) {
    let Some(limit) = numbers::number(directive.word(1)) else { return };
    let events = hygiene.scopes.all[scope].blocks(KnownName::Events).next();
    let set = events.and_then(|(_, events)| hygiene.scopes.all[events].get(KnownName::WorkerConnections));
    // The default of nginx (`DEFAULT_CONNECTIONS` in `src/event/ngx_event.c`).
    let connections = set.filter(|set| set.count() == 1).and_then(|set| numbers::number(set.word(1))).unwrap_or(512);
    if limit < connections && hygiene.scopes.complete {
        let message =
            format!("\"worker_rlimit_nofile\" is {limit}, less than the {connections} \"worker_connections\"");
        let help = "raise it to at least twice the number of connections";
        hygiene.warn(codes::TOO_FEW_DESCRIPTORS, directive, 1, &message, help);
    }
}

pub(super) fn server_tokens<'s>(hygiene: &mut Hygiene<'s>, directive: &Directive<'s>) {
    if matches!(directive.word(1), b"on" | b"build") {
        let message = "\"server_tokens\" shows the version of nginx to every client";
        hygiene.warn(codes::VERSION_DISCLOSURE, directive, 1, message, "write `server_tokens off;`");
    }
}
