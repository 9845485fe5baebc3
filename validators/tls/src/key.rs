//! Private keys: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) and SEC 1 (RFC 5915); and whether one belongs to a public key.

use reload_gate_contract::Finding;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
};
use x509_parser::asn1_rs::{Any, FromDer, Oid, Tag, oid};
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::codes::{BROKEN_KEY, KEY_ENCRYPTED, WRONG_LABEL};
use crate::pem::{PemBlock, shown};

/// RFC 8017, appendix C; RFC 5480, section 2.1; RFC 8410, section 3.
const RSA: Oid<'static> = oid!(1.2.840.113549.1.1.1);
const RSA_PSS: Oid<'static> = oid!(1.2.840.113549.1.1.10);
const EC: Oid<'static> = oid!(1.2.840.10045.2.1);
const ED25519: Oid<'static> = oid!(1.3.101.112);
const P256: Oid<'static> = oid!(1.2.840.10045.3.1.7);
const P384: Oid<'static> = oid!(1.3.132.0.34);

/// The marks of an uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A private key, as much of it as is needed to find the public key it belongs to.
pub(crate) enum Key<'a> {
    /// The public numbers are in it.
    Rsa { modulus: &'a [u8], exponent: &'a [u8] },
    /// On a curve, which is `None` where the key does not say it.
    Ec { curve: Option<Oid<'a>>, scalar: &'a [u8], point: Option<&'a [u8]> },
    /// Ed25519, by its seed.
    Ed25519 { seed: &'a [u8] },
    /// Of another kind.
    Other(Oid<'a>),
}

/// Match of a private and a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    No,
    /// The key has no public half in it, and its kind is not supported here.
    Unknown,
}

/// True if a block is labelled as a private key, of any kind.
pub(crate) fn is_key(block: &PemBlock) -> bool {
    block.label.ends_with("PRIVATE KEY")
}

/// The key of a block that is labelled as one.
pub(crate) fn parse(block: &PemBlock) -> Result<Key<'_>, Box<Finding>> {
    let at = |finding: Finding| Box::new(finding.at(block.place.clone()));
    if block.encrypted || block.label == "ENCRYPTED PRIVATE KEY" {
        let help =
            "compare them yourself: without the passphrase it is unknown whether the key belongs to the certificate";
        return Err(at(Finding::environment(KEY_ENCRYPTED, "the key is encrypted").help(help)));
    }
    let key = match block.label.as_str() {
        "PRIVATE KEY" => pkcs8(&block.contents),
        "RSA PRIVATE KEY" => pkcs1(&block.contents),
        "EC PRIVATE KEY" => sec1(&block.contents, None),
        label => {
            let message = format!("`{}` is no kind of key that servers read", shown(label));
            let help = "keys are PKCS#8 (`PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`); `openssl \
                        pkey` and `ssh-keygen -p -m PKCS8` make the first of others";
            return Err(at(Finding::error(WRONG_LABEL, message).help(help)));
        }
    };
    key.ok_or_else(|| {
        let message = format!("the block of `{}` holds no such key", shown(&block.label));
        let help = "copy the key again, whole; `openssl pkey -noout -check -in FILE` shows more";
        at(Finding::error(BROKEN_KEY, message).help(help))
    })
}

impl Key<'_> {
    /// Compares it with a public key.
    pub(crate) fn fits(&self, public: &SubjectPublicKeyInfo<'_>) -> Fit {
        let algorithm = &public.algorithm.algorithm;
        let bytes = &*public.subject_public_key.data;
        let fit = |is: bool| if is { Fit::Yes } else { Fit::No };
        match self {
            Self::Rsa { modulus, exponent } if [RSA, RSA_PSS].contains(algorithm) => {
                match RSAPublicKey::from_der(bytes) {
                    Ok((_, rsa)) => fit(same_number(modulus, rsa.modulus) && same_number(exponent, rsa.exponent)),
                    Err(_) => Fit::No,
                }
            }
            Self::Ec { curve, scalar, point } if *algorithm == EC => {
                let named = public.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
                if curve.is_some() && named.is_some() && *curve != named {
                    return Fit::No;
                }
                on_curve(named.as_ref(), scalar, *point, bytes)
            }
            Self::Ed25519 { seed } if *algorithm == ED25519 => {
                fit(Ed25519KeyPair::from_seed_and_public_key(seed, bytes).is_ok())
            }
            Self::Other(other) if other == algorithm => Fit::Unknown,
            _ => Fit::No,
        }
    }
}

