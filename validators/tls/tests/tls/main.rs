//! The validator from outside: certificates made for the occasion, by rcgen and by OpenSSL.

mod authority;

/// Right files are accepted, and faults are found at their places.
mod checked;
/// The page describes each code, and its examples are true.
mod documented;
/// The kinds of keys that OpenSSL writes.
mod openssl;
/// No input makes it panic, or print a key.
mod robustness;
