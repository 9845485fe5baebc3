//! The validator from outside: certificates made for the occasion, by rcgen and by OpenSSL.

mod authority;

/// What is right is accepted, and what is wrong is told at its place.
mod checked;
/// The page describes each code, and its examples are true.
mod documented;
/// The kinds of keys that OpenSSL writes.
mod openssl;
/// Nothing that is read makes it panic, or tell of a key.
mod robustness;
