//! Versions and ciphers of TLS.

use crate::model::directive::Directive;

use super::{Hygiene, codes};

/// Protocols that RFC 6176, RFC 7568 and RFC 8996 prohibit.
const WEAK_PROTOCOLS: [&[u8]; 4] = [b"SSLv2", b"SSLv3", b"TLSv1", b"TLSv1.1"];

/// Parts of the names of cipher suites that RFC 9325, section 4.2, rules out, as OpenSSL writes them: no encryption, no
/// authentication, export, DES, RC4, and 3DES (64-bit blocks).
const WEAK_CIPHERS: [&[u8]; 12] =
    [b"NULL", b"eNULL", b"aNULL", b"ADH", b"AECDH", b"EXP", b"EXPORT", b"LOW", b"DES", b"3DES", b"RC4", b"RC2"];

pub(super) fn protocols<'s>(hygiene: &mut Hygiene<'s>, directive: &Directive<'s>) {
    let weak: Vec<_> = directive.arguments().filter(|(_, word)| WEAK_PROTOCOLS.contains(word)).collect();
    let Some((at, _)) = weak.first().copied() else { return };
    let names: Vec<_> = weak.iter().map(|(_, word)| String::from_utf8_lossy(word)).collect();
    let message = format!("\"ssl_protocols\" allows {}, which RFC 8996 prohibits", names.join(", "));
    hygiene.warn(codes::WEAK_PROTOCOLS, directive, at, &message, "write `ssl_protocols TLSv1.2 TLSv1.3;`");
}

/// A cipher string: names joined by `+`, in a list separated by `:`, `,` or blanks; `!` removes for good (`ciphers(1)`).
pub(super) fn ciphers<'s>(hygiene: &mut Hygiene<'s>, directive: &Directive<'s>) {
    let list = directive.word(1);
    if list.contains(&b'$') {
        return;
    }
    let items: Vec<&[u8]> =
        list.split(|byte| matches!(byte, b':' | b',' | b' ')).filter(|item| !item.is_empty()).collect();
    let removed: Vec<&[u8]> = items.iter().filter_map(|item| item.strip_prefix(b"!")).collect();
    let is_removed = |family: &[u8]| {
        let names: &[&[u8]] = match family {
            b"DES" => &[b"DES", b"LOW"],
            b"3DES" => &[b"3DES", b"MEDIUM"],
            b"NULL" => &[b"NULL", b"eNULL"],
            b"ADH" | b"AECDH" => &[b"aNULL", b"ADH", b"AECDH"],
            b"EXP" | b"EXPORT" => &[b"EXP", b"EXPORT"],
            _ => &[],
        };
        removed.iter().any(|removed| *removed == family || names.contains(removed))
    };
    let weak = |item: &&&[u8]| {
        let is_added = !matches!(item.first(), Some(b'!' | b'-' | b'+' | b'@'));
        is_added && !removed.contains(*item) && families(item).any(|family| !is_removed(family))
    };
    let weak: Vec<_> = items.iter().filter(weak).map(|item| String::from_utf8_lossy(item)).take(3).collect();
    if !weak.is_empty() {
        let message = format!("\"ssl_ciphers\" allows {}, which is broken", weak.join(", "));
        hygiene.warn(codes::WEAK_CIPHERS, directive, 1, &message, "remove it, or write `ssl_ciphers HIGH:!aNULL;`");
    }
}

/// The weak families that a cipher suite or a class of such belongs to.
fn families(item: &[u8]) -> impl Iterator<Item = &'static [u8]> {
    let parts: Vec<&[u8]> = item.split(|byte| matches!(byte, b'-' | b'+')).collect();
    // OpenSSL writes 3DES as `DES-CBC3`.
    let is_triple = parts.windows(2).any(|pair| pair == [&b"DES"[..], b"CBC3"]) || parts.contains(&&b"3DES"[..]);
    let found: Vec<&'static [u8]> = WEAK_CIPHERS
        .into_iter()
        .filter(|family| match *family {
            b"DES" => parts.contains(&&b"DES"[..]) && !is_triple,
            b"3DES" => is_triple,
            family => parts.contains(&family),
        })
        .collect();
    found.into_iter()
}
