//! The names that OpenSSL knows: of ciphers, curves and commands, as far as nginx hands them on while it reads its
//! configuration (`SSL_CTX_set_cipher_list()`, `SSL_CTX_set1_curves_list()`, `SSL_CONF_cmd()`).

use crate::checker::Checker;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;

/// Groups of ciphers that a build of OpenSSL 1.1 or later has some of.
const CIPHER_GROUPS: &str = "ALL COMPLEMENTOFALL COMPLEMENTOFDEFAULT DEFAULT HIGH FIPS kRSA RSA kEDH kDHE EDH DHE kEECDH kECDHE EECDH \
     ECDHE ECDH DH aRSA aDSS DSS aNULL aECDSA ECDSA ADH AECDH aPSK aSRP kPSK kECDHEPSK kDHEPSK kRSAPSK PSK SRP kSRP \
     eNULL NULL AES128 AES256 AES AESGCM AESCCM AESCCM8 CAMELLIA128 CAMELLIA256 CAMELLIA CHACHA20 ARIA ARIAGCM \
     ARIA128 ARIA256 CBC MD5 SHA1 SHA SHA256 SHA384 SSLv3 TLSv1 TLSv1.0 TLSv1.2";

/// Words that begin a list and set aside everything else.
const SUITE_B: [&str; 4] = ["SUITEB128ONLY", "SUITEB128C2", "SUITEB128", "SUITEB192"];

/// The parts that the names of ciphers are made of.
const CIPHER_PARTS: &str = "ECDHE DHE ADH AECDH RSA ECDSA DSS PSK SRP AES128 AES256 AES 128 256 GCM CCM CCM8 CBC CHACHA20 POLY1305 \
     ARIA128 ARIA256 CAMELLIA128 CAMELLIA256 NULL MD5 SHA SHA256 SHA384 SEED IDEA DES CBC3";

/// The elliptic curves and other groups of OpenSSL 3.0, and those that later versions added.
const CURVES: &str = "sect163k1 K-163 sect163r1 sect163r2 B-163 sect193r1 sect193r2 sect233k1 K-233 sect233r1 B-233 sect239k1 \
     sect283k1 K-283 sect283r1 B-283 sect409k1 K-409 sect409r1 B-409 sect571k1 K-571 sect571r1 B-571 secp160k1 \
     secp160r1 secp160r2 secp192k1 secp192r1 prime192v1 P-192 secp224k1 secp224r1 P-224 secp256k1 secp256r1 \
     prime256v1 P-256 secp384r1 P-384 secp521r1 P-521 brainpoolP256r1 brainpoolP384r1 brainpoolP512r1 X25519 x25519 \
     X448 x448 ffdhe2048 ffdhe3072 ffdhe4096 ffdhe6144 ffdhe8192 brainpoolP256r1tls13 brainpoolP384r1tls13 \
     brainpoolP512r1tls13 X25519MLKEM768 SecP256r1MLKEM768 SecP384r1MLKEM1024 MLKEM512 MLKEM768 MLKEM1024 \
     GC256A GC256B GC256C GC256D GC512A GC512B GC512C";

/// The commands of a configuration file of OpenSSL, in any case.
const COMMANDS: &str = "SignatureAlgorithms ClientSignatureAlgorithms Curves Groups ECDHParameters CipherString Ciphersuites Protocol \
     MinProtocol MaxProtocol Options VerifyMode Certificate PrivateKey ServerInfoFile ChainCAPath ChainCAFile \
     ChainCAStore VerifyCAPath VerifyCAFile VerifyCAStore RequestCAFile ClientCAFile RequestCAPath ClientCAPath \
     RequestCAStore ClientCAStore DHParameters RecordPadding NumTickets TxCertificateCompression \
     RxCertificateCompression";

fn contains(words: &str, word: &[u8]) -> bool {
    words.split_ascii_whitespace().any(|known| known.as_bytes() == word)
}

