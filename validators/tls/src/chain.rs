//! The chain: each certificate is issued by the next, as a server must send them (RFC 5246, section 7.4.2; RFC 8446, section
//! 4.4.2, tolerates another order, and clients of TLS 1.2 need not).

use std::collections::BTreeMap;

use reload_gate_contract::Finding;
use x509_parser::error::X509Error;

use crate::certificate::{Certificate, rsa_bits};
use crate::codes::{CHAIN_ORDER, CHAIN_SIGNATURE, DUPLICATE_CERTIFICATE, NOT_ISSUED_BY_NEXT};

/// One certificate as the issuer of another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Issued {
    Yes,
    /// Only the name fits.
    BySameName,
    No,
}

/// The first fault of the order: the others follow from it.
pub(crate) fn check(certificates: &[Certificate<'_>]) -> Vec<Finding> {
    let (mut findings, mut seen, mut chain) = (Vec::new(), BTreeMap::new(), Vec::new());
    for certificate in certificates {
        match seen.insert(certificate.der, certificate.line) {
            None => chain.push(certificate),
            Some(line) => {
                let message = format!("{} is there twice, first at line {line}", certificate.shown);
                findings.push(Finding::warning(DUPLICATE_CERTIFICATE, message).at(certificate.place.clone()));
            }
        }
    }
    findings.extend(chain.windows(2).enumerate().find_map(|(index, pair)| {
        let (one, next) = (pair[0], pair[1]);
        let issuer = one.issuer();
        let finding = match issued(one, next) {
            Issued::Yes => return None,
            Issued::BySameName => {
                let message =
                    format!("{} has the name of the issuer of {}, and did not sign it", next.shown, one.shown);
                Finding::error(CHAIN_SIGNATURE, message).help(
                    "authorities renew their keys under the same name: take the certificate that came with this one",
                )
            }
            Issued::No => match chain
                .iter()
                .find(|other| issued(one, other) == Issued::Yes && !std::ptr::eq(**other, one))
            {
                Some(right) => {
                    let message = format!("{} is followed by {}, and was issued by {issuer}", one.shown, next.shown);
                    let help = format!("the certificate of {} at line {} belongs here", right.shown, right.line);
                    Finding::error(CHAIN_ORDER, message).help(help)
                }
                None => {
                    let message = format!("{} is followed by {}, and was issued by {issuer}", one.shown, next.shown);
                    let help = match index {
                        0 => "the certificate of the server comes first, then that of its issuer, and so on",
                        _ => "take out what does not belong to the chain, or add the certificate of the issuer",
                    };
                    Finding::error(NOT_ISSUED_BY_NEXT, message).help(help)
                }
            },
        };
        Some(finding.at(next.place.clone()))
    }));
    findings
}

fn issued(one: &Certificate<'_>, by: &Certificate<'_>) -> Issued {
    if !one.is_named_as_issued_by(by) {
        return Issued::No;
    }
    let public = by.x509.public_key();
    match one.x509.verify_signature(Some(public)) {
        // A signature of a kind that is not known here, or with a key too short to be looked at, is believed.
        Err(X509Error::SignatureVerificationError)
            if rsa_bits(public).is_none_or(|bits| (2048..=8192).contains(&bits)) =>
        {
            Issued::BySameName
        }
        _ => Issued::Yes,
    }
}
