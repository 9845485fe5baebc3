//! Published vulnerabilities of nginx in features that a configuration uses, for the version that runs.
//!
//! `advisories.tsv` has those of <https://nginx.org/en/security_advisories.html> (of 2026-07-22) that need a directive to be
//! reached, with the day of the release that fixed each. Another build than that of nginx.org may have the fix in an older version.

use std::sync::LazyLock;

use foldhash::{HashMap, HashMapExt as _, HashSet};

use crate::directives::{Build, Version};
use crate::model::directive::Directive;

use super::names::KnownName;
use super::scopes::BlockProtocol;
use super::variables::{ValuePart, parts};
use super::{Hygiene, codes};

/// A vulnerability.
struct Advisory {
    cve: &'static str,
    title: &'static str,
    severity: &'static str,
    trigger: &'static str,
    vulnerable: Vec<(Version, Version)>,
    fixed: Vec<Version>,
}

/// All vulnerabilities, the newest first.
static ADVISORIES: LazyLock<Vec<Advisory>> = LazyLock::new(|| {
    let version = |text: &str| text.parse::<Version>().unwrap_or_else(|_| panic!("`{text}` is a version"));
    let advisory = |line: &'static str| {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [cve, _, severity, vulnerable, fixed, trigger, title] = fields[..] else {
            panic!("seven columns in {line}")
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            (version(first), version(last))
        };
        let vulnerable = vulnerable.split(',').map(range).collect();
        let fixed = fixed.split(',').map(version).collect();
        Advisory { cve, title, severity, trigger, vulnerable, fixed }
    };
    include_str!("advisories.tsv").lines().skip(1).map(advisory).collect()
});

impl Advisory {
    /// True if a version has it: it is in a range, and not in a stable branch from the fix on.
    fn affects(&self, version: Version) -> bool {
        let in_range = self.vulnerable.iter().any(|(first, last)| (*first..=*last).contains(&version));
        in_range && !self.fixed.iter().any(|fixed| fixed.minor() == version.minor() && version >= *fixed)
    }
}

pub(super) fn check(hygiene: &mut Hygiene<'_>) {
    let (version, build) = (hygiene.options.version, hygiene.options.build);
    if build != Build::NginxOrg {
        return;
    }
    let affecting: Vec<&Advisory> = ADVISORIES.iter().filter(|advisory| advisory.affects(version)).collect();
    if affecting.is_empty() {
        return;
    }
    let found = Triggers::of(hygiene);
    let mut reported: Vec<&str> = vec![];
    for Advisory { trigger, .. } in &affecting {
        let Some((directive, word)) = found.get(trigger).copied().filter(|_| !reported.contains(trigger)) else {
            continue;
        };
        reported.push(trigger);
        let same = affecting.iter().filter(|other| other.trigger == *trigger);
        let names: Vec<String> = same.clone().map(|it| format!("{} ({}, {})", it.cve, it.severity, it.title)).collect();
        let fixed = same.flat_map(|advisory| advisory.fixed.first()).max().copied().unwrap_or_default();
        let message = format!("nginx {version} has known vulnerabilities in what this uses: {}", names.join("; "));
        hygiene.warn(
            codes::KNOWN_VULNERABILITY,
            &directive,
            word,
            &message,
            &format!("update to nginx {fixed} or newer"),
        );
    }
}

