//! Names that a certificate is valid for: RFC 9525, which replaced RFC 6125.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// True if the certificate is valid for a host name, an address, or a pattern such as `*.example.org`.
///
/// Only its subjectAltName counts: the Common Name is no name of a host (RFC 9525, section 2).
pub(crate) fn covers(certificate: &X509Certificate<'_>, name: &str) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    let address = name.parse::<IpAddr>().ok();
    names.value.general_names.iter().any(|known| match (known, address) {
        (GeneralName::IPAddress(octets), Some(IpAddr::V4(address))) => *octets == address.octets(),
        (GeneralName::IPAddress(octets), Some(IpAddr::V6(address))) => *octets == address.octets(),
        (GeneralName::DNSName(pattern), None) => fits(pattern, name),
        _ => false,
    })
}

/// The names that a certificate is valid for, as they are shown.
pub(crate) fn known(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let shown = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    };
    names.value.general_names.iter().filter_map(shown).collect()
}

/// True if a name of a certificate matches a name: a `*` is all of the first label, and matches one label
/// (RFC 9525, section 6.3).
fn fits(pattern: &str, name: &str) -> bool {
    let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let (pattern, name) = (plain(pattern), plain(name));
    if pattern == name {
        return true;
    }
    match (pattern.strip_prefix("*."), name.split_once('.')) {
        (Some(domain), Some((label, rest))) => !label.is_empty() && label != "*" && domain == rest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        for (pattern, name, expected) in [
            ("example.org", "EXAMPLE.org", true),
            ("example.org", "example.org.", true),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "*.example.org", true),
            ("*.example.org", "a.b.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("w*.example.org", "www.example.org", false),
            ("www.*.org", "www.example.org", false),
            ("www.example.org", "*.example.org", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} for {name}");
        }
    }
}
