//! Kinds of findings. `docs/findings-tls.md` describes each.

use reload_gate_contract::Code;

macro_rules! codes {
    ($($name:ident = $code:literal, $about:literal $(, $constructor:ident)?;)+) => {
        $(#[doc = $about] pub const $name: Code = codes!(@ $code $(, $constructor)?);)+
        /// All codes, sorted.
        pub const ALL: &[Code] = &[$($name),+];
    };
    (@ $code:literal) => { Code::new($code) };
    (@ $code:literal, $constructor:ident) => { Code::$constructor($code) };
}

codes! {
    BROKEN_BASE64 = "broken-base64", "The text of a PEM block is no base64.";
    BROKEN_BOUNDARY = "broken-boundary", "A line was meant to begin or end a PEM block, and does not.";
    BROKEN_CERTIFICATE = "broken-certificate", "A block holds no X.509 certificate.";
    BROKEN_KEY = "broken-key", "A block holds no private key.";
    CERTIFICATE_IN_PLACE_OF_KEY = "certificate-in-place-of-key", "The file of the key holds certificates alone.";
    CHAIN_ORDER = "chain-order", "The issuer of a certificate is in the file, and is not the next.";
    CHAIN_SIGNATURE = "chain-signature", "The next certificate has the issuer's name, and another key than signed this one.";
    DUPLICATE_CERTIFICATE = "duplicate-certificate", "The same certificate is there twice.";
    EXPIRED = "expired", "A certificate is valid no more.";
    EXPIRES_SOON = "expires-soon", "A certificate is not valid for long.";
    KEY_ENCRYPTED = "key-encrypted", "A key is encrypted, so that it cannot be compared with its certificate.";
    KEY_IN_PLACE_OF_CERTIFICATE = "key-in-place-of-certificate", "The file of the certificate holds a key alone.";
    KEY_MISMATCH = "key-mismatch", "The key does not belong to the certificate.";
    KEY_NOT_COMPARED = "key-not-compared", "A key of a kind that cannot be compared with its certificate here.";
    LEAF_IS_CA = "leaf-is-ca", "The first certificate is that of an authority.";
    MISSING_CERTIFICATE = "missing-certificate", "There is a key and no certificate to it.", of_absence;
    MISSING_KEY = "missing-key", "There is a certificate and no key to it.", of_absence;
    NAME_NOT_COVERED = "name-not-covered", "No certificate is valid for a name.";
    NO_CERTIFICATE = "no-certificate", "A file of PEM holds no certificate.";
    NO_KEY = "no-key", "A file of PEM holds no private key.";
    NOT_ISSUED_BY_NEXT = "not-issued-by-next", "None of the certificates that follow has issued this one.";
    NOT_PEM = "not-pem", "A file holds no PEM at all.";
    NOT_YET_VALID = "not-yet-valid", "A certificate is not valid yet.";
    TEXT_OUTSIDE_BLOCKS = "text-outside-blocks", "There is text around the blocks.";
    TOO_MANY_FINDINGS = "too-many-findings", "More findings than are reported.";
    UNFINISHED_BLOCK = "unfinished-block", "A block has no end.";
    WEAK_KEY = "weak-key", "An RSA key is shorter than 2048 bits.";
    WEAK_SIGNATURE = "weak-signature", "A certificate is signed with MD5 or SHA-1.";
    WRONG_LABEL = "wrong-label", "A block is none that belongs into such a file.";
}