/// Compares the scalar of a key with the point of a public key.
fn on_curve(curve: Option<&Oid<'_>>, scalar: &[u8], own: Option<&[u8]>, public: &[u8]) -> Fit {
    let known: Option<(&EcdsaSigningAlgorithm, usize)> = match curve {
        Some(curve) if *curve == P256 => Some((&ECDSA_P256_SHA256_ASN1_SIGNING, 32)),
        Some(curve) if *curve == P384 => Some((&ECDSA_P384_SHA384_ASN1_SIGNING, 48)),
        _ => None,
    };
    match known {
        Some((algorithm, length)) if public.first() == Some(&UNCOMPRESSED) => {
            // Some write it without leading zeros, though RFC 5915 (section 3) wants them.
            let digits = without_zeros(scalar);
            let Some(missing) = length.checked_sub(digits.len()) else { return Fit::No };
            let padded = [&vec![0; missing], digits].concat();
            // The source of randomness is for signatures, of which none is made.
            let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &padded, public, &SystemRandom::new());
            if pair.is_ok() { Fit::Yes } else { Fit::No }
        }
        _ => match own {
            Some(own) if own == public => Fit::Yes,
            // One of the two may be compressed.
            Some(own) if own.len() == public.len() => Fit::No,
            _ => Fit::Unknown,
        },
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().position(|byte| *byte != 0).unwrap_or(number.len())..]
}

fn same_number(one: &[u8], other: &[u8]) -> bool {
    without_zeros(one) == without_zeros(other)
}

/// The elements of a SEQUENCE that is all of `der`.
fn sequence(der: &[u8]) -> Option<Elements<'_>> {
    let (rest, any) = Any::from_der(der).ok()?;
    (rest.is_empty() && any.tag() == Tag::Sequence).then_some(Elements(any.data))
}

struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Option<Any<'a>> {
        let (rest, any) = Any::from_der(self.0).ok()?;
        self.0 = rest;
        Some(any)
    }

    /// The contents of the next one, which must be of this tag.
    fn expect(&mut self, tag: Tag) -> Option<&'a [u8]> {
        self.next().filter(|any| any.header.is_universal() && any.tag() == tag).map(|any| any.data)
    }
}

fn pkcs8(der: &[u8]) -> Option<Key<'_>> {
    let mut outer = sequence(der)?;
    outer.expect(Tag::Integer)?;
    let mut algorithm = Elements(outer.expect(Tag::Sequence)?);
    let kind = algorithm.next()?.oid().ok()?;
    let key = outer.expect(Tag::OctetString)?;
    match kind {
        _ if [RSA, RSA_PSS].contains(&kind) => pkcs1(key),
        _ if kind == EC => sec1(key, algorithm.next().and_then(|curve| curve.oid().ok())),
        _ if kind == ED25519 => {
            // The octets are once more in an OCTET STRING (RFC 8410, section 7).
            let seed = Elements(key).expect(Tag::OctetString)?;
            (seed.len() == 32).then_some(Key::Ed25519 { seed })
        }
        kind => Some(Key::Other(kind)),
    }
}

fn pkcs1(der: &[u8]) -> Option<Key<'_>> {
    let mut elements = sequence(der)?;
    elements.expect(Tag::Integer)?;
    let (modulus, exponent) = (elements.expect(Tag::Integer)?, elements.expect(Tag::Integer)?);
    // The private exponent, the primes, their exponents and the coefficient.
    (0..6).try_for_each(|_| elements.expect(Tag::Integer).map(|_| ()))?;
    Some(Key::Rsa { modulus, exponent })
}

/// A key on a curve, which PKCS#8 names around it.
fn sec1<'a>(der: &'a [u8], curve: Option<Oid<'a>>) -> Option<Key<'a>> {
    let mut elements = sequence(der)?;
    elements.expect(Tag::Integer)?;
    let scalar = elements.expect(Tag::OctetString)?;
    let (mut curve, mut point) = (curve, None);
    while let Some(any) = elements.next() {
        match any.tag().0 {
            0 => curve = Elements(any.data).next().and_then(|named| named.oid().ok()).or(curve),
            // The first octet of a BIT STRING counts the bits that are not used: none.
            1 => {
                let bits = Elements(any.data).expect(Tag::BitString);
                point = bits.and_then(|bits| bits.split_first()).map(|(_, point)| point);
            }
            _ => {}
        }
    }
    Some(Key::Ec { curve, scalar, point })
}