/// The first directive of each trigger, with the word to show.
type Found<'s> = HashMap<&'static str, (Directive<'s>, usize)>;

struct Triggers<'h, 's> {
    hygiene: &'h Hygiene<'s>,
    /// Variables of a `map` with a pattern that has a group.
    maps: HashSet<&'s [u8]>,
    found: Found<'s>,
}

impl<'h, 's> Triggers<'h, 's> {
    fn of(hygiene: &'h Hygiene<'s>) -> Found<'s> {
        let is_pattern =
            |directive: &Directive<'_>| directive.word(0).starts_with(b"~") && directive.word(0).contains(&b'(');
        let maps = hygiene.scopes.all.iter().filter(|scope| scope.name == KnownName::Map);
        let maps = maps.filter(|scope| scope.directives().any(|directive| is_pattern(&directive)));
        let maps = maps.filter_map(|scope| scope.directive.filter(|it| it.count() == 2)?.word(2).strip_prefix(b"$"));
        let mut triggers = Self { hygiene, maps: maps.collect(), found: HashMap::new() };
        for scope in 0..hygiene.scopes.all.len() {
            triggers.scope(scope);
            let mp4 = hygiene.scopes.all[scope].get(KnownName::Mp4);
            mp4.into_iter().for_each(|directive| triggers.add("mp4", &directive, 0));
            triggers.directives(scope);
        }
        triggers.found
    }

    fn add(&mut self, trigger: &'static str, directive: &Directive<'s>, word: usize) {
        self.found.entry(trigger).or_insert((*directive, word));
    }

    /// Triggers of several directives in a block.
    fn scope(&mut self, scope: usize) {
        let block = &self.hygiene.scopes.all[scope];
        if block.protocol != BlockProtocol::Http || block.name == KnownName::Map {
            return;
        }
        let (mut rewrite, mut slices, mut ssi, mut unbuffered, mut alias, mut dav) =
            (None, false, None, false, false, None);
        for (name, directive) in block.known().filter(|(_, directive)| directive.count() > 0) {
            let value = directive.word(1);
            match name {
                KnownName::Rewrite | KnownName::Set | KnownName::If if rewrite.is_some() => {
                    rewrite.into_iter().for_each(|(first, at)| self.add("rewrite-question-mark", &first, at));
                }
                KnownName::Rewrite if directive.count() >= 2 => {
                    let replacement = directive.word(2);
                    let fits = replacement.contains(&b'?') && has_numbered_group(replacement);
                    rewrite = fits.then_some((directive, 2));
                }
                KnownName::Slice => slices = value != b"0",
                KnownName::Ssi if value == b"on" => ssi = Some(directive),
                KnownName::ProxyBuffering => unbuffered = value == b"off",
                KnownName::Alias => alias = true,
                KnownName::DavMethods if directive.arguments().any(|(_, word)| matches!(word, b"COPY" | b"MOVE")) => {
                    dav = Some(directive);
                }
                _ => {}
            }
        }
        if slices {
            let copied = |directive: &Directive<'s>| directive.arguments().find(|(_, word)| has_numbered_group(word));
            let copies = block.directives().find_map(|directive| Some((directive, copied(&directive)?.0)));
            copies.into_iter().for_each(|(directive, at)| self.add("slice-capture", &directive, at));
        }
        ssi.filter(|_| unbuffered).into_iter().for_each(|directive| self.add("ssi-unbuffered", &directive, 0));
        dav.filter(|_| alias).into_iter().for_each(|directive| self.add("dav-alias", &directive, 0));
    }

    fn directives(&mut self, scope: usize) {
        let block = &self.hygiene.scopes.all[scope];
        for (name, directive) in block.known().filter(|(_, directive)| directive.count() > 0) {
            self.directive(block.protocol, name, &directive);
        }
        if block.protocol == BlockProtocol::Http && !self.maps.is_empty() {
            block.directives().for_each(|directive| self.regex_map(&directive));
        }
    }

    fn directive(&mut self, protocol: BlockProtocol, name: KnownName, directive: &Directive<'s>) {
        use {BlockProtocol as Protocol, KnownName as Name};
        let value = directive.word(1);
        let argument = |wanted: &[u8]| directive.arguments().find(|(_, word)| *word == wanted).map(|(at, _)| at);
        let trigger = match (protocol, name) {
            (_, Name::Resolver) if value != b"off" => Some("resolver"),
            (Protocol::Http, Name::Listen) if argument(b"quic").is_some() => Some("http3"),
            (Protocol::Http, Name::Listen) if argument(b"http2").is_some() => Some("http2"),
            (Protocol::Http, Name::Http2) if value == b"on" => Some("http2"),
            (Protocol::Http, Name::GrpcPass) => Some("http2-upstream"),
            (Protocol::Http, Name::ProxyHttpVersion) if value == b"2" => Some("proxy-http2"),
            (Protocol::Http, Name::SourceCharset | Name::CharsetMap) => Some("charset"),
            (Protocol::Http, Name::ScgiPass | Name::UwsgiPass) => Some("scgi-uwsgi"),
            (Protocol::Http, Name::SslOcsp) if value != b"off" => Some("ocsp"),
            (Protocol::Stream, Name::SslOcsp) if value != b"off" => Some("stream-ocsp"),
            (Protocol::Http, Name::ProxyPass) if value.starts_with(b"https://") => Some("tls-upstream"),
            (Protocol::Http, Name::SslVerifyClient) if value != b"off" => Some("client-certificate"),
            (Protocol::Mail, Name::Protocol) if value == b"smtp" => Some("mail-smtp"),
            (Protocol::Mail, Name::SmtpAuth) if argument(b"none").is_some() => Some("smtp-auth-none"),
            (Protocol::Mail, Name::ImapAuth | Name::Pop3Auth | Name::SmtpAuth)
                if argument(b"cram-md5").or_else(|| argument(b"apop")).is_some() =>
            {
                Some("mail-challenge")
            }
            _ => None,
        };
        trigger.into_iter().for_each(|trigger| self.add(trigger, directive, 0));
    }

    /// A numbered group in front of the variable of a `map` that matches again.
    fn regex_map(&mut self, directive: &Directive<'s>) {
        for (at, word) in directive.arguments().filter(|(_, word)| word.contains(&b'$')) {
            let mut has_group = false;
            for part in parts(word) {
                let ValuePart::Variable(name) = part else { continue };
                has_group |= name.len() == 1 && name[0].is_ascii_digit();
                if has_group && self.maps.contains(name) {
                    self.add("regex-map", directive, at);
                }
            }
        }
    }
}

fn has_numbered_group(word: &[u8]) -> bool {
    word.windows(2).any(|pair| pair[0] == b'$' && pair[1].is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_branches_are_fixed_from_their_own_release_on() {
        let names = |version: &str, trigger: &str| -> Vec<&str> {
            let version = version.parse().expect("a version");
            let affecting = ADVISORIES.iter().filter(|it| it.trigger == trigger && it.affects(version));
            affecting.map(|it| it.cve).collect()
        };
        assert_eq!(names("1.20.0", "resolver"), ["CVE-2021-23017"]);
        assert_eq!(names("1.20.1", "resolver"), [""; 0]);
        assert_eq!(names("1.26.0", "http3").len(), 6 - 1);
        assert_eq!(names("1.30.4", "http3"), [""; 0]);
        assert_eq!(names("1.16.1", "http2"), [""; 0]);
        assert_eq!(names("1.16.0", "http2").len(), 3);
    }
}