/// Checks that a cipher list leaves a cipher; the error is OpenSSL's.
fn cipher_list(list: &[u8]) -> Result<(), &'static str> {
    const INVALID: &str = "invalid command";
    let mut rest = list;
    let mut found = SUITE_B.iter().any(|word| list.starts_with(word.as_bytes()));
    while let Some((first, after)) = rest.split_first() {
        if b": ;,".contains(first) {
            rest = after;
            continue;
        }
        let (rule, item) = if b"!-+@".contains(first) { (*first, after) } else { (b'=', rest) };
        let length = item.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-._=+".contains(byte)).count();
        let (item, after) = item.split_at(length);
        rest = after;
        if item.split(|byte| *byte == b'+').any(<[u8]>::is_empty) {
            return Err(INVALID);
        }
        match rule {
            b'@' if item == b"STRENGTH" => {}
            b'@' if matches!(item, [b'S', b'E', b'C', b'L', b'E', b'V', b'E', b'L', b'=', b'0'..=b'5']) => {}
            b'@' => return Err(INVALID),
            // The rest after an unknown word is passed over, up to the next separator.
            _ if !item.split(|byte| *byte == b'+').all(is_cipher) => {
                let end = rest.iter().position(|byte| b": ;,".contains(byte)).unwrap_or(rest.len());
                rest = &rest[end..];
            }
            b'!' | b'-' => found &= item != b"ALL",
            b'=' => found = true,
            _ => {}
        }
    }
    if found { Ok(()) } else { Err("no cipher match") }
}

/// True if a word names ciphers up to TLS 1.2: one, or a group.
fn is_cipher(word: &[u8]) -> bool {
    let mut parts = word.split(|byte| *byte == b'-');
    contains(CIPHER_GROUPS, word) || (word.contains(&b'-') && parts.all(|part| contains(CIPHER_PARTS, part)))
}

/// Judges the ciphers that hold in a block.
pub(super) fn ciphers(checker: &Checker<'_>, block: BlockId, name: &str) -> Checked {
    let Some(set) = checker.effective(block, name) else { return Ok(()) };
    cipher_list(set.word(1)).or_else(|error| {
        let message = format!("SSL_CTX_set_cipher_list(\"{}\") failed (SSL: {error})", set.text(1));
        set.refuse(1, codes::INVALID_TLS_SETTING, message)
    })
}

/// Judges the curves that hold in a block.
pub(super) fn curves(checker: &Checker<'_>, block: BlockId) -> Checked {
    let Some(set) = checker.effective(block, "ssl_ecdh_curve").filter(|set| set.word(1) != b"auto") else {
        return Ok(());
    };
    let curves: Vec<_> = set.word(1).split(|byte| *byte == b':').collect();
    let twice = curves.iter().enumerate().any(|(at, curve)| curves[..at].contains(curve));
    if !twice && curves.iter().all(|curve| contains(CURVES, curve)) {
        return Ok(());
    }
    let message = format!("SSL_CTX_set1_curves_list(\"{}\") failed", set.text(1));
    set.refuse(1, codes::INVALID_TLS_SETTING, message)
}

/// Judges the commands to OpenSSL that hold in a block.
pub(super) fn commands(checker: &Checker<'_>, block: BlockId, name: &str) -> Checked {
    for line in checker.effective_list(block, name) {
        let known = COMMANDS.split_ascii_whitespace().any(|known| known.as_bytes().eq_ignore_ascii_case(line.word(1)));
        if !known {
            let message = format!("SSL_CONF_cmd(\"{}\", \"{}\") failed", line.text(1), line.text(2));
            return line.refuse(1, codes::INVALID_TLS_SETTING, message);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::cipher_list;

    /// OpenSSL 3.0 answers the same to each of these.
    #[test]
    fn cipher_lists_are_read_as_openssl_reads_them() {
        for list in [
            "HIGH:!aNULL",
            "RC4:HIGH",
            "EECDH+AESGCM:EDH+AESGCM",
            "ECDHE-RSA-AES128-GCM-SHA256:@STRENGTH",
            "HIGH !aNULL",
            "HIGH@SECLEVEL=0",
            "HIGH,MEDIUM",
            "HIGH;x",
            "HIGH:BAD+AES",
            "DEFAULT",
            "kEECDH+ECDSA",
            "SUITEB128",
            "HIGH::MEDIUM",
            "ALL:+HIGH",
            "FIPS",
            "HIGH:!SEED\"",
        ] {
            assert_eq!(cipher_list(list.as_bytes()), Ok(()), "{list}");
        }
        for list in [
            "TLS_AES_128_GCM_SHA256",
            "!aNULL",
            "RC4",
            "high",
            "ECDHE+RSA+3DES",
            "",
            "HIGH:-ALL",
            "HIGH:!ALL",
            "PROFILE=SYSTEM",
            "+HIGH",
            "-HIGH",
            "TLSv1.3",
            "EXP",
            "BOGUS",
        ] {
            assert_eq!(cipher_list(list.as_bytes()), Err("no cipher match"), "{list}");
        }
        for list in ["HIGH'", "HIGH:@SECLEVEL=9", "HIGH:@FOO", "HIGH+"] {
            assert_eq!(cipher_list(list.as_bytes()), Err("invalid command"), "{list}");
        }
    }
}
